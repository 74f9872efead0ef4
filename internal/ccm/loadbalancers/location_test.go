package loadbalancers

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/packetyard/packetyard/pkg/packet"
)

// The original had three orders: one in the code, one in a comment, one in the
// README. This is the one in docs/load-balancers.md.
func TestLocationOrder(t *testing.T) {
	metro := func(code string) func(*Config) { return func(c *Config) { c.Metro, c.Facility = code, "" } }
	facility := func(code string) func(*Config) { return func(c *Config) { c.Metro, c.Facility = "", code } }
	for name, test := range map[string]struct {
		configure       func(*Config)
		annotations     []string
		metro, facility string
	}{
		"controller's metro":                 {metro("DA"), nil, "da", ""},
		"controller's facility":              {facility("da11"), nil, "da", "da11"},
		"Service's metro before metro":       {metro("da"), []string{AnnotationEIPMetro, "sv"}, "sv", ""},
		"Service's metro before facility":    {facility("da11"), []string{AnnotationEIPMetro, "SV"}, "sv", ""},
		"Service's facility before metro":    {metro("da"), []string{AnnotationEIPFacility, "sv15"}, "sv", "sv15"},
		"Service's facility before facility": {facility("da11"), []string{AnnotationEIPFacility, "sv15"}, "sv", "sv15"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, test.configure)
			w.service("web", annotated(test.annotations...))
			w.address("web")
			got := w.elastic()
			if len(got) != 1 || got[0].Metro == nil || got[0].Metro.Code != test.metro ||
				test.facility != "" && (got[0].Facility == nil || got[0].Facility.Code != test.facility) {
				t.Errorf("got %+v, want metro %s and facility %q", got, test.metro, test.facility)
			}
		})
	}
}

// The annotations' names can be configured. The original mixed up twenty
// strings in a row, and ignored the one of the facility: #409, #410.
func TestConfiguredAnnotationNames(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Annotations = Annotations{EIPMetro: "example.com/metro", EIPFacility: "example.com/facility"}
	})
	w.service("a", annotated("example.com/metro", "sv", AnnotationEIPFacility, "ny5"))
	w.service("b", annotated("example.com/facility", "sv15"))
	w.address("a")
	w.address("b")
	for _, reservation := range w.elastic() {
		if reservation.Metro.Code != "sv" {
			t.Errorf("reserved in %s", reservation.Metro.Code)
		}
	}
}

// A Service whose user changes its metro gets another address, and gives the
// one that it had back. One whose controller changes its metro keeps its own.
func TestChangedMetro(t *testing.T) {
	w := newWorld(t)
	w.service("web")
	w.service("other", withPort(81))
	before, other := w.address("web"), w.address("other")
	w.change("web", func(s *corev1.Service) { s.Annotations[AnnotationEIPMetro] = "sv" })
	after := w.address("web")
	if after == before || len(w.elastic()) != 2 {
		t.Errorf("the Service has %s, had %s, and reserved are %v", after, before, w.elasticAddresses())
	}
	w.configure = append(w.configure, func(c *Config) { c.Metro = "ny" })
	w.restart()
	if again := w.address("other"); again != other {
		t.Errorf("the Service has %s, had %s", again, other)
	}
	if again := w.address("web"); again != after {
		t.Errorf("the Service has %s, had %s", again, after)
	}
}

// A user can take the kinds of addresses that the original never could: #44.
func TestTakingAnAddressOfANamedReservation(t *testing.T) {
	w := newWorld(t)
	pool := w.reserveByHand(packet.IPReservationCreate{Quantity: 4, Tags: []string{"team=a", "lb"}})
	w.reserveByHand(packet.IPReservationCreate{Quantity: 4, Tags: []string{"team=b", "lb"}})
	byID := annotated(AnnotationReservationID, pool.ID)
	byTag := annotated(AnnotationReservationTag, "lb, team=a")
	seen := map[string]bool{}
	for i, name := range []string{"a", "b", "c", "d"} {
		w.service(name, []with{byID, byTag}[i%2])
		address := w.address(name)
		if prefix, ok := block(pool); seen[address] || !ok || !prefix.Contains(parseAddresses(address)[0]) {
			t.Errorf("Service %s has %s, of %s/%d, others have %v", name, address, pool.Network, pool.CIDR, keys(seen))
		}
		seen[address] = true
	}
	w.service("e", byID)
	if err := w.sync("e"); err == nil {
		t.Error("a fifth Service has one of four addresses")
	}
	w.restart()
	for _, name := range []string{"d", "c", "b", "a"} {
		if address := w.address(name); !seen[address] {
			t.Errorf("Service %s has %s after a restart, which none had before", name, address)
		}
	}
	w.remove("b")
	freed := w.address("e")
	if !seen[freed] {
		t.Errorf("the fifth has %s, not the freed address", freed)
	}
	for _, name := range []string{"a", "c", "d", "e"} {
		w.remove(name)
	}
	if err := w.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := w.elastic(); len(left) != 2 || w.network.count(releaseIP) != 0 {
		t.Errorf("the user's reservations were released: %v", w.elasticAddresses())
	}
}

