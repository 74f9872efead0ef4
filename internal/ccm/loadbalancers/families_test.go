package loadbalancers

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"

	"github.com/packetyard/packetyard/pkg/packet"
)

func ofFamilies(families ...corev1.IPFamily) with {
	return func(s *corev1.Service) {
		policy := corev1.IPFamilyPolicySingleStack
		if len(families) > 1 {
			policy = corev1.IPFamilyPolicyRequireDualStack
		}
		s.Spec.IPFamilyPolicy, s.Spec.IPFamilies = ptr.To(policy), families
	}
}

// types are the types of the elastic reservations, sorted.
func (w *world) types() []string {
	w.t.Helper()
	var types []string
	for _, reservation := range w.elastic() {
		types = append(types, reservation.Type)
	}
	slices.Sort(types)
	return types
}

// A Service has an address of each of its families. Several are where kube-vip
// and MetalLB read several, because the field has room for one.
func TestDualStack(t *testing.T) {
	for implementation, annotation := range map[Implementation]string{KubeVIP: annotationKubeVIPAddresses, MetalLB: annotationMetalLBAddresses, Empty: ""} {
		t.Run(string(implementation), func(t *testing.T) {
			w := newWorld(t)
			w.configure = append(w.configure, func(c *Config) {
				c.Setting = Setting{Implementation: implementation, MetalLB: MetalLBSetting{Namespace: w.namespace, ConfigMap: "config"}}
			})
			w.restart()
			w.service("web", ofFamilies(corev1.IPv6Protocol, corev1.IPv4Protocol))
			both := w.address("web")
			addresses := parseAddresses(both)
			if len(addresses) != 2 || !addresses[0].Is6() || !addresses[1].Is4() || !slices.Equal(w.types(), []string{packet.IPTypePublicIPv4, packet.IPTypePublicIPv6}) {
				t.Fatalf("the Service has %s, reserved are %v", both, w.types())
			}
			service := w.live("web")
			switch {
			case annotation == "" && service.Spec.LoadBalancerIP != addresses[0].String(),
				annotation != "" && (service.Spec.LoadBalancerIP != "" || service.Annotations[annotation] != both):
				t.Errorf("the Service says %q and %q", service.Spec.LoadBalancerIP, service.Annotations[annotation])
			}
			if implementation == MetalLB {
				if pools := strings.Join(w.pooled(), " "); !strings.Contains(pools, addresses[0].String()+"/128") || !strings.Contains(pools, addresses[1].String()+"/32") {
					t.Errorf("pools are %s", pools)
				}
			}
			w.restart()
			if again := w.address("web"); again != both {
				t.Errorf("the Service has %s after a restart", again)
			}
			w.change("web", func(s *corev1.Service) {
				s.Spec.IPFamilyPolicy, s.Spec.IPFamilies = ptr.To(corev1.IPFamilyPolicySingleStack), s.Spec.IPFamilies[:1]
				s.Spec.ClusterIPs = s.Spec.ClusterIPs[:1]
			})
			if left := w.address("web"); left != addresses[0].String() || w.live("web").Spec.LoadBalancerIP != left || !slices.Equal(w.types(), []string{packet.IPTypePublicIPv6}) {
				t.Errorf("of one family the Service has %s, reserved are %v", left, w.types())
			}
			w.remove("web")
			if left := w.types(); len(left) > 0 {
				t.Errorf("left are %v", left)
			}
		})
	}
}

func TestIPv6OfAUsersReservation(t *testing.T) {
	w := newWorld(t)
	pool := w.reserveByHand(packet.IPReservationCreate{Type: packet.IPTypePublicIPv6, Quantity: 4})
	seen := map[string]bool{}
	for i, name := range []string{"a", "b", "c"} {
		w.service(name, ofFamilies(corev1.IPv6Protocol), annotated(AnnotationReservationID, pool.ID), withPort(int32(80+i)))
		address := w.address(name)
		if prefix, _ := block(pool); seen[address] || !prefix.Contains(parseAddresses(address)[0]) || address == prefix.Addr().String() {
			t.Errorf("Service %s has %s of %s", name, address, prefix)
		}
		seen[address] = true
	}
}

// A user may give two addresses where MetalLB and kube-vip read two.
func TestUsersAddressesOfTwoFamilies(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Setting.Implementation = KubeVIP })
	v4 := w.reserveByHand(packet.IPReservationCreate{})
	v6 := w.reserveByHand(packet.IPReservationCreate{Type: packet.IPTypePublicIPv6})
	both := v6.Address + "," + v4.Address
	w.service("web", ofFamilies(corev1.IPv4Protocol, corev1.IPv6Protocol), annotated(annotationKubeVIPAddresses, both))
	if got := w.address("web"); got != both || len(w.elastic()) != 2 {
		t.Errorf("the Service has %s, want %s, reserved are %v", got, both, w.elasticAddresses())
	}
	w.remove("web")
	if left := w.elastic(); len(left) != 2 {
		t.Errorf("left are %v", w.elasticAddresses())
	}
}

// Two address families are two reservations. kube-vip and MetalLB read them
// from an annotation, because the field has room for one.
func TestDualStackAnnouncement(t *testing.T) {
	for implementation, name := range map[Implementation]string{KubeVIP: annotationKubeVIPAddresses, MetalLB: annotationMetalLBAddresses} {
		l := &LoadBalancers{setting: Setting{Implementation: implementation}}
		service := &corev1.Service{Spec: corev1.ServiceSpec{LoadBalancerIP: "198.18.0.1"}}
		service.Annotations = map[string]string{AnnotationAddresses: "198.18.0.1"}
		both := parseAddresses("198.18.0.1,2001:db8::1")
		c := l.publication(service, both, "")
		if c.loadBalancerIP == nil || *c.loadBalancerIP != "" || c.annotations[name] == nil || *c.annotations[name] != "198.18.0.1,2001:db8::1" {
			t.Errorf("%s: got %+v", implementation, c)
		}
		service.Spec = corev1.ServiceSpec{IPFamilies: []corev1.IPFamily{corev1.IPv4Protocol, corev1.IPv6Protocol}}
		service.Annotations = map[string]string{AnnotationAddresses: "198.18.0.1,2001:db8::1", name: "198.18.0.1,2001:db8::1"}
		if user, err := l.userAddresses(service, recorded(service)); err != nil || user != nil {
			t.Errorf("%s: our own addresses are the user's: %v, %v", implementation, user, err)
		}
		c = l.publication(service, both[:1], "")
		if c.loadBalancerIP == nil || *c.loadBalancerIP != "198.18.0.1" || c.annotations[name] != nil {
			t.Errorf("%s: back to one address: got %+v", implementation, c)
		}
	}
}
