package loadbalancers

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/packetyard/packetyard/pkg/packet"
)

func TestAServiceGetsAnAddressAndGivesItBack(t *testing.T) {
	w := newWorld(t)
	w.service("web")
	address := w.address("web")
	reservations := w.elastic()
	if len(reservations) != 1 || reservations[0].Address != address {
		t.Fatalf("the Service has %q, reserved are %+v", address, reservations)
	}
	service := w.live("web")
	if service.Spec.LoadBalancerIP != address || service.Annotations[AnnotationAddresses] != address {
		t.Errorf("the Service says %q and %q, want %q", service.Spec.LoadBalancerIP, service.Annotations[AnnotationAddresses], address)
	}
	if n := w.network.count(reserveIP); n != 1 {
		t.Errorf("%d addresses were asked for", n)
	}
	if status, exists, err := w.GetLoadBalancer(t.Context(), "", service); err != nil || !exists || len(status.Ingress) != 1 || status.Ingress[0].IP != address {
		t.Errorf("GetLoadBalancer: %+v, %v, %v", status, exists, err)
	}
	w.remove("web")
	if left := w.elastic(); len(left) != 0 {
		t.Errorf("left are %+v", left)
	}
	if reasons := w.reasons(); reasons[ReasonReserved] != 1 || reasons[ReasonReleased] != 1 {
		t.Errorf("got events %v", reasons)
	}
}

// Two clusters of one project must not release each other's addresses: #120,
// #123, #154. The tags are those of the original, so that a cluster keeps its
// addresses when it changes hands.
func TestTagsAreTheOriginals(t *testing.T) {
	w := newWorld(t)
	system, err := w.kube.CoreV1().Namespaces().Get(t.Context(), metav1.NamespaceSystem, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: w.namespace, Name: "web"}}
	tags := func(cluster types.UID) []string {
		return []string{"usage=cloud-provider-equinix-metal-auto", "cluster=" + string(cluster), serviceTag(service)}
	}
	theirs := w.reserveByHand(packet.IPReservationCreate{Tags: tags("7d3a2b40-4f4f-4a57-a7de-6f3b1de0e6a1")})
	ours := w.reserveByHand(packet.IPReservationCreate{Tags: tags(system.UID)})
	w.service("web")
	if address := w.address("web"); address != ours.Address {
		t.Errorf("the Service has %s, want %s, which was reserved for it before", address, ours.Address)
	}
	w.remove("web")
	if err := w.sweep(t.Context()); err != nil {
		t.Fatal(err)
	}
	if left := w.elasticAddresses(); len(left) != 1 || left[0] != theirs.Address {
		t.Errorf("left are %v, want the other cluster's %s", left, theirs.Address)
	}
	// The hash of "default/web", as the original writes it.
	if tag := serviceTag(&corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web"}}); tag != "service=grOt6dAM0WQqTUIOZw1s2Y60hJou4P9m1mieZFyOsz8=" {
		t.Errorf("the tag of default/web is %s", tag)
	}
}

// With more reservations than were on the API's first page, the original
// missed its own and reserved another at each sync.
func TestAReservationBeyondTheFirstPageIsFound(t *testing.T) {
	w := newWorld(t)
	w.service("web")
	address := w.address("web")
	for range 253 {
		w.reserveByHand(packet.IPReservationCreate{})
	}
	w.restart()
	if again := w.address("web"); again != address {
		t.Errorf("the Service has %s, had %s", again, address)
	}
	if n := len(w.elastic()); n != 254 {
		t.Errorf("%d reservations, want 254", n)
	}
}

// A reservation of a VRF is of another shape, and made the original panic.
func TestAVRFReservationInTheProjectDoesNotPanic(t *testing.T) {
	w := newWorld(t)
	project := "/projects/" + w.api.ProjectID
	vrf := w.post(project+"/vrfs", `{"name":"a","metro":"da","local_asn":65000,"ip_ranges":["10.0.0.0/16"]}`)
	w.post(project+"/ips", fmt.Sprintf(`{"type":"vrf","vrf_id":%q,"network":"10.0.1.0","cidr":24,"tags":["vrf"]}`, vrf))
	w.service("web")
	if w.address("web") == "" {
		t.Error("no address")
	}
	w.service("own", annotated(AnnotationReservationTag, "vrf"), withPort(81))
	if err := w.sync("own"); err == nil || !strings.Contains(err.Error(), "is of type vrf") {
		t.Errorf("an address of a VRF for a Service: %v", err)
	}
	if err := w.sweep(t.Context()); err != nil {
		t.Error(err)
	}
	if left := w.types(); !slices.Equal(left, []string{packet.IPTypePublicIPv4, packet.IPTypeVRF}) {
		t.Errorf("reserved are %v", left)
	}
}

