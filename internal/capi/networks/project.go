package networks

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/pkg/packet"
)

// directoryTTL is how long a listing of VLANs or BGP sessions is used to look at devices that are set up already. What a
// VLAN's number stands for hardly ever changes, and a thousand machines must not cost a call each time they are looked at.
const directoryTTL = 10 * time.Minute

// API is what this package needs of the Packet API; packet.Client is one.
type API interface {
	Device(ctx context.Context, id string, options ...packet.QueryOption) (*packet.Device, error)
	VirtualNetworks(ctx context.Context, projectID string, options ...packet.QueryOption) ([]packet.VirtualNetwork, error)
	AssignPort(ctx context.Context, id, virtualNetwork string) (*packet.Port, error)
	UnassignPort(ctx context.Context, id, virtualNetwork string) (*packet.Port, error)
	AssignNativeVLAN(ctx context.Context, id, virtualNetwork string) (*packet.Port, error)
	BondPort(ctx context.Context, id string) (*packet.Port, error)
	DisbondPort(ctx context.Context, id string) (*packet.Port, error)
	ConvertLayer2(ctx context.Context, id string) (*packet.Port, error)
	ConvertLayer3(ctx context.Context, id string, convert packet.PortConvertLayer3) (*packet.Port, error)
	ProjectBGPSessions(ctx context.Context, projectID string, options ...packet.QueryOption) ([]packet.BGPSession, error)
	CreateBGPSession(ctx context.Context, deviceID string, create packet.BGPSessionCreate) (*packet.BGPSession, error)
}

// Project sets up the networks of a project's devices. It is shared by everything that works on one project.
type Project struct {
	api      API
	vlans    *packet.ListingCache[[]packet.VirtualNetwork]
	sessions *packet.ListingCache[[]packet.BGPSession]
}

// NewProject makes a Project. Nothing is read yet.
func NewProject(api API, projectID string, clock packet.Clock) *Project {
	return &Project{
		api: api,
		vlans: packet.NewListingCache(func(ctx context.Context) ([]packet.VirtualNetwork, error) {
			return api.VirtualNetworks(ctx, projectID)
		}, "the list of VLANs", directoryTTL, clock),
		sessions: packet.NewListingCache(func(ctx context.Context) ([]packet.BGPSession, error) {
			return api.ProjectBGPSessions(ctx, projectID)
		}, "the list of BGP sessions", directoryTTL, clock),
	}
}

// SetUp makes the ports of an active device what a specification says. A device that is so already costs no call. It
// returns what was done, in words, for an event.
//
// A change is made on the ports as they are read then, not as the listing had them, and each step of it is one call
// (assignPort, convertLayer2, …). The error is an *UnknownVLANError or *UnknownPortError where a machine asks for what there
// is not.
func (p *Project) SetUp(ctx context.Context, device *packet.Device, network infrav1.PacketMachineNetwork) ([]string, error) {
	if network.Type == "" && len(network.VLANs) == 0 {
		return nil, nil
	}
	w, err := p.resolve(ctx, device, network)
	if err != nil {
		return nil, err
	}
	if name := missing(device.NetworkPorts, w); name != "" {
		return nil, &UnknownPortError{Port: name, Ports: device.NetworkPorts}
	}
	if len(plan(device.NetworkPorts, w)) == 0 {
		return nil, nil
	}
	current, err := p.api.Device(ctx, device.ID)
	if err != nil {
		return nil, fmt.Errorf("reading the ports of device %s: %w", device.ID, err)
	}
	var done []string
	for _, step := range plan(current.NetworkPorts, w) {
		if err := p.carryOut(ctx, step, network); err != nil {
			// The VLAN may be another one by now than its number was resolved to.
			p.vlans.Forget()
			return done, fmt.Errorf("%s: %w", step, err)
		}
		done = append(done, step.String())
	}
	return done, nil
}

// UnknownPortError tells of a port that a device does not have.
type UnknownPortError struct {
	Port  string
	Ports []packet.Port
}

// Error implements error.
func (e *UnknownPortError) Error() string {
	names := make([]string, 0, len(e.Ports))
	for _, port := range e.Ports {
		names = append(names, port.Name)
	}
	return fmt.Sprintf("spec.network.vlans: the device has no port %s, but %s: name one of these in a new machine", e.Port, strings.Join(names, ", "))
}

// resolve finds the UUIDs of VLANs that are given by their number, which is unique in a metro.
func (p *Project) resolve(ctx context.Context, device *packet.Device, network infrav1.PacketMachineNetwork) (wanted, error) {
	metro := ""
	if device.Metro != nil {
		metro = device.Metro.Code
	}
	w, err := want(network, nil)
	var unknown *UnknownVLANError
	for try := 0; errors.As(err, &unknown) && try < 2; try++ {
		list, listErr := p.vlans.Recent(ctx)
		if try > 0 {
			// It may have been made since the last listing.
			list, listErr = p.vlans.Fresh(ctx)
		}
		if listErr != nil {
			return w, fmt.Errorf("listing the VLANs of the project: %w", listErr)
		}
		w, err = want(network, numbers(list, metro))
	}
	if errors.As(err, &unknown) {
		unknown.Metro = metro
	}
	return w, err
}

func numbers(list []packet.VirtualNetwork, metro string) map[int]string {
	ids := make(map[int]string, len(list))
	for _, network := range list {
		if network.MetroCode == metro {
			ids[network.VXLAN] = networkID(network)
		}
	}
	return ids
}

// String says what a step does.
func (s step) String() string {
	if s.vlan == "" {
		return fmt.Sprintf("%s: %s", s.port.Name, s.action)
	}
	return fmt.Sprintf("%s: %s %s", s.port.Name, s.action, s.vlan)
}

func (p *Project) carryOut(ctx context.Context, s step, network infrav1.PacketMachineNetwork) error {
	var err error
	switch s.action {
	case convertLayer2:
		_, err = p.api.ConvertLayer2(ctx, s.port.ID)
	case convertLayer3:
		_, err = p.api.ConvertLayer3(ctx, s.port.ID, packet.PortConvertLayer3{RequestIPs: requested(network)})
	case putIntoBond:
		_, err = p.api.BondPort(ctx, s.port.ID)
	case takeOutOfBond:
		_, err = p.api.DisbondPort(ctx, s.port.ID)
	case assign:
		_, err = p.api.AssignPort(ctx, s.port.ID, s.vlan)
	case unassign:
		_, err = p.api.UnassignPort(ctx, s.port.ID, s.vlan)
	case makeNative:
		_, err = p.api.AssignNativeVLAN(ctx, s.port.ID, s.vlan)
	}
	return err
}

// requested are the addresses that a device gets when it goes back to layer 3; none means one of each type.
func requested(network infrav1.PacketMachineNetwork) []packet.IPRequest {
	if len(network.Addresses) == 0 && network.PrivateOnly != nil && *network.PrivateOnly {
		return []packet.IPRequest{{AddressFamily: 4}}
	}
	var list []packet.IPRequest
	for _, address := range network.Addresses {
		request := packet.IPRequest{AddressFamily: 4, Public: address.Type != infrav1.AddressPrivateIPv4}
		if address.Type == infrav1.AddressPublicIPv6 {
			request.AddressFamily = 6
		}
		list = append(list, request)
	}
	return list
}
