package kubeproxy

import (
	"net/netip"
	"reflect"
	"testing"

	v1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

func endpoint(address, node string, ready bool) discoveryv1.Endpoint {
	return discoveryv1.Endpoint{Addresses: []string{address}, NodeName: &node, Conditions: discoveryv1.EndpointConditions{Ready: &ready}}
}

func terminating(address string) discoveryv1.Endpoint {
	e := endpoint(address, "a", false)
	e.Conditions.Serving, e.Conditions.Terminating = ptr.To(true), ptr.To(true)
	return e
}

func slice(service string, endpoints ...discoveryv1.Endpoint) *discoveryv1.EndpointSlice {
	return &discoveryv1.EndpointSlice{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Labels: map[string]string{discoveryv1.LabelServiceName: service}},
		Endpoints:  endpoints,
		Ports: []discoveryv1.EndpointPort{
			{Name: ptr.To("web"), Port: ptr.To(int32(8080))},
			{Name: ptr.To("dns"), Port: ptr.To(int32(5353)), Protocol: ptr.To(v1.ProtocolUDP)},
		},
	}
}

func service(change func(*v1.Service)) *v1.Service {
	s := &v1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: "n", Name: "s"},
		Spec: v1.ServiceSpec{
			ClusterIP:  "10.96.0.7",
			ClusterIPs: []string{"10.96.0.7"},
			Ports:      []v1.ServicePort{{Name: "web", Port: 80, Protocol: v1.ProtocolTCP}},
		},
	}
	if change != nil {
		change(s)
	}
	return s
}

func front(protocol v1.Protocol, address string) frontend {
	return frontend{protocol: protocol, address: netip.MustParseAddrPort(address)}
}

func to(addresses ...string) []netip.AddrPort {
	var list []netip.AddrPort
	for _, a := range addresses {
		list = append(list, netip.MustParseAddrPort(a))
	}
	return list
}

func TestBuildRules(t *testing.T) {
	both := slice("s", endpoint("10.0.0.2", "b", true), endpoint("10.0.0.1", "a", true))
	for name, test := range map[string]struct {
		service *v1.Service
		slices  []*discoveryv1.EndpointSlice
		want    rules
	}{
		"cluster address with endpoints of two slices": {
			service: service(nil),
			slices:  []*discoveryv1.EndpointSlice{both, slice("s", endpoint("10.0.0.2", "b", true), endpoint("10.0.0.3", "b", true)), slice("other", endpoint("10.0.0.9", "a", true))},
			want:    rules{front("TCP", "10.96.0.7:80"): to("10.0.0.1:8080", "10.0.0.2:8080", "10.0.0.3:8080")},
		},
		"no endpoint is ready": {
			service: service(nil),
			slices:  []*discoveryv1.EndpointSlice{slice("s", endpoint("10.0.0.1", "a", false))},
			want:    rules{front("TCP", "10.96.0.7:80"): nil},
		},
		"terminating endpoints serve when no other does": {
			service: service(nil),
			slices:  []*discoveryv1.EndpointSlice{slice("s", terminating("10.0.0.1"))},
			want:    rules{front("TCP", "10.96.0.7:80"): to("10.0.0.1:8080")},
		},
		"terminating endpoints do not serve next to ready ones": {
			service: service(nil),
			slices:  []*discoveryv1.EndpointSlice{slice("s", terminating("10.0.0.1"), endpoint("10.0.0.2", "a", true))},
			want:    rules{front("TCP", "10.96.0.7:80"): to("10.0.0.2:8080")},
		},
		"a UDP port is not the TCP port of the same slice": {
			service: service(func(s *v1.Service) {
				s.Spec.Ports = []v1.ServicePort{{Name: "dns", Port: 53, Protocol: v1.ProtocolUDP}}
			}),
			slices: []*discoveryv1.EndpointSlice{both},
			want:   rules{front("UDP", "10.96.0.7:53"): to("10.0.0.1:5353", "10.0.0.2:5353")},
		},
		"node port and local policies": {
			service: service(func(s *v1.Service) {
				s.Spec.Type = v1.ServiceTypeNodePort
				s.Spec.Ports[0].NodePort = 30080
				s.Spec.ExternalTrafficPolicy = v1.ServiceExternalTrafficPolicyLocal
			}),
			slices: []*discoveryv1.EndpointSlice{both},
			want: rules{
				front("TCP", "10.96.0.7:80"):  to("10.0.0.1:8080", "10.0.0.2:8080"),
				front("TCP", "0.0.0.0:30080"): to("10.0.0.1:8080"),
			},
		},
		"internal traffic stays on the node": {
			service: service(func(s *v1.Service) {
				s.Spec.InternalTrafficPolicy = ptr.To(v1.ServiceInternalTrafficPolicyLocal)
			}),
			slices: []*discoveryv1.EndpointSlice{both},
			want:   rules{front("TCP", "10.96.0.7:80"): to("10.0.0.1:8080")},
		},
		"load balancer and external addresses": {
			service: service(func(s *v1.Service) {
				s.Spec.Type = v1.ServiceTypeLoadBalancer
				s.Spec.ExternalIPs = []string{"203.0.113.9"}
				s.Status.LoadBalancer.Ingress = []v1.LoadBalancerIngress{
					{IP: "198.18.9.1"},
					{IP: "198.18.9.2", IPMode: ptr.To(v1.LoadBalancerIPModeProxy)},
					{Hostname: "lb.example"},
				}
			}),
			slices: []*discoveryv1.EndpointSlice{slice("s", endpoint("10.0.0.1", "a", true))},
			want: rules{
				front("TCP", "10.96.0.7:80"):   to("10.0.0.1:8080"),
				front("TCP", "203.0.113.9:80"): to("10.0.0.1:8080"),
				front("TCP", "198.18.9.1:80"):  to("10.0.0.1:8080"),
			},
		},
		"each family has its own endpoints": {
			service: service(func(s *v1.Service) { s.Spec.ClusterIPs = []string{"10.96.0.7", "2001:db8::7"} }),
			slices:  []*discoveryv1.EndpointSlice{slice("s", endpoint("10.0.0.1", "a", true)), slice("s", endpoint("2001:db8::1", "a", true))},
			want: rules{
				front("TCP", "10.96.0.7:80"):     to("10.0.0.1:8080"),
				front("TCP", "[2001:db8::7]:80"): to("[2001:db8::1]:8080"),
			},
		},
		"headless": {
			service: service(func(s *v1.Service) {
				s.Spec.ClusterIP, s.Spec.ClusterIPs = v1.ClusterIPNone, []string{v1.ClusterIPNone}
			}),
			slices: []*discoveryv1.EndpointSlice{both},
			want:   rules{},
		},
		"external name": {
			service: service(func(s *v1.Service) { s.Spec.Type = v1.ServiceTypeExternalName }),
			want:    rules{},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := buildRules([]*v1.Service{test.service}, test.slices, "a")
			if !reflect.DeepEqual(got, test.want) {
				t.Errorf("got  %v\nwant %v", got, test.want)
			}
		})
	}
}