// post makes an object that the client cannot, and gives its ID.
func (w *world) post(path, body string) string {
	w.t.Helper()
	request, err := http.NewRequestWithContext(w.t.Context(), http.MethodPost, w.api.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	request.Header.Set("X-Auth-Token", w.api.Token)
	request.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		w.t.Fatal(err)
	}
	defer answer.Body.Close()
	var made struct {
		ID     string   `json:"id"`
		Errors []string `json:"errors"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&made); err != nil || answer.StatusCode != http.StatusCreated {
		w.t.Fatalf("%s: %s %v, %v", path, answer.Status, made.Errors, err)
	}
	return made.ID
}

// An address that the user brings must end up in the status: #474. The
// original gave no status, and tried again for ever.
func TestAnAddressOfTheUsersEndsUpInTheStatus(t *testing.T) {
	w := newWorld(t)
	own := w.reserveByHand(packet.IPReservationCreate{Tags: []string{"mine"}})
	w.service("web", withAddress(own.Address))
	if address := w.address("web"); address != own.Address {
		t.Errorf("the Service has %q, want %s", address, own.Address)
	}
	service := w.live("web")
	if _, marked := service.Annotations[AnnotationAddresses]; marked || service.Spec.LoadBalancerIP != own.Address {
		t.Errorf("the user's address is marked as ours, or was changed: %+v", service.Annotations)
	}
	if _, exists, err := w.GetLoadBalancer(t.Context(), "", service); err != nil || !exists {
		t.Errorf("the load balancer is said not to exist, so it is never cleaned up: %v", err)
	}
	if reasons := w.reasons(); len(reasons) > 0 {
		t.Errorf("got events %v", reasons)
	}
	w.remove("web")
	if left := w.elasticAddresses(); len(left) != 1 {
		t.Errorf("the user's reservation was released: %v", left)
	}
}

func TestAnAddressOutsideOfTheProjectGetsAWarning(t *testing.T) {
	w := newWorld(t)
	w.service("web", withAddress("203.0.113.9"))
	if address := w.address("web"); address != "203.0.113.9" || w.reasons()[ReasonForeignAddress] == 0 {
		t.Errorf("got %q and no warning", address)
	}
}

// A Service that stops being of type LoadBalancer and becomes so again must not
// take its old address, which may be somebody else's, for its user's wish:
// #206, #148.
func TestTheOldAddressIsNotTheUsers(t *testing.T) {
	w := newWorld(t)
	w.service("web")
	before := w.address("web")
	w.change("web", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeClusterIP })
	if err := w.sync("web"); err != nil {
		t.Fatal(err)
	}
	service := w.live("web")
	if service.Spec.LoadBalancerIP != "" || service.Annotations[AnnotationAddresses] != "" {
		t.Errorf("the Service still says %q and %q", service.Spec.LoadBalancerIP, service.Annotations[AnnotationAddresses])
	}
	if left := w.elastic(); len(left) != 0 {
		t.Errorf("left are %+v", left)
	}
	w.change("web", func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeLoadBalancer })
	after := w.address("web")
	if left := w.elasticAddresses(); len(left) != 1 || left[0] != after || after == before {
		t.Errorf("the Service has %q, had %s, and reserved are %v", after, before, left)
	}
}

// The original left addresses behind in Services, and no mark of its own.
func TestAnAddressThatTheOriginalLeftBehindIsNotTheUsers(t *testing.T) {
	w := newWorld(t)
	w.service("web")
	patch := fmt.Sprintf(`{"spec":{"loadBalancerIP":%q}}`, "198.18.77.7")
	service, err := w.kube.CoreV1().Services(w.namespace).Patch(t.Context(), "web", types.MergePatchType, []byte(patch),
		metav1.PatchOptions{FieldManager: "cloud-provider-equinix-metal"})
	if err != nil {
		t.Fatal(err)
	}
	w.seen(service)
	if err := w.sync("web"); err != nil || shown(w.live("web")) == "198.18.77.7" {
		t.Errorf("the Service shows the old address: %v", err)
	}
	if address := w.address("web"); address == "198.18.77.7" || len(w.elastic()) != 1 {
		t.Errorf("the Service has %s, reserved are %v", address, w.elasticAddresses())
	}
}

// A user who writes an address into a Service that has one gets it, and the
// one that was reserved is given back.
func TestAUsersAddressReplacesTheReservedOne(t *testing.T) {
	w := newWorld(t)
	w.service("web")
	w.address("web")
	own := w.reserveByHand(packet.IPReservationCreate{})
	w.change("web", func(s *corev1.Service) { s.Spec.LoadBalancerIP = own.Address })
	if address := w.address("web"); address != own.Address {
		t.Errorf("the Service has %s, want %s", address, own.Address)
	}
	if left := w.elasticAddresses(); len(left) != 1 || left[0] != own.Address {
		t.Errorf("left are %v, want %s", left, own.Address)
	}
	w.change("web", func(s *corev1.Service) { s.Spec.LoadBalancerIP = "" })
	if address := w.address("web"); address == own.Address || address == "" {
		t.Errorf("the Service has %q without its user's wish", address)
	}
}
