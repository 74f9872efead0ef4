package mcm_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/gardener/machine-controller-manager/pkg/util/provider/machinecodes/codes"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/mcm"
	"github.com/packetyard/packetyard/pkg/packet"
)

func TestCreateMachine(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	key, err := r.client.CreateProjectSSHKey(t.Context(), r.api.ProjectID, packet.SSHKeyCreate{Label: "shoot", Key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIo2f3QbHCBPmmtbbnJzlGy3kUf5jCcLyPEi2kpHrzCK test"})
	if err != nil {
		t.Fatal(err)
	}
	class := r.class(map[string]any{"facilities": []string{"ny5"}, "sshKeys": []string{key.ID}, "tags": []string{clusterTag, roleTag, "mine"}})
	response := r.mustCreate(class, "node-0")
	device := r.device()
	if response.ProviderID != "packet://"+device.ID || response.NodeName != "node-0" || device.Hostname != "node-0" {
		t.Errorf("the response is %+v, the device %s (%s)", response, device.ID, device.Hostname)
	}
	if want := []string{clusterTag, roleTag, "mine", "machine.sapcloud.io/name:node-0"}; !packet.HasTags(device.Tags, want...) {
		t.Errorf("the device has the tags %q, want %q", device.Tags, want)
	}
	if device.Facility.Code != "ny5" || device.BillingCycle != "hourly" || device.Userdata != bootstrap || device.Plan.Slug != plan || len(device.SSHKeys) != 1 {
		t.Errorf("the device is in %s, billed %s, of plan %s, with %d keys", device.Facility.Code, device.BillingCycle, device.Plan.Slug, len(device.SSHKeys))
	}
	kinds := map[string]bool{}
	for _, address := range response.Addresses {
		kinds[string(address.Type)] = true
	}
	if !kinds["InternalIP"] || !kinds["ExternalIP"] {
		t.Errorf("the addresses are %+v, want internal and external ones", response.Addresses)
	}
	status, err := r.status(class, of("node-0", response.ProviderID))
	if err != nil || status.NodeName != "node-0" || status.ProviderID != response.ProviderID {
		t.Errorf("the status is %+v, %v", status, err)
	}
}

// TestNoKeyMeansNone is about Shoots whose owner has turned SSH off: the Packet API gives a device all keys of its project unless it
// is told otherwise.
func TestNoKeyMeansNone(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	if _, err := r.client.CreateProjectSSHKey(t.Context(), r.api.ProjectID, packet.SSHKeyCreate{Label: "somebody's", Key: "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIo2f3QbHCBPmmtbbnJzlGy3kUf5jCcLyPEi2kpHrzCK test"}); err != nil {
		t.Fatal(err)
	}
	r.mustCreate(r.class(nil), "node-0")
	if keys := r.device().SSHKeys; len(keys) != 0 {
		t.Errorf("the device accepts %d keys", len(keys))
	}
}

func TestIPXEMakesCustomIPXE(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	r.mustCreate(r.class(map[string]any{"OS": nil, "ipxeScriptUrl": "https://boot.example.com/flatcar.ipxe"}), "node-0")
	if sent := r.lastCreate(); sent.OperatingSystem != packet.OSCustomIPXE || sent.IPXEScriptURL != "https://boot.example.com/flatcar.ipxe" {
		t.Errorf("asked for %s with %q", sent.OperatingSystem, sent.IPXEScriptURL)
	}
}

func TestSpotAndStorage(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	storage := map[string]any{"disks": []any{map[string]any{"device": "/dev/sda", "wipeTable": true, "partitions": []any{map[string]any{"label": "ROOT", "number": 1, "size": 0}}}},
		"filesystems": []any{map[string]any{"mount": map[string]any{"device": "/dev/sda1", "format": "ext4", "point": "/"}}}}
	r.mustCreate(r.class(map[string]any{"spotPriceMax": "9.50", "storage": storage}), "node-0")
	sent := r.lastCreate()
	if !sent.SpotInstance || sent.SpotPriceMax != 9.5 || !strings.Contains(string(sent.Storage), "/dev/sda1") {
		t.Errorf("asked for %+v", sent)
	}
	if device := r.device(); !device.SpotInstance {
		t.Error("the device is no spot instance")
	}
	_, err := r.create(r.class(map[string]any{"spotPriceMax": "0.0001"}), machine("node-1"))
	r.wants(err, codes.ResourceExhausted, "spot_price_max")
}

// A creation can be asked for again and again, also by a driver that was started anew in between.
func TestCreateMachineIsIdempotent(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	class := r.class(nil)
	first := r.mustCreate(class, "node-0")
	for range 2 {
		if again := r.mustCreate(class, "node-0"); again.ProviderID != first.ProviderID {
			t.Errorf("the second device is %s, the first %s", again.ProviderID, first.ProviderID)
		}
		r.restart()
	}
	r.device()
	if sent := r.wire.count(createDevice); sent != 1 {
		t.Errorf("%d devices were asked for, want 1", sent)
	}
}

// A process can die between the request for a device and writing down its provider ID. The next one must find the device.
func TestCrashBetweenCreateAndStatusMakesNoSecondDevice(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	class := r.class(nil)
	r.wire.breaks(createDevice, 1, fault{lose: true})
	if _, err := r.create(class, machine("node-0")); err == nil {
		t.Fatal("the answer was not lost")
	}
	r.restart()
	status, err := r.status(class, machine("node-0"))
	if err != nil || status.ProviderID != "packet://"+r.device().ID {
		t.Fatalf("the status is %+v, %v", status, err)
	}
}

// The answer is lost, and the device appears.
func TestLostAnswerIsFoundAgain(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	class := r.class(nil)
	if _, err := r.status(class, machine("node-0")); codeOf(err) != codes.NotFound {
		t.Fatalf("before: %v", err)
	}
	r.wire.breaks(createDevice, 1, fault{lose: true})
	_, err := r.create(class, machine("node-0"))
	r.wants(err, codes.Unavailable, "node-0")
	// The listing of before is recent, and older than the request.
	status, err := r.status(class, machine("node-0"))
	if err != nil || status.ProviderID != "packet://"+r.device().ID {
		t.Errorf("the status is %+v, %v", status, err)
	}
	if again := r.mustCreate(class, "node-0"); again.ProviderID != status.ProviderID {
		t.Errorf("another device is %s", again.ProviderID)
	}
}

// A request of which nobody heard again may be carried out later. A second one is sent when the first must have shown.
func TestLostRequestIsRepeatedAfterItSettled(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	class := r.class(nil)
	r.wire.breaks(createDevice, 1, fault{drop: true})
	_, err := r.create(class, machine("node-0"))
	r.wants(err, codes.Unavailable)
	_, err = r.create(class, machine("node-0"))
	r.wants(err, codes.Unavailable, "lost", "node-0")
	r.wants(r.delete(class, machine("node-0")), codes.Unavailable, "lost")
	if sent := r.wire.count(createDevice); sent != 1 {
		t.Fatalf("%d devices were asked for, want 1", sent)
	}
	r.clock.advance(mcm.DefaultSettleTime + time.Second)
	r.mustCreate(class, "node-0")
	r.device()
}

// What is certain not to have happened is asked for again at once.
func TestRefusalsDoNotHaveToSettle(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	class := r.class(nil)
	r.wire.breaks(createDevice, 1, fault{status: http.StatusServiceUnavailable, body: `{"errors":["The metro ny has no provisionable c3.small.x86 servers matching your criteria"]}`})
	_, err := r.create(class, machine("node-0"))
	r.wants(err, codes.ResourceExhausted, "no provisionable")
	r.mustCreate(class, "node-0")
}

// Should the API do the same request twice, the oldest device stays and MCM's safety sweep sees the other.
func TestOldestOfTwoDevicesIsKept(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	class := r.class(nil)
	first := r.mustCreate(class, "node-0")
	r.clock.advance(time.Hour)
	if _, err := r.client.CreateDevice(t.Context(), r.api.ProjectID, packet.DeviceCreate{
		Hostname: "node-0", Plan: plan, OperatingSystem: "ubuntu_24_04", Metro: "ny", Tags: r.device().Tags,
	}); err != nil {
		t.Fatal(err)
	}
	devices := r.devices()
	want := devices[0].ID
	if !devices[1].CreatedAt.Equal(devices[0].CreatedAt.Time) {
		want = strings.TrimPrefix(first.ProviderID, "packet://")
	} else if devices[1].ID < want {
		want = devices[1].ID
	}
	status, err := r.status(class, machine("node-0"))
	if err != nil || status.ProviderID != "packet://"+want {
		t.Errorf("the status is %+v, %v, want %s", status, err, want)
	}
	if listed := r.list(class); len(listed) != 2 {
		t.Errorf("listed are %v, want both", listed)
	}
}

// The name of a Machine can be longer than a tag is.
func TestLongNamesStayApart(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	class := r.class(nil)
	for n := range 2 {
		r.mustCreate(class, "shoot--foobar--packet-a-worker-pool-of-some-name-z1-5f7-"+fmt.Sprint(n))
	}
	listed := r.list(class)
	for providerID, name := range listed {
		status, err := r.status(class, machine(name))
		if err != nil || status.ProviderID != providerID {
			t.Errorf("%s has %+v, %v, want %s", name, status, err, providerID)
		}
	}
	if len(listed) != 2 {
		t.Errorf("listed are %v", listed)
	}
}
