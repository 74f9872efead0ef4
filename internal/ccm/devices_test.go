package ccm

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	cloudprovider "k8s.io/cloud-provider"

	"github.com/packetyard/packetyard/pkg/packet"
)

func TestInstanceMetadata(t *testing.T) {
	a := newAPI(t, deviceNumbers(3)...)
	instances, _ := newTestCloud(t, a)
	id := deviceNumber(2).ID
	for _, test := range []struct {
		name string
		node *corev1.Node
		want string
	}{
		{"by name", node("node-2", "", uninitialised), "packet://" + id},
		{"by name in other case", node("NODE-2", "", uninitialised), "packet://" + id},
		{"by provider ID", node("whatever", "packet://"+id, uninitialised), "packet://" + id},
		{"by the later provider ID, which stays", node("node-2", "equinixmetal://"+id, uninitialised), "equinixmetal://" + id},
		{"by bare UUID, which stays", node("node-2", id, uninitialised), id},
		{"initialised before", node("node-2", "packet://"+id), "packet://" + id},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := instances.InstanceMetadata(t.Context(), test.node)
			if err != nil {
				t.Fatal(err)
			}
			if got.ProviderID != test.want || got.InstanceType != "c3.small.x86" || got.Region != "da" {
				t.Errorf("got %+v", got)
			}
			want := []string{"Hostname=node-2", "InternalIP=10.0.0.5", "ExternalIP=198.18.1.5"}
			if texts := addressTexts(got.NodeAddresses); !slices.Equal(texts, want) {
				t.Errorf("addresses are %q, want %q", texts, want)
			}
		})
	}
}

