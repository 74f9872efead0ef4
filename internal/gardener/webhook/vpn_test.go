package webhook_test

import (
	"net"
	"testing"
	"time"

	"github.com/go-logr/logr"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"github.com/gardener/gardener/pkg/component/extensions/infrastructure"
	"github.com/gardener/gardener/pkg/component/networking/vpn/seedserver"

	"github.com/packetyard/packetyard/internal/gardener/account"
)

// reportedNetworks are the node networks that gardenlet takes from the Infrastructure.
func reportedNetworks(t *testing.T, g *gardenlet, reported ...string) []net.IPNet {
	t.Helper()
	object := &extensionsv1alpha1.Infrastructure{
		ObjectMeta: metav1.ObjectMeta{Name: "test", Namespace: g.namespace},
		Spec: extensionsv1alpha1.InfrastructureSpec{
			DefaultSpec: extensionsv1alpha1.DefaultSpec{Type: account.Type}, Region: "ny",
			SecretRef: corev1.SecretReference{Name: v1beta1constants.SecretNameCloudProvider, Namespace: g.namespace},
		},
	}
	g.create(t, object)
	object.Status.Networking = &extensionsv1alpha1.InfrastructureStatusNetworking{Nodes: reported}
	if err := g.client.Status().Update(t.Context(), object); err != nil {
		t.Fatal(err)
	}
	component := infrastructure.New(logr.Discard(), g.client, &infrastructure.Values{Namespace: g.namespace, Name: "test", Type: account.Type, Region: "ny"}, time.Second, time.Minute, time.Minute)
	if _, err := component.Get(t.Context()); err != nil {
		t.Fatal(err)
	}
	var networks []net.IPNet
	for _, cidr := range component.NodesCIDRs() {
		_, network, err := net.ParseCIDR(cidr)
		if err != nil {
			t.Fatal(err)
		}
		networks = append(networks, *network)
	}
	return networks
}

// Once there was an environment variable NODE_NETWORK, which the extension had to set in the VPN server, and in the StatefulSet that a
// highly available one is it was forgotten. Gardener takes what the Infrastructure reports, all of it, and the webhook leaves it so.
func TestNodeNetworksReachTheVPNServer(t *testing.T) {
	for name, highlyAvailable := range map[string]bool{"Deployment": false, "StatefulSet": true} {
		t.Run(name, func(t *testing.T) {
			g := newPacketGardenlet(t, map[bool]string{false: "vpn", true: "vpn-ha"}[highlyAvailable])
			component := seedserver.New(g.client, g.namespace, g.secrets, func() string { return "istio-ingress" }, seedserver.Values{
				ImageAPIServerProxy: "proxy:1", ImageVPNSeedServer: "vpn:1", Replicas: 2,
				Network:                 seedserver.NetworkValues{IPFamilies: []gardencorev1beta1.IPFamily{gardencorev1beta1.IPFamilyIPv4}},
				HighAvailabilityEnabled: highlyAvailable, HighAvailabilityNumberOfSeedServers: 2, HighAvailabilityNumberOfShootClients: 2,
			})
			component.SetNodeNetworkCIDRs(reportedNetworks(t, g, "10.64.12.0/25", "10.66.0.0/25"))
			deploy(t, component)
			var template corev1.PodTemplateSpec
			var generation int64
			if highlyAvailable {
				server := get[appsv1.StatefulSet](t, g, v1beta1constants.StatefulSetNameVPNSeedServer)
				template, generation = server.Spec.Template, server.Generation
			} else {
				server := get[appsv1.Deployment](t, g, v1beta1constants.DeploymentNameVPNSeedServer)
				template, generation = server.Spec.Template, server.Generation
			}
			values := map[string]string{}
			for _, variable := range container(t, template.Spec, "vpn-seed-server").Env {
				values[variable.Name] = variable.Value
			}
			if got := values["SHOOT_NODE_NETWORKS"]; got != "10.64.12.0/25,10.66.0.0/25" {
				t.Errorf("the VPN server routes %q, want both node networks", got)
			}
			if value, has := values["NODE_NETWORK"]; has {
				t.Errorf("NODE_NETWORK is %q, which nothing reads", value)
			}
			if generation != 1 {
				t.Errorf("deploying it again changed it: generation %d", generation)
			}
		})
	}
}

// Gardener does not label the StatefulSet for such webhooks, and where an administrator or another version does, it has to pass.
func TestAStatefulSetPassesTheWebhook(t *testing.T) {
	g := newPacketGardenlet(t, "statefulset")
	labels := map[string]string{v1beta1constants.LabelExtensionProviderMutatedByControlplaneWebhook: "true"}
	g.create(t, &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: v1beta1constants.StatefulSetNameVPNSeedServer, Namespace: g.namespace, Labels: labels},
		Spec: appsv1.StatefulSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "vpn-seed-server", Image: "vpn:1"}}},
			},
		},
	})
}
