package controlplane

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// inNamespace is set in the process that plays the machine.
const inNamespace = "PACKETYARD_TEST_IN_NETWORK_NAMESPACE"

// asMachine runs the calling test again, in a process that has a network of its own and may change it; it tells whether this is it.
func asMachine(t *testing.T) bool {
	t.Helper()
	if os.Getenv(inNamespace) != "" {
		return true
	}
	if _, err := exec.LookPath("ip"); err != nil {
		t.Fatalf("%v: the script is run with the real one; on Debian: apt-get install iproute2", err)
	}
	command := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^"+t.Name()+"$", "-test.v")
	command.Env = append(os.Environ(), inNamespace+"=1")
	command.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNET,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
	}
	if output, err := command.CombinedOutput(); err != nil {
		t.Errorf("in a network namespace: %v\n%s", err, output)
	}
	return false
}

func do(t *testing.T, program string, args ...string) string {
	t.Helper()
	output, err := exec.CommandContext(t.Context(), program, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", program, strings.Join(args, " "), err, output)
	}
	return string(output)
}

// machine is a device of the real API server, whose private network is up.
type machine struct {
	device  *packet.Device
	private packet.IPAssignment
	service *httptest.Server
	asked   atomic.Int32
	// answer takes the place of the metadata service's, unless it is nil.
	answer http.Handler
	script string
	kept   string
}

func newMachine(t *testing.T, customData string) *machine {
	t.Helper()
	do(t, "ip", "link", "set", "lo", "up")
	api := apiservertest.Start(t, apiservertest.Options{})
	device, err := api.Client(t).CreateDevice(t.Context(), api.ProjectID, packet.DeviceCreate{
		Hostname: "node-0", Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "ny", CustomData: json.RawMessage(customData),
	})
	if err != nil {
		t.Fatal(err)
	}
	m := &machine{device: device, script: filepath.Join(t.TempDir(), "bgp-peer.sh"), kept: filepath.Join(t.TempDir(), "gateway")}
	i := slices.IndexFunc(device.IPAddresses, func(address packet.IPAssignment) bool {
		return address.AddressFamily == 4 && !address.Public && address.Management
	})
	if i < 0 {
		t.Fatalf("the device has no private address: %+v", device.IPAddresses)
	}
	m.private = device.IPAddresses[i]
	m.service = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		m.asked.Add(1)
		if m.answer != nil {
			m.answer.ServeHTTP(w, r)
			return
		}
		// The service knows a machine by its address.
		r.RemoteAddr = net.JoinHostPort(m.private.Address, "40000")
		api.MetadataHandler().ServeHTTP(w, r)
	}))
	t.Cleanup(m.service.Close)
	if err := os.WriteFile(m.script, []byte(peerRouteText), 0o700); err != nil { //nolint:gosec // It is to be executed.
		t.Fatal(err)
	}
	do(t, "ip", "link", "add", "bond0", "type", "veth", "peer", "name", "rack0")
	do(t, "ip", "link", "set", "rack0", "up")
	do(t, "ip", "link", "set", "bond0", "up")
	do(t, "ip", "address", "add", fmt.Sprintf("%s/%d", m.private.Address, m.private.CIDR), "dev", "bond0")
	return m
}

func (m *machine) run(t *testing.T) (string, error) {
	t.Helper()
	command := exec.CommandContext(t.Context(), m.script)
	// What a node may lack is not to be found.
	command.Env = []string{"PATH=" + minimalPath(t), "METADATA_URL=" + m.service.URL, "GATEWAY_FILE=" + m.kept}
	output, err := command.CombinedOutput()
	return string(output), err
}

