package controlplane

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/packetyard/packetyard/internal/ccm/loadbalancers/metallb"
	"github.com/packetyard/packetyard/internal/charts"
	"github.com/packetyard/packetyard/pkg/packet"
)

// With the definitions of MetalLB's release and the rights of the chart, and no others, the cloud controller manager's own code
// tells MetalLB what to announce. MetalLB's webhook, behind which there is no pod here, does not keep it from that; others it does.
func TestCloudControllerManagerConfiguresMetalLB(t *testing.T) {
	ctx := t.Context()
	objects := newShoot(t, "1.36.0", nil).render(t, false)
	installMetalLB(t, objects)
	var applied []*unstructured.Unstructured
	for _, object := range objects.shoot {
		if strings.HasPrefix(object.GetAPIVersion(), "rbac.authorization.k8s.io/") || object.GetKind() == "ValidatingWebhookConfiguration" {
			applied = append(applied, object)
		}
	}
	if err := apply(ctx, applied); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, object := range applied {
			if err := shared.client.Delete(context.WithoutCancel(ctx), object.DeepCopy()); err != nil {
				t.Error(err)
			}
		}
	})

	pools := schema.GroupVersionResource{Group: "metallb.io", Version: "v1beta1", Resource: "ipaddresspools"}
	admin := dynamic.NewForConfigOrDie(shared.config).Resource(pools).Namespace(MetalLBNamespace)
	await(t, "the API server asks MetalLB about what people write", func(ctx context.Context) (bool, error) {
		_, err := admin.Create(ctx, &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "metallb.io/v1beta1", "kind": "IPAddressPool", "metadata": map[string]any{"generateName": "of-a-person-"},
			"spec": map[string]any{"addresses": []any{"192.0.2.1/32"}},
		}}, metav1.CreateOptions{DryRun: []string{metav1.DryRunAll}})
		return err != nil && strings.Contains(err.Error(), "ipaddresspoolvalidationwebhook.metallb.io"), nil
	})

	account := rest.CopyConfig(shared.config)
	account.Impersonate = rest.ImpersonationConfig{
		UserName: "system:serviceaccount:kube-system:" + CloudControllerManager,
		Groups:   []string{"system:serviceaccounts", "system:serviceaccounts:kube-system", "system:authenticated"},
	}
	subject := metallb.New(metallb.Config{
		Dynamic: dynamic.NewForConfigOrDie(account), Kubernetes: kubernetes.NewForConfigOrDie(account),
		Namespace: MetalLBNamespace, Format: metallb.Resources, FieldManager: "cloud-provider-packet", Clock: packet.SystemClock{},
	})
	state := metallb.State{
		Pools: []metallb.Pool{{Address: netip.MustParseAddr("198.51.100.7"), AllNodes: true}},
		Peers: []metallb.Peer{
			peer("one", 0, "169.254.255.1", "10.64.0.1"), peer("one", 1, "169.254.255.2", "10.64.0.1"),
			peer("two", 0, "169.254.255.1", "10.64.0.3"), peer("two", 1, "169.254.255.2", "10.64.0.3"),
		},
	}
	for _, step := range []struct {
		state                       metallb.State
		pools, peers, announcements int
	}{{state, 1, 4, 1}, {metallb.State{}, 0, 0, 0}} {
		if refused, err := subject.Apply(ctx, step.state); err != nil || len(refused) > 0 {
			t.Fatalf("telling MetalLB: %v, and refused were %v", err, refused)
		}
		for resource, want := range map[schema.GroupVersionResource]int{
			pools: step.pools,
			{Group: "metallb.io", Version: "v1beta2", Resource: "bgppeers"}:          step.peers,
			{Group: "metallb.io", Version: "v1beta1", Resource: "bgpadvertisements"}: step.announcements,
		} {
			list, err := dynamic.NewForConfigOrDie(shared.config).Resource(resource).Namespace(MetalLBNamespace).List(ctx, metav1.ListOptions{})
			if err != nil || len(list.Items) != want {
				t.Errorf("there are %d %s, want %d (%v)", len(list.Items), resource.Resource, want, err)
			}
		}
	}
}

