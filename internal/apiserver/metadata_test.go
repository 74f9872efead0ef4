package apiserver_test

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

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

func TestMetadata(t *testing.T) {
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
	one := activeDevice(t, c, server.ProjectID, create)
	two := activeDevice(t, c, server.ProjectID, order("node-2"))

	for _, address := range one.IPAddresses {
		machine := service.from(address.Address)
		var metadata struct {
			ID, Hostname, IQN, Plan, Facility, Metro string
			Tags                                     []string
			SSHKeys                                  []string `json:"ssh_keys"`
			PrivateSubnets                           []string `json:"private_subnets"`
			OperatingSystem                          struct{ Slug, Distro, Version string }
			CustomData                               map[string]string
			PhoneHomeURL                             string `json:"phone_home_url"`
			UserStateURL                             string `json:"user_state_url"`
			State                                    string
			Network                                  struct {
				Bonding    struct{ Mode int }
				Interfaces []struct{ Name, MAC, Bond string }
				Addresses  []struct {
					Address, Gateway string
					ParentBlock      packet.ParentBlock `json:"parent_block"`
				}
			}
		}
		if err := json.Unmarshal([]byte(machine.get(t, "/metadata", 200)), &metadata); err != nil {
			t.Fatal(err)
		}
		if metadata.ID != one.ID || metadata.Hostname != "node-1" || metadata.Plan != "c3.small.x86" || metadata.Facility != "da11" ||
			metadata.Metro != "da" || metadata.IQN != one.IQN || len(metadata.Tags) != 2 || metadata.State != "active" {
			t.Errorf("from %s the metadata are %+v", address.Address, metadata)
		}
		if len(metadata.SSHKeys) != 1 || metadata.SSHKeys[0] != testKey || metadata.CustomData["color"] != "blue" {
			t.Errorf("keys %v, custom data %v", metadata.SSHKeys, metadata.CustomData)
		}
		if metadata.PhoneHomeURL != service.base+"/phone-home" || metadata.UserStateURL != service.base+"/events" {
			t.Errorf("URLs to report to are %s and %s", metadata.PhoneHomeURL, metadata.UserStateURL)
		}
		if len(metadata.Network.Interfaces) != 2 || metadata.Network.Bonding.Mode != 4 || len(metadata.Network.Addresses) != 3 ||
			metadata.Network.Addresses[2].ParentBlock.CIDR != 25 {
			t.Errorf("network is %+v", metadata.Network)
		}
		if got := machine.get(t, "/userdata", 200); got != create.Userdata {
			t.Errorf("user data is %q", got)
		}
	}

	machine := service.from(one.IPAddresses[0].Address)
	for path, want := range map[string]string{
		"/2009-04-04/":                                               "meta-data/\nuser-data\n",
		"/2009-04-04/user-data":                                      create.Userdata,
		"/2009-04-04/meta-data/instance-id":                          one.ID,
		"/2009-04-04/meta-data/public-ipv4":                          one.IPAddresses[0].Address,
		"/2009-04-04/meta-data/public-ipv6":                          one.IPAddresses[1].Address,
		"/2009-04-04/meta-data/local-ipv4":                           one.IPAddresses[2].Address,
		"/2009-04-04/meta-data/tags":                                 "a\nb",
		"/2009-04-04/meta-data/operating-system":                     "slug\ndistro\nversion\nlicense-activation/",
		"/2009-04-04/meta-data/operating-system/distro":              "ubuntu",
		"/2009-04-04/meta-data/operating-system/license-activation/": "state",
		"/api/v1/userdata":                                           create.Userdata,
	} {
		if got := machine.get(t, path, 200); got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	if got := machine.get(t, "/2009-04-04/meta-data", 200); !strings.Contains(got, "hostname\n") || !strings.Contains(got, "operating-system/\n") {
		t.Errorf("the tree is %q", got)
	}
	machine.get(t, "/2009-04-04/meta-data/nothing", 404)

	if got := service.from(two.IPAddresses[2].Address).get(t, "/userdata", 200); got != "" {
		t.Errorf("the other machine's user data is %q", got)
	}
	stranger := service.from("198.18.200.200")
	stranger.get(t, "/metadata", 404)
	stranger.get(t, "/userdata", 404)
	stranger.post(t, "/phone-home", "", 404)

	machine.post(t, "/events", `{"state":"failed","code":1002,"message":"kubeadm: it broke"}`, 204)
	machine.post(t, "/events", `{"state":"odd"}`, 422)
	machine.post(t, "/events", `{"state":"failed","code":7}`, 422)
	machine.post(t, "/events", `failed`, 400)
	events, err := c.DeviceEvents(t.Context(), one.ID)
	if err != nil {
		t.Fatal(err)
	}
	if events[0].Type != packet.UserStateFailed || events[0].State != "failed" || events[0].Body != "kubeadm: it broke" || len(events) != 11 {
		t.Errorf("the newest of %d events is %+v, want what the machine said", len(events), events[0])
	}

	// What is too long is cut between two characters.
	machine.post(t, "/events", `{"state":"running","message":"é`+strings.Repeat("x", 4095)+`"}`, 204)
	if events, err = c.DeviceEvents(t.Context(), one.ID); err != nil || events[0].Body != strings.Repeat("x", 4095) {
		t.Errorf("a message that is too long begins with %.8q (%v)", events[0].Body, err)
	}
}