// Finding 7 of upstream's: the zone was declared and never set.
func TestZoneLabelIsSet(t *testing.T) {
	instances, _ := newTestCloud(t, newAPI(t, deviceNumber(1)))
	got, err := instances.InstanceMetadata(t.Context(), node("node-1", "", uninitialised))
	if err != nil || got.Zone != "da11" {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestRegionAndZoneOfOddDevices(t *testing.T) {
	metro := &packet.Metro{Code: "da"}
	for _, test := range []struct {
		name         string
		device       packet.Device
		region, zone string
	}{
		{"nothing", packet.Device{}, "", ""},
		{"metro alone", packet.Device{Metro: metro}, "da", ""},
		{"metro by its facility", packet.Device{Facility: &packet.Facility{Code: "da11", Metro: metro}}, "da", "da11"},
		{"facility without metro", packet.Device{Facility: &packet.Facility{Code: "da11"}}, "", "da11"},
	} {
		if r, z := region(&test.device), zone(&test.device); r != test.region || z != test.zone {
			t.Errorf("%s: region %q, zone %q, want %q, %q", test.name, r, z, test.region, test.zone)
		}
	}
}

// Finding 2 of upstream's: the list was read to its first page of ten.
func TestNodeBeyondTheFirstPageIsFound(t *testing.T) {
	instances, _ := newTestCloud(t, newAPI(t, deviceNumbers(2345)...))
	for _, name := range []string{"node-0", "node-10", "node-999", "node-1000", "node-2344"} {
		got, err := instances.InstanceMetadata(t.Context(), node(name, "", uninitialised))
		if err != nil || got.NodeAddresses[0].Address != name {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		if exists, err := instances.InstanceExists(t.Context(), node(name, "")); err != nil || !exists {
			t.Errorf("%s: exists is %v, %v", name, exists, err)
		}
	}
}

func TestNodeOfADeletedDeviceDoesNotExist(t *testing.T) {
	a := newAPI(t, deviceNumbers(3)...)
	instances, clock := newTestCloud(t, a)
	n := node("node-1", "packet://"+deviceNumber(1).ID)
	if exists, err := instances.InstanceExists(t.Context(), n); err != nil || !exists {
		t.Errorf("before: exists is %v, %v", exists, err)
	}
	a.change(func(devices []packet.Device) []packet.Device { return slices.Delete(devices, 1, 2) })
	clock.advance(listingTTL)
	if exists, err := instances.InstanceExists(t.Context(), n); err != nil || exists {
		t.Errorf("exists is %v, %v", exists, err)
	}
	if down, err := instances.InstanceShutdown(t.Context(), n); down || !errors.Is(err, cloudprovider.InstanceNotFound) {
		t.Errorf("shutdown is %v, %v", down, err)
	}
	// Addresses come of a listing that may be older.
	clock.advance(statusAgePerPage)
	if _, err := instances.InstanceMetadata(t.Context(), n); !errors.Is(err, cloudprovider.InstanceNotFound) {
		t.Errorf("metadata: %v", err)
	}
}

// Issues 115, 183 and 202 of upstream's: in a hybrid cluster, nodes that are not
// of this cloud were deleted. One that has no provider ID may be such a node.
func TestANodeWithoutAProviderIDIsNeverDeleted(t *testing.T) {
	a := newAPI(t, deviceNumber(1))
	instances, _ := newTestCloud(t, a)
	for _, n := range []*corev1.Node{node("somewhere-else", ""), node("somewhere-else", "", uninitialised)} {
		if exists, err := instances.InstanceExists(t.Context(), n); err != nil || !exists {
			t.Errorf("exists is %v, %v", exists, err)
		}
		if down, err := instances.InstanceShutdown(t.Context(), n); err != nil || down {
			t.Errorf("shutdown is %v, %v", down, err)
		}
	}
	if n := a.askedInAll(); n != 1 {
		t.Errorf("the API was asked %d times about nodes that are not its own, want one listing", n)
	}
	// It is not initialised either: what is not known is not made up.
	if _, err := instances.InstanceMetadata(t.Context(), node("somewhere-else", "", uninitialised)); !errors.Is(err, cloudprovider.InstanceNotFound) {
		t.Errorf("metadata: %v", err)
	}
}

// Finding 3 of upstream's: a failed request was taken for an absent device, or
// dereferenced. Whatever an outage looks like, it is an error.
func TestAPIOutageIsNotNotFound(t *testing.T) {
	hangUp := func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }
	plain := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, body, status) }
	}
	for _, outage := range []struct {
		name    string
		handler http.HandlerFunc
	}{
		{"connection lost", hangUp},
		{"500", func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusInternalServerError, "Oh snap") }},
		{"502 of a proxy", plain(http.StatusBadGateway, "<html>Bad gateway</html>")},
		{"404 of a proxy", plain(http.StatusNotFound, "default backend - 404")},
		{"404 of the API for everything, as a wrong base URL gives", func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, http.StatusNotFound, "Not found")
		}},
		{"401", func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, http.StatusUnauthorized, "Invalid authentication token")
		}},
		{"403", func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, http.StatusForbidden, "You are not authorized")
		}},
		{"429", func(w http.ResponseWriter, _ *http.Request) {
			refuse(w, http.StatusTooManyRequests, "Too many requests")
		}},
		{"another service", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, map[string]string{}) }},
		{"captive portal", plain(http.StatusOK, "<html>Log in</html>")},
		{"the device answers 404 while the list fails", func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/devices/") {
				refuse(w, http.StatusNotFound, "Not found")
				return
			}
			refuse(w, http.StatusInternalServerError, "Oh snap")
		}},
		{"the list answers while devices fail", func(w http.ResponseWriter, r *http.Request) {
			if strings.Contains(r.URL.Path, "/devices/") {
				refuse(w, http.StatusInternalServerError, "Oh snap")
				return
			}
			answer(w, http.StatusOK, packet.DeviceList{Devices: []packet.Device{deviceNumber(7)}})
		}},
	} {
		t.Run(outage.name, func(t *testing.T) {
			a := newAPI(t, deviceNumbers(3)...)
			instances, clock := newTestCloud(t, a)
			byID := node("node-1", "packet://"+deviceNumber(1).ID)
			if exists, err := instances.InstanceExists(t.Context(), byID); err != nil || !exists {
				t.Fatalf("before the outage: exists is %v, %v", exists, err)
			}
			clock.advance(listingTTL)
			a.fail(outage.handler)
			nodes := []*corev1.Node{byID, node("node-1", byID.Spec.ProviderID, uninitialised)}
			if outage.name != "the list answers while devices fail" {
				nodes = append(nodes, node("node-1", ""))
			}
			for _, n := range nodes {
				if exists, err := instances.InstanceExists(t.Context(), n); err == nil || errors.Is(err, cloudprovider.InstanceNotFound) {
					t.Errorf("exists of %q is %v, %v", n.Spec.ProviderID, exists, err)
				}
				if _, err := instances.InstanceMetadata(t.Context(), n); err == nil || errors.Is(err, cloudprovider.InstanceNotFound) {
					t.Errorf("metadata of %q: %v", n.Spec.ProviderID, err)
				}
				if down, err := instances.InstanceShutdown(t.Context(), n); down || err == nil || errors.Is(err, cloudprovider.InstanceNotFound) {
					t.Errorf("shutdown of %q is %v, %v", n.Spec.ProviderID, down, err)
				}
			}
			a.fail(nil)
			clock.advance(outageTTL)
			if exists, err := instances.InstanceExists(t.Context(), byID); err != nil || !exists {
				t.Errorf("after the outage: exists is %v, %v", exists, err)
			}
		})
	}
}

