package packetserver_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/packetyard/packetyard/pkg/packet"
	"github.com/packetyard/packetyard/pkg/packetserver"
)

// A server with a project of one's own, in which the third creation of a
// device fails, and the clock is turned.
func Example() {
	ctx := context.Background()
	server, err := packetserver.New(ctx, packetserver.WithSeed(`
projects:
- id: 5f0c1a2b-0000-4000-8000-000000000001
  name: web
  tokens: [{token: web-token, description: web}]
`))
	if err != nil {
		log.Fatal(err)
	}
	defer server.Close()

	client, err := packet.NewClient(packet.Config{BaseURL: server.URL(), Token: "web-token", Retries: -1})
	if err != nil {
		log.Fatal(err)
	}
	if _, err := server.AddFault(ctx, packetserver.Fault{
		Operation: "createDevice", Caller: "web", Skip: 2, Count: 1, Status: 503, Errors: []string{"Server is not provisionable"},
	}); err != nil {
		log.Fatal(err)
	}
	for i := range 4 {
		_, err := client.CreateDevice(ctx, "5f0c1a2b-0000-4000-8000-000000000001", packet.DeviceCreate{
			Hostname: fmt.Sprintf("web-%d", i+1), Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da",
		})
		fmt.Println(err == nil)
	}
	count, err := server.CountRequests(ctx, "createDevice", "web")
	fmt.Println(count, "requests,", err)
	// Output:
	// true
	// true
	// false
	// true
	// 4 requests, <nil>
}

func TestControl(t *testing.T) {
	server := packetserver.Start(t, packetserver.WithProfile(packetserver.Realistic), packetserver.WithToken("fixed"))
	client, err := server.Client()
	if err != nil {
		t.Fatal(err)
	}
	if server.Token() != "fixed" || !strings.HasSuffix(server.URL(), "/metal/v1") {
		t.Errorf("token %q, URL %q", server.Token(), server.URL())
	}
	before, err := server.Snapshot(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	device, err := client.CreateDevice(t.Context(), server.ProjectID(), packet.DeviceCreate{
		Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da",
	})
	if err != nil {
		t.Fatal(err)
	}
	for device.State != packet.StateActive {
		if _, err := server.Advance(t.Context(), time.Minute); err != nil {
			t.Fatal(err)
		}
		if device, err = client.Device(t.Context(), device.ID); err != nil {
			t.Fatal(err)
		}
	}
	if clock, err := server.StopClock(t.Context(), true); err != nil || !clock.Stopped {
		t.Errorf("%+v, %v", clock, err)
	}
	if err := server.Restore(t.Context(), before); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Device(t.Context(), device.ID); !packet.IsNotFound(err) {
		t.Errorf("after restoring: %v", err)
	}
	requests, err := server.Requests(t.Context(), "findDeviceById", "admin")
	if err != nil || len(requests) == 0 || requests[len(requests)-1].Status != 404 {
		t.Errorf("%+v, %v", requests, err)
	}
	if err := server.ClearRequests(t.Context()); err != nil {
		t.Error(err)
	}
	pending := &packet.IPReservation{}
	for tries := 0; pending.State != packet.IPStatePending && tries < 10; tries++ {
		if pending, err = client.CreateIPReservation(t.Context(), server.ProjectID(), packet.IPReservationCreate{
			Type: packet.IPTypePublicIPv4, Quantity: 256, Metro: "da",
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := server.ApproveIPReservation(t.Context(), pending.ID); err != nil {
		t.Error(err)
	}
	if err := server.DenyIPReservation(t.Context(), pending.ID); err == nil {
		t.Error("what has a block was denied")
	}
	id, err := server.AddFault(t.Context(), packetserver.Fault{Reset: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.Device(t.Context(), device.ID); err == nil || packet.IsNotFound(err) {
		t.Errorf("with a rule that resets: %v", err)
	}
	if err := server.RemoveFault(t.Context(), id); err != nil {
		t.Error(err)
	}
	if err := server.ClearFaults(t.Context()); err != nil {
		t.Error(err)
	}
	if err := server.Reset(t.Context()); err != nil {
		t.Error(err)
	}
	if _, err := server.AddFault(t.Context(), packetserver.Fault{}); err == nil || !strings.Contains(err.Error(), "the rule does nothing") {
		t.Errorf("a rule that does nothing: %v", err)
	}
	if _, err := client.Devices(t.Context(), server.ProjectID(), packet.DeviceFilter{}); err != nil {
		t.Error(err)
	}
}

// TestWrongOptions expects that nothing is left of what did not start.
func TestWrongOptions(t *testing.T) {
	tmp := t.TempDir()
	t.Setenv("TMPDIR", tmp)
	for text, option := range map[string]packetserver.Option{
		`listen address "8080" is not host:port`: packetserver.WithAddress("8080"),
		`project ID "x" is not a UUID`:           packetserver.WithProjectID("x"),
		`unknown field "device"`:                 packetserver.WithSeed("device: {}"),
		`profile "slow" is not one of`:           packetserver.WithProfile("slow"),
	} {
		if _, err := packetserver.New(t.Context(), option); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want an error with %q", err, text)
		}
	}
	left, err := os.ReadDir(tmp)
	if err != nil || len(left) != 0 {
		t.Errorf("%v is left, %v", left, err)
	}
}
