package manager_test

import (
	"os"
	"strings"
	"testing"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1beta1 "sigs.k8s.io/cluster-api/api/core/v1beta1" //nolint:staticcheck // The conversion to it is what is tested.
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/internal/capi/manager"
)

var env *capitest.Environment

// All tests share one manager, as all users of a bootstrap cluster do.
func TestMain(m *testing.M) {
	ctrl.SetLogger(klog.Background())
	os.Exit(capitest.Run(m, capitest.Everything, func(e *capitest.Environment) (func(), error) {
		env = e
		return e.RunManager(func(_ *rest.Config, o *manager.Options) { o.LeaderElection = true })
	}))
}

func TestManagerProvidesItsWebhooks(t *testing.T) {
	ctx := t.Context()
	namespace := env.Namespace(t)

	validating := &admissionv1.ValidatingWebhookConfiguration{}
	key := client.ObjectKey{Name: "cluster-api-provider-packet-validating-webhook-configuration"}
	if err := env.Client.Get(ctx, key, validating); err != nil {
		t.Fatal(err)
	}
	for _, webhook := range validating.Webhooks {
		if len(webhook.ClientConfig.CABundle) == 0 {
			t.Errorf("webhook %s has no CA", webhook.Name)
		}
	}

	t.Run("defaulting", func(t *testing.T) {
		cluster := &clusterv1.Cluster{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "defaulted"},
			Spec: clusterv1.ClusterSpec{InfrastructureRef: clusterv1.ContractVersionedObjectReference{
				APIGroup: infrav1.GroupVersion.Group, Kind: "PacketCluster", Name: "defaulted",
			}},
		}
		if err := env.Client.Create(ctx, cluster); err != nil {
			t.Fatal(err)
		}
		t.Run("conversion", func(t *testing.T) {
			old := &clusterv1beta1.Cluster{}
			if err := env.Client.Get(ctx, client.ObjectKeyFromObject(cluster), old); err != nil {
				t.Fatal(err)
			}
			if got, want := old.Spec.InfrastructureRef.APIVersion, infrav1.GroupVersion.String(); got != want {
				t.Errorf("infrastructureRef.apiVersion of the v1beta1 Cluster is %q, want %q", got, want)
			}
		})
	})
	t.Run("validation", func(t *testing.T) {
		machine := &clusterv1.Machine{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "m"},
			Spec: clusterv1.MachineSpec{
				ClusterName: "c", Version: "1.2", Bootstrap: clusterv1.Bootstrap{DataSecretName: ptr.To("s")},
				InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: "g.x", Kind: "K", Name: "n"},
			},
		}
		if err := env.Client.Create(ctx, machine); err == nil || !strings.Contains(err.Error(), "spec.version") {
			t.Errorf("a Machine with a bad version: %v, want a complaint about spec.version", err)
		}
	})
	t.Run("templates are immutable", func(t *testing.T) {
		template := &infrav1.PacketMachineTemplate{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "t"},
			Spec: infrav1.PacketMachineTemplateSpec{Template: infrav1.PacketMachineTemplateResource{
				Spec: infrav1.PacketMachineSpec{OS: "ubuntu_24_04", MachineType: "c3.small.x86"},
			}},
		}
		if err := env.Client.Create(ctx, template); err != nil {
			t.Fatal(err)
		}
		changed := template.DeepCopy()
		changed.Spec.Template.Spec.MachineType = "m3.large.x86"
		// The controllers write templates too, so these are patches.
		err := env.Client.Patch(ctx, changed, client.MergeFrom(template))
		if !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "spec.template.spec") {
			t.Errorf("changing a template: %v, want a complaint about spec.template.spec", err)
		}
		labelled := template.DeepCopy()
		labelled.Labels = map[string]string{"a": "b"}
		if err := env.Client.Patch(ctx, labelled, client.MergeFrom(template)); err != nil {
			t.Errorf("labelling a template: %v", err)
		}
		dryRun := template.DeepCopy()
		dryRun.Annotations = map[string]string{clusterv1.TopologyDryRunAnnotation: ""}
		dryRun.Spec.Template.Spec.MachineType = "m3.large.x86"
		if err := env.Client.Patch(ctx, dryRun, client.MergeFrom(template), client.DryRunAll); err != nil {
			t.Errorf("the topology controller's dry run of changing a template: %v", err)
		}
	})
}