func TestAPIThatIsNotThereIsNotNotFound(t *testing.T) {
	a := newAPI(t, deviceNumber(1))
	instances, _ := newTestCloud(t, a)
	a.Close()
	for _, n := range []*corev1.Node{node("node-1", ""), node("node-1", "packet://"+deviceNumber(1).ID)} {
		if exists, err := instances.InstanceExists(t.Context(), n); err == nil || errors.Is(err, cloudprovider.InstanceNotFound) {
			t.Errorf("exists is %v, %v", exists, err)
		}
	}
}

// Every API call of upstream's had a context of its own, so that nothing could
// end it.
func TestContextEndsACall(t *testing.T) {
	a := newAPI(t, deviceNumber(1))
	instances, _ := newTestCloud(t, a)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, n := range []*corev1.Node{node("node-1", ""), node("node-1", "packet://"+deviceNumber(1).ID, uninitialised)} {
		if _, err := instances.InstanceMetadata(ctx, n); !errors.Is(err, context.Canceled) {
			t.Errorf("error is %v", err)
		}
	}
}

func TestInstanceShutdown(t *testing.T) {
	for _, state := range []packet.DeviceState{
		packet.StateQueued, packet.StateProvisioning, packet.StateDeprovisioning, packet.StateReinstalling, packet.StateActive,
		packet.StateInactive, packet.StateFailed, packet.StatePoweringOn, packet.StatePoweringOff,
	} {
		device := deviceNumber(1)
		device.State = state
		instances, _ := newTestCloud(t, newAPI(t, device))
		n := node("node-1", "packet://"+device.ID)
		if down, err := instances.InstanceShutdown(t.Context(), n); err != nil || down != (state == packet.StateInactive) {
			t.Errorf("in state %s shutdown is %v, %v", state, down, err)
		}
		if exists, err := instances.InstanceExists(t.Context(), n); err != nil || !exists {
			t.Errorf("in state %s exists is %v, %v", state, exists, err)
		}
	}
}

func TestADeviceInStateDeletedDoesNotExist(t *testing.T) {
	device := deviceNumber(1)
	device.State = packet.StateDeleted
	instances, _ := newTestCloud(t, newAPI(t, device))
	if exists, err := instances.InstanceExists(t.Context(), node("node-1", "packet://"+device.ID)); err != nil || exists {
		t.Errorf("exists is %v, %v", exists, err)
	}
}

// The framework deletes a node that does not exist, skips one with nil
// metadata while it waits for its initialisation, and dereferences the
// metadata of every other.
func TestForeignNodesAreLeftAlone(t *testing.T) {
	a := newAPI(t, deviceNumber(1))
	instances, _ := newTestCloud(t, a)
	for _, providerID := range []string{"aws:///eu-west-1a/i-0123", "openstack://" + deviceNumber(1).ID, "kind://docker/kind/node-1"} {
		foreign := node("node-1", providerID)
		if exists, err := instances.InstanceExists(t.Context(), foreign); err != nil || !exists {
			t.Errorf("%s: exists is %v, %v", providerID, exists, err)
		}
		if down, err := instances.InstanceShutdown(t.Context(), foreign); err != nil || down {
			t.Errorf("%s: shutdown is %v, %v", providerID, down, err)
		}
		if got, err := instances.InstanceMetadata(t.Context(), foreign); err != nil || got == nil || len(got.NodeAddresses) != 0 {
			t.Errorf("%s: metadata is %+v, %v", providerID, got, err)
		}
		if got, err := instances.InstanceMetadata(t.Context(), node("node-1", providerID, uninitialised)); err != nil || got != nil {
			t.Errorf("%s, uninitialised: metadata is %+v, %v", providerID, got, err)
		}
	}
	if n := a.askedInAll(); n != 0 {
		t.Errorf("the API was asked %d times about nodes of other clouds", n)
	}
}

func TestAMalformedProviderIDIsAnError(t *testing.T) {
	instances, _ := newTestCloud(t, newAPI(t, deviceNumber(1)))
	for _, providerID := range []string{"packet://", "packet://node-1", "equinixmetal://x/y", "node-1"} {
		if exists, err := instances.InstanceExists(t.Context(), node("node-1", providerID)); !errors.Is(err, packet.ErrInvalidProviderID) {
			t.Errorf("%q: exists is %v, %v", providerID, exists, err)
		}
	}
}

