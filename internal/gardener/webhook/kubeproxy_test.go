package webhook_test

import (
	"context"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	gardencore "github.com/gardener/gardener/pkg/apis/core"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	"github.com/gardener/gardener/pkg/component/kubernetes/proxy"
	"github.com/gardener/gardener/pkg/utils/managedresources"
)

// proxyConfig is the ConfigMap that Gardener has for the kube-proxy of a Shoot.
func proxyConfig(t *testing.T, g *gardenlet, mode gardencore.ProxyMode) *corev1.ConfigMap {
	t.Helper()
	deploy(t, proxy.New(g.client, g.namespace, proxy.Values{ProxyMode: mode}))
	objects, err := managedresources.GetObjects(t.Context(), g.client, g.namespace, "shoot-core-kube-proxy")
	if err != nil {
		t.Fatal(err)
	}
	for _, object := range objects {
		if config, is := object.(*corev1.ConfigMap); is && strings.HasPrefix(config.Name, proxy.ConfigNamePrefix) {
			return config
		}
	}
	t.Fatal("Gardener has no configuration for kube-proxy")
	return nil
}

// The API server plays the Shoot: it gets the webhook that the extension has for Shoots, and what gardener-resource-manager applies there.
func TestKubeProxyLeavesARPToMetalLB(t *testing.T) {
	g := newPacketGardenlet(t, "proxy")
	configs := g.shootConfigs.Load().(*extensionswebhook.Configs).DeepCopy()
	for _, config := range configs.GetWebhookConfigs() {
		g.create(t, config)
		t.Cleanup(func() { _ = g.client.Delete(context.WithoutCancel(t.Context()), config) })
	}
	system := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: metav1.NamespaceSystem}}
	if err := g.client.Patch(t.Context(), system, client.RawPatch("application/merge-patch+json", []byte(`{"metadata":{"labels":{"`+v1beta1constants.GardenerPurpose+`":"`+metav1.NamespaceSystem+`"}}}`))); err != nil {
		t.Fatal(err)
	}

	wanted := proxyConfig(t, g, gardencore.ProxyModeIPVS)
	if strings.Contains(wanted.Data["config.yaml"], "strictARP: true") {
		t.Fatal("Gardener asks for strict ARP by itself now: the webhook is not needed any more")
	}
	err := wait.PollUntilContextTimeout(t.Context(), 100*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		tried := wanted.DeepCopy()
		err := g.client.Create(ctx, tried, client.DryRunAll)
		return err == nil && strings.Contains(tried.Data["config.yaml"], "strictARP: true"), nil
	})
	if err != nil {
		t.Fatalf("kube-proxy in its mode ipvs answers ARP: %v", err)
	}
	made := wanted.DeepCopy()
	g.create(t, made)
	// The ConfigMap is immutable, and gardener-resource-manager applies its own contents again.
	made.Data = wanted.Data
	if err := g.client.Update(t.Context(), made); err != nil {
		t.Errorf("applying it again: %v", err)
	}
	for _, mode := range []gardencore.ProxyMode{gardencore.ProxyModeIPTables, gardencore.ProxyMode("NFTables")} {
		wanted := proxyConfig(t, g, mode)
		made := wanted.DeepCopy()
		if err := g.client.Create(t.Context(), made, client.DryRunAll); err != nil {
			t.Fatal(err)
		}
		if made.Data["config.yaml"] != wanted.Data["config.yaml"] {
			t.Errorf("the configuration for %s was changed to\n%s", mode, made.Data["config.yaml"])
		}
	}
}
