package apiserver_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/packethost/packngo/metadata"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// metadataService is the metadata service on a port of this host, with
// connections that come from where their test says.
type metadataService struct {
	source chan net.Addr
	base   string
}

// sourceListener gives every connection the next source address.
type sourceListener struct {
	net.Listener
	source <-chan net.Addr
}

type sourceConn struct {
	net.Conn
	source net.Addr
}

func (c sourceConn) RemoteAddr() net.Addr { return c.source }

func (l sourceListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return sourceConn{conn, <-l.source}, nil
}

func startMetadata(t testing.TB, server *apiservertest.Server) *metadataService {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	m := &metadataService{source: make(chan net.Addr, 1), base: "http://" + listener.Addr().String()}
	service := &http.Server{Handler: server.MetadataHandler()}
	served := make(chan struct{})
	go func() {
		defer close(served)
		_ = service.Serve(sourceListener{listener, m.source})
	}()
	t.Cleanup(func() {
		_ = service.Close()
		<-served
	})
	return m
}

// machineClient asks from one address.
type machineClient struct {
	service *metadataService
	client  *http.Client
}

func (m *metadataService) from(address string) machineClient {
	source := &net.TCPAddr{IP: net.ParseIP(address), Port: 40000}
	return machineClient{m, &http.Client{Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			m.source <- source
			return new(net.Dialer).DialContext(ctx, network, address)
		},
	}}}
}

func (c machineClient) do(t testing.TB, method, path, body string, status int) string {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, c.service.base+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	if answer.StatusCode != status {
		t.Errorf("%s %s: %d %.200s, want %d", method, path, answer.StatusCode, data, status)
	}
	return string(data)
}

func (c machineClient) get(t testing.TB, path string, status int) string {
	t.Helper()
	return c.do(t, "GET", path, "", status)
}

func (c machineClient) post(t testing.TB, path, body string, status int) {
	t.Helper()
	c.do(t, "POST", path, body, status)
}

// metadata decodes the document that a machine gets.
func (c machineClient) metadata(t testing.TB) map[string]any {
	t.Helper()
	var document map[string]any
	if err := json.Unmarshal([]byte(c.get(t, "/metadata", 200)), &document); err != nil {
		t.Fatal(err)
	}
	return document
}

// at finds what is at a path of a document: keys, and numbers for the
// elements of lists.
func at(t testing.TB, document any, path string) any {
	t.Helper()
	for _, part := range strings.Split(path, ".") {
		switch value := document.(type) {
		case map[string]any:
			found, ok := value[part]
			if !ok {
				t.Fatalf("%s: there is no %s", path, part)
			}
			document = found
		case []any:
			i, err := strconv.Atoi(part)
			if err != nil || i >= len(value) {
				t.Fatalf("%s: there is no %s in %v", path, part, value)
			}
			document = value[i]
		default:
			t.Fatalf("%s: %s is in %v", path, part, value)
		}
	}
	return document
}