// An address that a device has is no Service's, though it is of the same block.
func TestAnAddressOfADeviceIsNotTaken(t *testing.T) {
	w := newWorld(t)
	device, err := w.packet.CreateDevice(t.Context(), w.api.ProjectID, packet.DeviceCreate{
		Hostname: "a", Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da",
	})
	if err != nil {
		t.Fatal(err)
	}
	pool := w.reserveByHand(packet.IPReservationCreate{Quantity: 2})
	if _, err := w.packet.AssignIP(t.Context(), device.ID, pool.Address); err != nil {
		t.Fatal(err)
	}
	w.service("web", annotated(AnnotationReservationID, pool.ID))
	if address := w.address("web"); address == pool.Address {
		t.Errorf("the Service has %s, which device %s has", address, device.Hostname)
	}
}

func TestGlobalAnycastAddress(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Metro = "" })
	w.service("web", annotated(AnnotationEIPType, packet.IPTypeGlobalIPv4))
	address := w.address("web")
	if got := w.elastic(); len(got) != 1 || got[0].Type != packet.IPTypeGlobalIPv4 || got[0].Address != address {
		t.Errorf("the Service has %s, reserved are %+v", address, got)
	}
}

// An IPv6 or private address is a matter of the type alone.
func TestPrivateAddress(t *testing.T) {
	w := newWorld(t)
	w.service("web", annotated(AnnotationEIPType, packet.IPTypePrivateIPv4))
	address := w.address("web")
	if got := w.elastic(); len(got) != 1 || got[0].Type != packet.IPTypePrivateIPv4 || got[0].Address != address {
		t.Errorf("the Service has %s, reserved are %+v", address, got)
	}
}

// Services with one sharing key have one address, and give it back with the
// last of them: #579.
func TestSharedAddress(t *testing.T) {
	w := newWorld(t)
	shared := annotated(AnnotationSharingKey, "front")
	w.service("http", shared, withPort(80))
	w.service("https", shared, withPort(443))
	address := w.address("http")
	if other := w.address("https"); other != address {
		t.Errorf("the Services have %s and %s", address, other)
	}
	w.service("clash", shared, withPort(443))
	if err := w.sync("clash"); err == nil || w.reasons()[ReasonInvalidAnnotation] == 0 {
		t.Errorf("two Services share port 443 of one address: %v", err)
	}
	w.remove("clash")
	w.remove("http")
	if left := w.elasticAddresses(); len(left) != 1 || left[0] != address {
		t.Errorf("left are %v while a Service has %s", left, address)
	}
	if again := w.address("https"); again != address {
		t.Errorf("the other Service has %s, had %s", again, address)
	}
	w.remove("https")
	if left := w.elasticAddresses(); len(left) != 0 {
		t.Errorf("left are %v", left)
	}
}

// The last Service of a key gives the address back also by giving up the key.
func TestASharingKeyThatIsGivenUp(t *testing.T) {
	w := newWorld(t)
	w.service("web", annotated(AnnotationSharingKey, "front"))
	shared := w.address("web")
	w.change("web", func(s *corev1.Service) { delete(s.Annotations, AnnotationSharingKey) })
	own := w.address("web")
	if len(w.sweepWanted) != 1 {
		t.Error("nobody looks whether the shared address has a user left")
	}
	if err := w.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := w.elasticAddresses(); own == shared || len(left) != 1 || left[0] != own {
		t.Errorf("the Service has %s, left are %v", own, left)
	}
}

// Reservations of Services that are gone without a goodbye are found.
func TestOrphansAreReleased(t *testing.T) {
	w := newWorld(t)
	w.service("gone")
	w.service("stays", withPort(81))
	w.address("gone")
	stays := w.address("stays")
	patch := []byte(`{"metadata":{"finalizers":null}}`)
	if _, err := w.kube.CoreV1().Services(w.namespace).Patch(t.Context(), "gone", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := w.kube.CoreV1().Services(w.namespace).Delete(t.Context(), "gone", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	// Made twice: by two controllers that ran at a time, for example.
	w.reserveByHand(packet.IPReservationCreate{Tags: w.elastic()[0].Tags})
	byHand := w.reserveByHand(packet.IPReservationCreate{Tags: []string{"usage=cloud-provider-equinix-metal-auto"}})
	if err := w.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{stays: true, byHand.Address: true}
	left := w.elasticAddresses()
	if len(left) != 2 || !want[left[0]] || !want[left[1]] {
		t.Errorf("left are %v, want %v", left, keys(want))
	}
}
