package packet

import (
	"context"
	"net/http"
	"net/url"
)

// AssignNativeVLAN makes a virtual network of a port, given by UUID or number,
// the one whose packets have no tag (assignNativeVlan). The port must have
// another one beside it.
func (c *Client) AssignNativeVLAN(ctx context.Context, id, virtualNetwork string) (*Port, error) {
	if err := checkID("port", id); err != nil {
		return nil, err
	}
	return send(ctx, c, request{
		operation: "assignNativeVlan", method: http.MethodPost, path: "/ports/" + id + "/native-vlan",
		query: url.Values{"vnid": {virtualNetwork}}, body: PortAssign{VirtualNetwork: virtualNetwork},
	}, portID)
}

// DeleteNativeVLAN gives the packets of a port's native virtual network a tag
// again (deleteNativeVlan).
func (c *Client) DeleteNativeVLAN(ctx context.Context, id string) (*Port, error) {
	if err := checkID("port", id); err != nil {
		return nil, err
	}
	return send(ctx, c, request{operation: "deleteNativeVlan", method: http.MethodDelete, path: "/ports/" + id + "/native-vlan"}, portID)
}