func peer(node string, number int, address, source string) metallb.Peer {
	return metallb.Peer{
		Node: node, Hostname: node, Number: number, MyASN: 65000, PeerASN: 65530, MultiHop: true, Password: "not-a-secret",
		Address: netip.MustParseAddr(address), Source: netip.MustParseAddr(source),
	}
}

// The tests of the program prove that the rights of its own chart suffice. Those in a Shoot are the same.
func TestRightsAreThoseOfTheProgramsChart(t *testing.T) {
	for implementation, values := range map[string]string{
		"metallb":  "{leaderElection: true, loadBalancer: 'metallb://metallb-system?crdConfiguration=true'}",
		"none":     "{leaderElection: true, loadBalancer: 'empty://'}",
		"disabled": "{leaderElection: true}",
	} {
		t.Run(implementation, func(t *testing.T) {
			text, err := charts.Render("../../../charts/packet-cloud-controller-manager", "ccm", "kube-system", values)
			if err != nil {
				t.Fatal(err)
			}
			var theirs []*unstructured.Unstructured
			for document := range strings.SplitSeq(text, "\n---\n") {
				object := &unstructured.Unstructured{}
				if err := yaml.Unmarshal([]byte(document), &object.Object); err != nil {
					t.Fatal(err)
				}
				theirs = append(theirs, object)
			}
			s := newShoot(t, "1.35.1", nil)
			s.configure(`"loadBalancer":{"implementation":"` + implementation + `"}`)
			want, got := rights(t, theirs, ""), rights(t, s.render(t, false).shoot, "extensions.gardener.cloud:provider-packet:")
			for _, right := range want {
				if !slices.Contains(got, right) {
					t.Errorf("a right is lacking: %s", right)
				}
			}
			for _, right := range got {
				if !slices.Contains(want, right) {
					t.Errorf("a right is too much: %s", right)
				}
			}
		})
	}
}

// rights are what the roles allow whose names begin so: namespace, group, resource, name and verb.
func rights(t *testing.T, objects []*unstructured.Unstructured, prefix string) []string {
	t.Helper()
	var all []string
	for _, object := range objects {
		if kind := object.GetKind(); kind != "Role" && kind != "ClusterRole" || !strings.HasPrefix(object.GetName(), prefix) {
			continue
		}
		for _, rule := range typed[rbacv1.Role](t, []*unstructured.Unstructured{object}, object.GetKind(), object.GetName()).Rules {
			names := rule.ResourceNames
			if slices.Equal(rule.Resources, []string{"namespaces"}) || len(names) == 0 {
				// The program's chart does not say that it is one namespace alone.
				names = []string{""}
			}
			for _, group := range rule.APIGroups {
				for _, resource := range rule.Resources {
					for _, name := range names {
						for _, verb := range rule.Verbs {
							all = append(all, strings.Join([]string{object.GetNamespace(), group, resource, name, verb}, " "))
						}
					}
				}
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// The account whose rights these are is the one that Gardener makes for the access Secret.
func TestShootAccessSecret(t *testing.T) {
	s := newShoot(t, "1.35.1", nil)
	secrets := shootAccessSecrets(s.cp.Namespace)
	if len(secrets) != 1 || secrets[0].ServiceAccountName != CloudControllerManager {
		t.Fatalf("the access Secrets are %v", secrets)
	}
	if err := secrets[0].Reconcile(t.Context(), shared.client); err != nil {
		t.Fatal(err)
	}
	secret := &corev1.Secret{}
	if err := shared.client.Get(t.Context(), client.ObjectKey{Namespace: s.cp.Namespace, Name: "shoot-access-cloud-controller-manager"}, secret); err != nil {
		t.Fatal(err)
	}
	if got := secret.Annotations["serviceaccount.resources.gardener.cloud/namespace"]; got != metav1.NamespaceSystem {
		t.Errorf("the account is in namespace %q", got)
	}
	binding := typed[rbacv1.ClusterRoleBinding](t, s.render(t, false).shoot, "ClusterRoleBinding", "extensions.gardener.cloud:provider-packet:cloud-controller-manager")
	if subject := binding.Subjects[0]; subject.Name != secret.Annotations["serviceaccount.resources.gardener.cloud/name"] || subject.Namespace != metav1.NamespaceSystem {
		t.Errorf("the rights are those of %v", subject)
	}
}
