//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/packetyard/packetyard/pkg/packet"
)

// checkServices has every implementation give addresses and take them back,
// one after the other in one cluster. What is no more than that
// implementation needs is in the chart's roles: MetalLB is the last, so that
// no right is left over from another.
func checkServices(t *testing.T, y *yard, kubeconfig string, kube kubernetes.Interface) {
	t.Helper()
	services := &services{y: y, kube: kube, kubeconfig: kubeconfig}
	services.client, services.project = y.api(t)
	step(t, "kube-vip", func(t *testing.T) {
		services.use(t, "kube-vip://")
		services.check(t, "kube-vip")
		// This Service stays while the implementation changes.
		services.create(t, "stays", nil)
		services.kept = services.await(t, "stays")
		eventually(t, "each node has its BGP peers", services.announced)
	})
	step(t, "empty", func(t *testing.T) {
		services.use(t, "empty://")
		services.check(t, "empty")
	})
	step(t, "MetalLB", func(t *testing.T) {
		services.installMetalLB(t)
		services.use(t, "metallb:///metallb-system?crdConfiguration=true")
		services.check(t, "metallb")
		eventually(t, "MetalLB announces the address that was there before, and no other", func(ctx context.Context) error {
			return services.checkMetalLB(ctx, services.kept)
		})
	})
	step(t, "the last Service leaves nothing", func(t *testing.T) {
		services.remove(t, "stays")
		eventually(t, "its address is released", func(ctx context.Context) error { return services.reserved(ctx) })
		eventually(t, "MetalLB is told of nothing", func(ctx context.Context) error { return services.checkMetalLB(ctx) })
		eventually(t, "no node has BGP peers", func(ctx context.Context) error {
			nodes, err := nodesByName(ctx, kube)
			for name, node := range nodes {
				for annotation := range node.Annotations {
					if strings.Contains(annotation, "bgp-peers") {
						return fmt.Errorf("node %s has %s", name, annotation)
					}
				}
			}
			return err
		})
		y.checkRights(t, kubeconfig, kube)
	})
}

// services are those of type LoadBalancer of one cluster.
type services struct {
	y          *yard
	kube       kubernetes.Interface
	kubeconfig string
	client     *packet.Client
	project    string
	// kept is the address of the Service that outlives changes.
	kept string
}

// use changes the implementation, as docs/load-balancers.md has it.
func (s *services) use(t *testing.T, scheme string) {
	t.Helper()
	values := fmt.Sprintf("{loadBalancer: %q, extraArgs: [--packet-metro=da]}", scheme)
	s.y.useCCM(t, s.kube, ccmManifest(t, values), "--packet-load-balancer="+scheme)
}