// A device can be made, boot and join while an older listing is still good.
func TestANodeNewerThanTheListingIsFound(t *testing.T) {
	a := newAPI(t, deviceNumber(1))
	instances, _ := newTestCloud(t, a)
	if exists, err := instances.InstanceExists(t.Context(), node("node-1", "")); err != nil || !exists {
		t.Fatal(exists, err)
	}
	a.change(func(devices []packet.Device) []packet.Device { return append(devices, deviceNumber(2)) })
	for _, n := range []*corev1.Node{node("node-2", ""), node("node-2", "packet://"+deviceNumber(2).ID)} {
		if exists, err := instances.InstanceExists(t.Context(), n); err != nil || !exists {
			t.Errorf("provider ID %q: exists is %v, %v", n.Spec.ProviderID, exists, err)
		}
	}
}

// A machine that replaces another can have its name. The provider ID that a
// node gets is for ever, so it comes of no listing from before.
func TestAReplacedDeviceDoesNotLendItsProviderID(t *testing.T) {
	older, newer := deviceNumber(1), deviceNumber(2)
	newer.Hostname = older.Hostname
	a := newAPI(t, older)
	instances, _ := newTestCloud(t, a)
	if exists, err := instances.InstanceExists(t.Context(), node("node-1", "")); err != nil || !exists {
		t.Fatal(exists, err)
	}
	a.change(func([]packet.Device) []packet.Device { return []packet.Device{newer} })
	got, err := instances.InstanceMetadata(t.Context(), node("node-1", "", uninitialised))
	if err != nil || got.ProviderID != packet.ProviderID(newer.ID) {
		t.Errorf("got %+v, %v", got, err)
	}
}

func TestDevicesOfTheSameName(t *testing.T) {
	twin := func(n int, state packet.DeviceState) packet.Device {
		d := deviceNumber(n)
		d.Hostname, d.State = "node", state
		return d
	}
	for _, test := range []struct {
		name    string
		devices []packet.Device
		node    *corev1.Node
		// want is the device's number, or 0 for an error.
		want int
	}{
		{"one is going", []packet.Device{twin(1, packet.StateDeprovisioning), twin(2, packet.StateActive)}, node("node", "", uninitialised), 2},
		{"one is gone", []packet.Device{twin(1, packet.StateActive), twin(2, packet.StateDeleted)}, node("node", "", uninitialised), 1},
		{"the node's address tells", []packet.Device{twin(1, packet.StateActive), twin(2, packet.StateActive)},
			node("node", "", uninitialised, withReportedAddress("10.0.0.5")), 2},
		{"nothing tells", []packet.Device{twin(1, packet.StateActive), twin(2, packet.StateActive)}, node("node", "", uninitialised), 0},
		{"the address is nobody's", []packet.Device{twin(1, packet.StateActive), twin(2, packet.StateActive)},
			node("node", "", uninitialised, withReportedAddress("192.0.2.1")), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			instances, _ := newTestCloud(t, newAPI(t, test.devices...))
			got, err := instances.InstanceMetadata(t.Context(), test.node)
			if test.want == 0 {
				if err == nil || errors.Is(err, cloudprovider.InstanceNotFound) || !strings.Contains(err.Error(), deviceNumber(1).ID) {
					t.Errorf("got %+v, %v, want an error that names both", got, err)
				}
				if exists, err := instances.InstanceExists(t.Context(), test.node); err == nil {
					t.Errorf("exists is %v, want an error", exists)
				}
				return
			}
			if err != nil || got.ProviderID != packet.ProviderID(deviceNumber(test.want).ID) {
				t.Errorf("got %+v, %v, want device %d", got, err, test.want)
			}
		})
	}
}

// Weakness of upstream's: a status loop over N nodes was N requests, and every
// node that was not ready two more every 5 s.
func TestCostGrowsWithPagesNotWithNodes(t *testing.T) {
	const count = 1500
	a := newAPI(t, deviceNumbers(count)...)
	instances, clock := newTestCloud(t, a)
	everyNode := func() {
		var group sync.WaitGroup
		for worker := range 10 {
			group.Go(func() {
				for i := worker; i < count; i += 10 {
					n := node(deviceNumber(i).Hostname, packet.ProviderID(deviceNumber(i).ID))
					if _, err := instances.InstanceMetadata(t.Context(), n); err != nil {
						t.Error(err)
					}
					if exists, err := instances.InstanceExists(t.Context(), n); err != nil || !exists {
						t.Error(exists, err)
					}
					if down, err := instances.InstanceShutdown(t.Context(), n); err != nil || down {
						t.Error(down, err)
					}
				}
			})
		}
		group.Wait()
	}
	everyNode()
	if n := a.askedInAll(); n != 2 {
		t.Errorf("%d requests for %d nodes, want the list's 2 pages", n, count)
	}
	clock.advance(listingTTL - time.Millisecond)
	everyNode()
	if n := a.askedInAll(); n != 2 {
		t.Errorf("%d requests within the listing's life, want no more", n)
	}
	clock.advance(time.Millisecond)
	everyNode()
	if n := a.askedInAll(); n != 4 {
		t.Errorf("%d requests after it, want 2 more", n)
	}
}