// minimalPath has what the operating systems of nodes surely have, and no curl, wget, jq or Python.
func minimalPath(t *testing.T) string {
	t.Helper()
	folder := t.TempDir()
	for _, name := range []string{"sh", "bash", "awk", "cat", "ip", "timeout"} {
		program, err := exec.LookPath(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(program, filepath.Join(folder, name)); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

func (m *machine) wantRoutes(t *testing.T, gateway string) {
	t.Helper()
	for _, peer := range []string{"169.254.255.1", "169.254.255.2"} {
		routes := strings.Split(strings.TrimSpace(do(t, "ip", "-4", "route", "show", peer)), "\n")
		if len(routes) != 1 || !strings.HasPrefix(routes[0], peer+" via "+gateway+" dev bond0") {
			t.Errorf("the routes to %s are %q, want one through %s", peer, routes, gateway)
		}
	}
}

// hostile is what a user may keep in the custom data of a device.
const hostile = `{"network":{"addresses":[{"address_family":4,"public":false,"management":true,"gateway":"192.0.2.66"}]},
	"note":"} ] \" , {\"addresses\": [ \\","addresses":[[{"gateway":"192.0.2.67"}]]}`

// The script once needed jq and curl, and failed when its routes were there.
func TestThePeersAreRoutedAgainAndAgainWithoutJQ(t *testing.T) {
	if !asMachine(t) {
		return
	}
	m := newMachine(t, hostile)
	for range 3 {
		if output, err := m.run(t); err != nil {
			t.Fatalf("%v\n%s", err, output)
		}
		m.wantRoutes(t, m.private.Gateway)
	}
	if asked := m.asked.Load(); asked != 1 {
		t.Errorf("the metadata service was asked %d times for three runs, want once", asked)
	}

	// systemd-networkd removes routes that are not its own when it restarts.
	do(t, "ip", "route", "del", "169.254.255.1")
	if output, err := m.run(t); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	m.wantRoutes(t, m.private.Gateway)

	// A gateway that was kept and is of use no more is forgotten.
	if err := os.WriteFile(m.kept, []byte("203.0.113.1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if output, err := m.run(t); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	m.wantRoutes(t, m.private.Gateway)
	if asked := m.asked.Load(); asked != 2 {
		t.Errorf("the metadata service was asked %d times, want twice", asked)
	}
}

func TestThePeersAreRoutedWithoutMetadataWhereTheImageKnowsTheGateway(t *testing.T) {
	if !asMachine(t) {
		return
	}
	m := newMachine(t, "")
	for name, answer := range map[string]http.HandlerFunc{
		"an error": func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, `{"network":{}}`, http.StatusInternalServerError)
		},
		"no document": func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") },
		"nothing":     func(http.ResponseWriter, *http.Request) {},
		"a torn paper": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"network":{"addresses":[{"address_family":4,"public":false`)
		},
		"public alone": func(w http.ResponseWriter, _ *http.Request) {
			fmt.Fprint(w, `{"network":{"addresses":[{"address_family":4,"public":true,"management":true,"gateway":"198.18.0.1"},{"address_family":6,"public":false,"management":true,"gateway":"fe80::1"},{"address_family":4,"public":false,"management":false,"gateway":"10.9.9.9"}]}}`)
		},
	} {
		m.answer = answer
		output, err := m.run(t)
		if err == nil || !strings.Contains(output, "no gateway of a private IPv4 network") {
			t.Errorf("%s: got %v, %s, want an error: nobody knows the gateway", name, err, output)
		}
		if routes := do(t, "ip", "-4", "route", "show", "169.254.255.1"); routes != "" {
			t.Errorf("%s: there is the route %s", name, routes)
		}
	}
	do(t, "ip", "route", "add", "10.0.0.0/8", "via", m.private.Gateway)
	if output, err := m.run(t); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	m.wantRoutes(t, m.private.Gateway)
}

// Nothing but JSON itself says how its documents are laid out.
func TestThePrivateGatewayIsFoundHoweverTheMetadataIsWritten(t *testing.T) {
	if !asMachine(t) {
		return
	}
	m := newMachine(t, hostile)
	m.answer = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorded := httptest.NewRecorder()
		answer := m.answer
		m.answer = nil
		m.service.Config.Handler.ServeHTTP(recorded, r)
		m.answer = answer
		var sorted any
		if err := json.Unmarshal(recorded.Body.Bytes(), &sorted); err != nil {
			t.Error(err)
		}
		body, err := json.Marshal(sorted)
		if err != nil {
			t.Error(err)
		}
		var indented bytes.Buffer
		if err := json.Indent(&indented, body, "", "\t"); err != nil {
			t.Error(err)
		}
		_, _ = w.Write(bytes.ReplaceAll(indented.Bytes(), []byte("\n"), []byte("\r\n")))
	})
	if output, err := m.run(t); err != nil {
		t.Fatalf("%v\n%s", err, output)
	}
	m.wantRoutes(t, m.private.Gateway)
	if _, err := netip.ParseAddr(m.private.Gateway); err != nil {
		t.Fatal(err)
	}
}

func TestMetadataURLs(t *testing.T) {
	for address, good := range map[string]bool{
		"http://metadata.packet.net": true, "https://metadata.platformequinix.com/": true, "http://192.0.2.7:8080/a/b": true, "http://[2001:db8::1]:80": true,
		"": false, "metadata.packet.net": false, "http://": false, "http://u:p@x": false, "http://x y": false, "http://x/%n": false, "http://x\nExecStart=x": false,
		"http://x/$(reboot)": false, "ftp://x": false, "http://-x": false,
	} {
		if err := checkMetadataURL(address); (err == nil) != good {
			t.Errorf("%q: got %v, want it to be good: %t", address, err, good)
		}
	}
}

func TestScriptsArePOSIX(t *testing.T) {
	for name, text := range map[string]string{"bgp-peer.sh": peerRouteText, "lvm.sh": dataVolumeText} {
		command := exec.CommandContext(t.Context(), "sh", "-n")
		command.Stdin = strings.NewReader(text)
		if output, err := command.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", name, err, output)
		}
	}
}