func (s *services) create(t *testing.T, name string, annotations map[string]string) {
	t.Helper()
	_, err := s.kube.CoreV1().Services(metav1.NamespaceDefault).Create(t.Context(), &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: annotations},
		Spec: corev1.ServiceSpec{
			Type: corev1.ServiceTypeLoadBalancer, Selector: map[string]string{"app": name}, Ports: []corev1.ServicePort{{Port: 80}},
		},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// remove deletes a Service, which has a finalizer until its address is given back.
func (s *services) remove(t *testing.T, name string) {
	t.Helper()
	client := s.kube.CoreV1().Services(metav1.NamespaceDefault)
	if err := client.Delete(t.Context(), name, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "Service "+name+" is gone", func(ctx context.Context) error {
		_, err := client.Get(ctx, name, metav1.GetOptions{})
		if apierrors.IsNotFound(err) {
			return nil
		}
		return errors.Join(err, errors.New("it is there"))
	})
}

// await returns a Service's address once it has it in all places.
func (s *services) await(t *testing.T, name string) (address string) {
	t.Helper()
	eventually(t, "Service "+name+" has an address", func(ctx context.Context) error {
		service, err := s.kube.CoreV1().Services(metav1.NamespaceDefault).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		address = ""
		for _, ingress := range service.Status.LoadBalancer.Ingress {
			address += ingress.IP
		}
		if annotated := service.Annotations["metal.equinix.com/eip-addresses"]; address == "" || service.Spec.LoadBalancerIP != address || annotated != address {
			return fmt.Errorf("the status has %q, the spec %q, the annotation %q", address, service.Spec.LoadBalancerIP, annotated)
		}
		return nil
	})
	return address
}

// reserved finds what is wrong if the controller's reservations are not
// exactly those of the given addresses.
func (s *services) reserved(ctx context.Context, addresses ...string) error {
	reservations, err := s.client.IPReservations(ctx, s.project)
	if err != nil {
		return err
	}
	var found []string
	for _, reservation := range reservations {
		if packet.HasTags(reservation.Tags, "usage=cloud-provider-equinix-metal-auto") {
			found = append(found, reservation.Address)
		}
	}
	addresses = slices.DeleteFunc(slices.Clone(addresses), func(address string) bool { return address == "" })
	slices.Sort(found)
	slices.Sort(addresses)
	if !slices.Equal(found, addresses) {
		return fmt.Errorf("the reservations are %v, want %v", found, addresses)
	}
	return nil
}

// check has two Services get addresses, one of a reservation of the user's
// own, and give them back.
func (s *services) check(t *testing.T, prefix string) {
	t.Helper()
	own, err := s.client.CreateIPReservation(t.Context(), s.project, packet.IPReservationCreate{
		Type: packet.IPTypePublicIPv4, Quantity: 1, Metro: "da", Tags: []string{"brought"},
	})
	if err != nil {
		t.Fatal(err)
	}
	web, brought := prefix+"-web", prefix+"-brought"
	s.create(t, web, nil)
	s.create(t, brought, map[string]string{"metal.equinix.com/eip-reservation-id": own.ID})
	address := s.await(t, web)
	if got := s.await(t, brought); got != own.Address {
		t.Errorf("the Service with a reservation of its own has %s, want %s", got, own.Address)
	}
	if err := s.reserved(t.Context(), address, s.kept); err != nil {
		t.Error(err)
	}
	if strings.HasPrefix(prefix, "metallb") {
		eventually(t, "MetalLB announces the addresses", func(ctx context.Context) error {
			return s.checkMetalLB(ctx, address, own.Address, s.kept)
		})
	}
	s.remove(t, web)
	s.remove(t, brought)
	eventually(t, "what was reserved is released", func(ctx context.Context) error { return s.reserved(ctx, s.kept) })
	left, err := s.client.IPReservation(t.Context(), own.ID)
	if err != nil || left.Address != own.Address {
		t.Errorf("the user's own reservation: %+v, %v; want it as it was", left, err)
	}
	if s.kept != "" {
		if got := s.await(t, "stays"); got != s.kept {
			t.Errorf("the Service that stays has %s, want %s as before", got, s.kept)
		}
	}
	s.y.checkRights(t, s.kubeconfig, s.kube)
}

// announced finds a node that does not tell its peers, or whose device has no
// session.
func (s *services) announced(ctx context.Context) error {
	nodes, err := nodesByName(ctx, s.kube)
	if err != nil {
		return err
	}
	sessions, err := s.client.ProjectBGPSessions(ctx, s.project)
	if err != nil {
		return err
	}
	for name, node := range nodes {
		if node.Annotations["metal.equinix.com/bgp-peers-0-peer-ip"] == "" {
			return fmt.Errorf("node %s has no peer", name)
		}
	}
	if len(sessions) != len(nodes) {
		return fmt.Errorf("%d BGP sessions for %d nodes", len(sessions), len(nodes))
	}
	return nil
}

// installMetalLB makes the definitions of MetalLB's own release, and the
// namespace that its controller would be in. Its pods would be hollow.
func (s *services) installMetalLB(t *testing.T) {
	t.Helper()
	definitions := filepath.Join(s.y.bin, "metallb-crds.yaml")
	if _, err := os.Stat(definitions); err != nil {
		t.Fatalf("`make e2e-build` fetches MetalLB's definitions: %v", err)
	}
	s.y.kubectl(t, s.kubeconfig, "create", "namespace", "metallb-system")
	s.y.kubectl(t, s.kubeconfig, "create", "-f", definitions)
	s.y.kubectl(t, s.kubeconfig, "wait", "--for=condition=Established", "--timeout=60s", "-f", definitions)
}

// checkMetalLB finds what is wrong if MetalLB is not told exactly of the
// given addresses, and of two peers for each worker: kubeadm excludes the
// control plane from load balancing.
func (s *services) checkMetalLB(ctx context.Context, addresses ...string) error {
	output, err := s.y.tryKubectl(ctx, s.kubeconfig, "get", "-n", "metallb-system", "-o", "json", "ipaddresspools.metallb.io,bgppeers.metallb.io,bgpadvertisements.metallb.io")
	if err != nil {
		return err
	}
	var list struct {
		Items []struct {
			Kind string
			Spec struct {
				Addresses     []string
				NodeSelectors []metav1.LabelSelector
			}
		}
	}
	if err := json.Unmarshal([]byte(output), &list); err != nil {
		return err
	}
	nodes, err := nodesByName(ctx, s.kube)
	if err != nil {
		return err
	}
	counts := map[string]int{}
	var pooled, wanted []string
	for _, item := range list.Items {
		counts[item.Kind]++
		pooled = append(pooled, item.Spec.Addresses...)
	}
	for _, address := range addresses {
		wanted = append(wanted, address+"/32")
	}
	slices.Sort(pooled)
	slices.Sort(wanted)
	peers, advertisements := 0, min(len(addresses), 1)
	for _, node := range nodes {
		if _, excluded := node.Labels[corev1.LabelNodeExcludeBalancers]; !excluded {
			peers += 2 * advertisements
		}
	}
	if !slices.Equal(pooled, wanted) || counts["IPAddressPool"] != len(wanted) || counts["BGPPeer"] != peers || counts["BGPAdvertisement"] != advertisements {
		return fmt.Errorf("the pools have %v, want %v; there are %v, want %d BGPPeers and %d BGPAdvertisements", pooled, wanted, counts, peers, advertisements)
	}
	return nil
}