// TestMetadataDocument compares the document with those that the service's
// own implementation has in its tests.
func TestMetadataDocument(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	service := startMetadata(t, server)
	c := server.Client(t)
	if _, err := c.CreateProjectSSHKey(t.Context(), server.ProjectID, packet.SSHKeyCreate{Label: "k", Key: testKey}); err != nil {
		t.Fatal(err)
	}
	create := order("node-1")
	create.Userdata = "#!/bin/sh\necho one\n"
	create.Tags = []string{"a", "b"}
	create.CustomData = json.RawMessage(`{"color":"blue"}`)
	device := activeDevice(t, c, server.ProjectID, create)
	if err := c.RequestBGPConfig(t.Context(), server.ProjectID, packet.BGPConfigRequest{DeploymentType: packet.BGPLocal, ASN: 65000}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.CreateBGPSession(t.Context(), device.ID, packet.BGPSessionCreate{AddressFamily: packet.BGPIPv4}); err != nil {
		t.Fatal(err)
	}
	elastic := reserveIPs(t, c, server.ProjectID, packet.IPTypePublicIPv4, 1)
	if _, err := c.AssignIP(t.Context(), device.ID, elastic.Address); err != nil {
		t.Fatal(err)
	}

	for _, address := range device.IPAddresses {
		machine := service.from(address.Address)
		document := machine.metadata(t)
		for path, want := range map[string]any{
			"id": device.ID, "hostname": "node-1", "iqn": device.IQN, "plan": "c3.small.x86", "class": "c3.small.x86",
			"facility": "da11", "metro": "da", "reserved": false, "state": "active", "switch_short_id": device.SwitchUUID[:8],
			"operating_system.slug": "ubuntu_24_04", "operating_system.distro": "ubuntu", "operating_system.version": "24.04",
			"operating_system.license_activation.state": "unlicensed",
			"private_subnets.0":                         "10.0.0.0/8", "tags.1": "b", "ssh_keys.0": testKey, "customdata.color": "blue",
			"specs.memory.total": "32GB", "specs.cpus.0.count": 1.0, "specs.drives.0.category": "boot",
			"storage_source": "default", "storage.disks.0.device": "/dev/sda", "storage.disks.0.partitions.2.label": "ROOT",
			"storage.filesystems.0.mount.device": "/dev/sda3", "storage.filesystems.0.mount.point": "/",
			"network.bonding.mode": 4.0, "network.bonding.link_aggregation": "mlag_ha", "network.bonding.mac": at(t, document, "network.interfaces.0.mac"),
			"network.interfaces.1.name": "eth1", "network.interfaces.1.bond": "bond0",
			"network.addresses.0.address": device.IPAddresses[0].Address, "network.addresses.0.cidr": 31.0,
			"network.addresses.1.address_family": 6.0, "network.addresses.2.public": false, "network.addresses.2.management": true,
			"network.addresses.2.gateway": device.IPAddresses[2].Gateway, "network.addresses.2.parent_block.cidr": 25.0,
			"network.addresses.2.parent_block.netmask": "255.255.255.128",
			"network.addresses.3.address":              elastic.Address, "network.addresses.3.management": false,
			"bgp_neighbors.0.customer_ip": device.IPAddresses[2].Address, "bgp_neighbors.0.peer_ips.1": "169.254.255.2", "bgp_neighbors.0.peer_as": 65530.0,
			"api_url": service.base, "phone_home_url": service.base + "/phone-home", "user_state_url": service.base + "/events",
		} {
			if got := at(t, document, path); got != want {
				t.Errorf("from %s: %s is %v, want %v", address.Address, path, got, want)
			}
		}
		for path, want := range map[string]int{"volumes": 0, "network.metal_gateways": 0, "network.addresses": 4, "network.interfaces": 2, "bgp_neighbors": 1} {
			if got, ok := at(t, document, path).([]any); !ok || len(got) != want {
				t.Errorf("%s is %v, want a list of %d", path, at(t, document, path), want)
			}
		}
		if tag, _ := at(t, document, "operating_system.image_tag").(string); len(tag) != 40 {
			t.Errorf("the image tag is %q, want a commit", tag)
		}
		if spot, ok := at(t, document, "spot").(map[string]any); !ok || len(spot) != 0 {
			t.Errorf("spot is %v, want an empty object", spot)
		}
		if got := machine.get(t, "/userdata", 200); got != create.Userdata {
			t.Errorf("user data is %q", got)
		}
	}

	// packngo has a client of its own for machines.
	service.source <- &net.TCPAddr{IP: net.ParseIP(device.IPAddresses[0].Address), Port: 40000}
	found, err := metadata.GetMetadataFromURL(service.base)
	http.DefaultClient.CloseIdleConnections()
	if err != nil || found.ID != device.ID || len(found.Network.Addresses) != 4 || found.OS.Slug != "ubuntu_24_04" {
		t.Errorf("packngo reads %+v, %v", found, err)
	}
}

// TestMetadataEC2 goes through the whole tree.
func TestMetadataEC2(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	service := startMetadata(t, server)
	c := server.Client(t)
	if _, err := c.CreateProjectSSHKey(t.Context(), server.ProjectID, packet.SSHKeyCreate{Label: "k", Key: testKey}); err != nil {
		t.Fatal(err)
	}
	create := order("node-1")
	create.Userdata = "#!/bin/sh\necho one\n"
	create.Tags = []string{"a", "b"}
	device := activeDevice(t, c, server.ProjectID, create)
	elastic := reserveIPs(t, c, server.ProjectID, packet.IPTypePublicIPv4, 1)
	if _, err := c.AssignIP(t.Context(), device.ID, elastic.Address); err != nil {
		t.Fatal(err)
	}
	machine := service.from(device.IPAddresses[0].Address)
	for path, want := range map[string]string{
		"/2009-04-04":           "meta-data\nuser-data",
		"/2009-04-04/":          "meta-data\nuser-data",
		"/2009-04-04/user-data": create.Userdata,
		"/2009-04-04/meta-data": "instance-id\nhostname\nlocal-hostname\niqn\nplan\nfacility\ntags\noperating-system\npublic-keys\n" +
			"public-ipv4\npublic-ipv6\nlocal-ipv4",
		"/2009-04-04/meta-data/instance-id":                          device.ID,
		"/2009-04-04/meta-data/hostname":                             "node-1",
		"/2009-04-04/meta-data/iqn":                                  device.IQN,
		"/2009-04-04/meta-data/plan":                                 "c3.small.x86",
		"/2009-04-04/meta-data/facility":                             "da11",
		"/2009-04-04/meta-data/public-keys":                          testKey,
		"/2009-04-04/meta-data/public-ipv4":                          device.IPAddresses[0].Address + "\n" + elastic.Address,
		"/2009-04-04/meta-data/public-ipv6":                          device.IPAddresses[1].Address,
		"/2009-04-04/meta-data/local-ipv4":                           device.IPAddresses[2].Address,
		"/2009-04-04/meta-data/tags":                                 "a\nb",
		"/2009-04-04/meta-data/operating-system":                     "slug\ndistro\nversion\nlicense-activation\nimage-tag",
		"/2009-04-04/meta-data/operating-system/distro":              "ubuntu",
		"/2009-04-04/meta-data/operating-system/license-activation/": "state",
		"/api/v1/userdata":                                           create.Userdata,
	} {
		if got := machine.get(t, path, 200); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	if got, want := machine.get(t, "/2009-04-04/meta-data/", 200), machine.get(t, "/2009-04-04/meta-data", 200); got != want {
		t.Errorf("with a slash the tree is %q", got)
	}
	for _, path := range []string{"/2009-04-04/meta-data/nothing", "/2009-04-04/meta-data/spot", "/2009-04-04/meta-data/operating-system/slug/x", "/latest/meta-data", "/"} {
		if got := machine.get(t, path, 404); got != `{"errors":["Not found"]}`+"\n" {
			t.Errorf("%s is %q, want an error as JSON", path, got)
		}
	}
	// A machine without tags and keys has these leaves all the same.
	bare := order("bare")
	bare.NoSSHKeys = true
	other := service.from(activeDevice(t, c, server.ProjectID, bare).IPAddresses[0].Address)
	for _, path := range []string{"/2009-04-04/meta-data/tags", "/2009-04-04/meta-data/public-keys", "/userdata"} {
		if got := other.get(t, path, 200); got != "" {
			t.Errorf("%s is %q, want nothing", path, got)
		}
	}
}

// TestMetadataOfASpotInstance tells a machine when it goes.
func TestMetadataOfASpotInstance(t *testing.T) {
	clock := newClock()
	server := apiservertest.Start(t, apiservertest.Options{Clock: clock})
	service := startMetadata(t, server)
	create := order("spot")
	end := clock.Now().Add(time.Hour)
	create.SpotInstance, create.SpotPriceMax, create.TerminationTime = true, 10, packet.NewTimestamp(end)
	device := activeDevice(t, server.Client(t), server.ProjectID, create)
	machine := service.from(device.IPAddresses[2].Address)
	if got := at(t, machine.metadata(t), "spot.termination_time"); got != end.Format(time.RFC3339) {
		t.Errorf("the machine goes at %v, want %s", got, end.Format(time.RFC3339))
	}
	for path, want := range map[string]string{
		"/2009-04-04/meta-data/spot":                  "termination-time",
		"/2009-04-04/meta-data/spot/termination-time": end.Format(time.RFC3339),
	} {
		if got := machine.get(t, path, 200); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	if tree := machine.get(t, "/2009-04-04/meta-data", 200); !strings.Contains(tree, "\npublic-keys\nspot\npublic-ipv4\n") {
		t.Errorf("the tree is %q, want spot in its place", tree)
	}
}