// A thousand nodes that join share listings, by name and by provider ID, as far
// as a listing is sure to have their devices.
func TestNodesThatJoinTogetherShareAListing(t *testing.T) {
	const count = 300
	for _, test := range []struct {
		name       string
		providerID func(packet.Device) string
	}{
		{"by name", func(packet.Device) string { return "" }},
		{"by provider ID", func(d packet.Device) string { return packet.ProviderID(d.ID) }},
	} {
		a := newAPI(t, deviceNumbers(count)...)
		instances, clock := newTestCloud(t, a)
		joined := clock.Now()
		clock.advance(clockSkew + time.Second)
		for i := range count {
			d := deviceNumber(i)
			got, err := instances.InstanceMetadata(t.Context(), node(d.Hostname, test.providerID(d), uninitialised, createdAt(joined)))
			if err != nil || got.ProviderID != packet.ProviderID(d.ID) {
				t.Fatalf("%s: got %+v, %v", test.name, got, err)
			}
		}
		if n := a.askedInAll(); n != 1 {
			t.Errorf("%s: %d requests for %d nodes, want 1", test.name, n, count)
		}
	}
}

// A device that is not ready for its node's initialisation is asked for itself,
// because the listing may be behind.
func TestInitialisingANodeOfADeviceThatWasNotReady(t *testing.T) {
	device := deviceNumber(1)
	device.State, device.IPAddresses = packet.StateProvisioning, nil
	a := newAPI(t, device)
	instances, _ := newTestCloud(t, a)
	if exists, err := instances.InstanceExists(t.Context(), node("node-1", packet.ProviderID(device.ID))); err != nil || !exists {
		t.Fatal(exists, err)
	}
	a.change(func([]packet.Device) []packet.Device { return deviceNumbers(2) })
	if _, err := instances.InstanceMetadata(t.Context(), node("node-1", packet.ProviderID(device.ID), uninitialised)); err != nil {
		t.Error(err)
	}
	if a.asked(listDevices) != 1 || a.asked(getDevice+device.ID) != 1 {
		t.Errorf("the list was asked for %d times, the device %d times", a.asked(listDevices), a.asked(getDevice+device.ID))
	}
}

// What an idle cluster costs: its status, looked at every minute, is at most
// two requests a minute, however many pages the project has.
func TestAnIdleMinuteCostsAtMostTwoRequests(t *testing.T) {
	for _, count := range []int{10, 1000, 2500, 6000} {
		a := newAPI(t, deviceNumbers(count)...)
		instances, clock := newTestCloud(t, a)
		const minutes = 30
		for range minutes {
			clock.advance(time.Minute)
			for _, i := range []int{0, count / 2, count - 1} {
				d := deviceNumber(i)
				if _, err := instances.InstanceMetadata(t.Context(), node(d.Hostname, packet.ProviderID(d.ID))); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := a.askedInAll(); n > 2*minutes {
			t.Errorf("%d devices: %d requests in %d minutes", count, n, minutes)
		}
	}
}

// Weakness of upstream's: while the API is down, every look at a node that was
// not ready was a request of its own, with its attempts and waits.
func TestAnOutageIsNotAskedAboutForEveryNode(t *testing.T) {
	a := newAPI(t, deviceNumbers(100)...)
	instances, clock := newTestCloud(t, a)
	a.fail(func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusInternalServerError, "Oh snap") })
	round := func() {
		for i := range 100 {
			if exists, err := instances.InstanceExists(t.Context(), node(deviceNumber(i).Hostname, packet.ProviderID(deviceNumber(i).ID))); err == nil {
				t.Fatalf("exists is %v", exists)
			}
		}
	}
	round()
	clock.advance(outageTTL)
	round()
	if n := a.askedInAll(); n != 2 {
		t.Errorf("%d requests in two rounds over 100 nodes, want 2", n)
	}
}

func BenchmarkInstanceExists(b *testing.B) {
	instances, _ := newTestCloud(b, newAPI(b, deviceNumbers(1000)...))
	n := node("node-500", packet.ProviderID(deviceNumber(500).ID))
	b.ReportAllocs()
	for b.Loop() {
		if exists, err := instances.InstanceExists(b.Context(), n); err != nil || !exists {
			b.Fatal(exists, err)
		}
	}
}
