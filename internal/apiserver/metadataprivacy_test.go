package apiserver_test

import (
	"encoding/json"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// TestMetadataIsForItsMachineAlone asks from addresses of all kinds, and looks
// for marks of a machine in what others are told.
func TestMetadataIsForItsMachineAlone(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	service := startMetadata(t, server)
	c := server.Client(t)
	ctx := t.Context()
	marked := order("marked-hostname")
	marked.Userdata = "#!/bin/sh\necho marked-userdata\n"
	marked.Tags = []string{"marked-tag"}
	marked.CustomData = json.RawMessage(`{"marked":"customdata"}`)
	one := activeDevice(t, c, server.ProjectID, marked)
	two := activeDevice(t, c, server.ProjectID, order("other"))

	block := reserveIPs(t, c, server.ProjectID, packet.IPTypePublicIPv4, 8)
	whole, err := c.AssignIP(ctx, one.ID, block.Network+"/30")
	if err != nil {
		t.Fatal(err)
	}
	global := reserveIPs(t, c, server.ProjectID, packet.IPTypeGlobalIPv4, 1)
	if _, err := c.AssignIP(ctx, one.ID, global.Address); err != nil {
		t.Fatal(err)
	}
	last := netip.MustParseAddr(block.Network).Next().Next().Next()

	for what, address := range map[string]string{
		"its own address":                 one.IPAddresses[0].Address,
		"its address, written as IPv6":    "::ffff:" + one.IPAddresses[0].Address,
		"an address of its elastic block": last.String(),
		"the first one of that":           block.Network,
	} {
		if got := at(t, service.from(address).metadata(t), "id"); got != one.ID {
			t.Errorf("from %s, %s, the machine is %v", what, address, got)
		}
	}
	marks := []string{"marked", one.ID, one.ShortID, whole.ID, global.ID, block.Network}
	for _, address := range one.IPAddresses {
		marks = append(marks, address.Address)
	}
	paths := []string{
		"/metadata", "/userdata", "/api/v1/metadata", "/2009-04-04/meta-data", "/2009-04-04/user-data", "/2009-04-04/meta-data/hostname",
		"/2009-04-04/meta-data/tags", "/2009-04-04/meta-data/public-ipv4", "/2009-04-04/meta-data/instance-id",
	}
	for what, test := range map[string]struct {
		address string
		status  int
	}{
		"another machine":                  {two.IPAddresses[2].Address, 200},
		"nobody":                           {"198.18.200.200", 404},
		"the gateway of its block":         {one.IPAddresses[0].Gateway, 404},
		"the rest of the elastic block":    {last.Next().String(), 404},
		"the global address":               {global.Address, 404},
		"nobody in the project's /56":      {one.IPAddresses[1].Address[:strings.LastIndex(one.IPAddresses[1].Address, ":")] + ":ff", 404},
		"the host that the server runs on": {"127.0.0.1", 404},
	} {
		machine := service.from(test.address)
		for _, path := range paths {
			told := machine.get(t, path, test.status)
			for _, mark := range marks {
				if strings.Contains(told, mark) {
					t.Errorf("%s, %s, is told %q by %s", what, test.address, mark, path)
				}
			}
		}
		if test.status == 404 {
			machine.post(t, "/phone-home", "", 404)
			machine.post(t, "/events", `{"state":"running"}`, 404)
		}
	}

	// An address that moved belongs to whoever has it now, and one of a device
	// that is gone to nobody.
	if err := c.DeleteIP(ctx, whole.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := c.AssignIP(ctx, two.ID, last.String()); err != nil {
		t.Fatal(err)
	}
	if got := at(t, service.from(last.String()).metadata(t), "id"); got != two.ID {
		t.Errorf("once it has moved the address is that of %v", got)
	}
	if err := c.DeleteDevice(ctx, one.ID, false); err != nil {
		t.Fatal(err)
	}
	waitGone(t, c, one.ID)
	service.from(one.IPAddresses[0].Address).get(t, "/metadata", 404)
}

// TestNoMetadataInLayer2 takes the addresses from a machine's network.
func TestNoMetadataInLayer2(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	service := startMetadata(t, server)
	device := activeDevice(t, server.Client(t), server.ProjectID, order("layer-2"))
	machine := service.from(device.IPAddresses[0].Address)
	machine.get(t, "/metadata", 200)
	if answer, object := raw(t, server, "POST", "/ports/"+device.NetworkPorts[0].ID+"/convert/layer-2", "{}"); answer.StatusCode != http.StatusOK {
		t.Fatalf("converting to layer 2: %d %v", answer.StatusCode, object)
	}
	machine.get(t, "/metadata", 404)
	machine.get(t, "/userdata", 404)
}
