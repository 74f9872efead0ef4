package webhook_test

import (
	"slices"
	"strings"
	"testing"

	admissionregistrationv1 "k8s.io/api/admissionregistration/v1"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	"github.com/gardener/gardener/pkg/client/kubernetes"

	"github.com/packetyard/packetyard/internal/gardener/account"
	"github.com/packetyard/packetyard/internal/gardener/webhook/seedprovider"
)

const configName = "gardener-extension-provider-packet"

// StatefulSets were once forgotten, so nobody ever asked the webhook about a highly available VPN.
func TestTheRegisteredWebhooks(t *testing.T) {
	config := &admissionregistrationv1.MutatingWebhookConfiguration{}
	if err := environment.client.Get(t.Context(), client.ObjectKey{Name: configName}, config); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"controlplane.packet.extensions.gardener.cloud":    {"deployments", "operatingsystemconfigs", "statefulsets", "verticalpodautoscalers"},
		"resourcemanager.packet.extensions.gardener.cloud": {"deployments"},
		"cloudprovider.packet.extensions.gardener.cloud":   {"secrets"},
		"seedprovider.packet.extensions.gardener.cloud":    {"etcds"},
	}
	for _, webhook := range config.Webhooks {
		var resources []string
		for _, rule := range webhook.Rules {
			resources = append(resources, rule.Resources...)
		}
		slices.Sort(resources)
		if !slices.Equal(resources, want[webhook.Name]) {
			t.Errorf("%s is asked about %v, want %v", webhook.Name, resources, want[webhook.Name])
		}
		delete(want, webhook.Name)
		// All namespaces of a seed hold Secrets and Deployments of somebody else.
		if webhook.NamespaceSelector == nil || len(webhook.NamespaceSelector.MatchLabels)+len(webhook.NamespaceSelector.MatchExpressions) == 0 {
			t.Errorf("%s is asked about all namespaces", webhook.Name)
		}
		if *webhook.FailurePolicy != admissionregistrationv1.Fail {
			t.Errorf("%s can be passed by", webhook.Name)
		}
	}
	if len(want) > 0 {
		t.Errorf("these are not registered: %v", want)
	}
}

// In a seed the webhooks are reached by the extension's Service, and in a Shoot by its name in the seed.
func TestTheWebhooksBehindAService(t *testing.T) {
	mgr, err := manager.New(environment.config, manager.Options{Scheme: kubernetes.SeedScheme, Metrics: server.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	var webhooks []*extensionswebhook.Webhook
	for _, pair := range switches() {
		webhook, err := pair.Func(mgr)
		if err != nil {
			t.Fatalf("%s: %v", pair.Name, err)
		}
		webhooks = append(webhooks, webhook)
	}
	seed, shoot, err := extensionswebhook.BuildWebhookConfigs(webhooks, mgr.GetClient(), "extension-provider-packet-x7k2p", account.Name, false, 443, extensionswebhook.ModeService, "", nil, false)
	if err != nil {
		t.Fatal(err)
	}
	for _, webhook := range seed.MutatingWebhookConfig.Webhooks {
		service := webhook.ClientConfig.Service
		if service == nil || service.Name != configName || service.Namespace != "extension-provider-packet-x7k2p" || *service.Port != 443 || *service.Path == "/" {
			t.Errorf("%s is asked at %+v", webhook.Name, webhook.ClientConfig)
		}
	}
	for _, webhook := range shoot.MutatingWebhookConfig.Webhooks {
		if url := webhook.ClientConfig.URL; url == nil || *url != "https://"+configName+".extension-provider-packet-x7k2p:443/shoot" {
			t.Errorf("%s is asked at %+v", webhook.Name, webhook.ClientConfig)
		}
	}
}

// A manager that does not know etcd-druid's types once failed at the first etcd, and not at the start.
func TestTheDruidSchemeIsMissedAtTheStart(t *testing.T) {
	mgr, err := manager.New(environment.config, manager.Options{Scheme: clientgoscheme.Scheme, Metrics: server.Options{BindAddress: "0"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := seedprovider.New(mgr, seedprovider.Options{}); err == nil || !strings.Contains(err.Error(), "Etcd") {
		t.Errorf("got %v, want an error about Etcd", err)
	}
}
