package webhook_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/manager/signals"
	"sigs.k8s.io/yaml"

	"github.com/gardener/gardener/cmd/gardener-resource-manager/app"
	v1beta1helper "github.com/gardener/gardener/pkg/api/core/v1beta1/helper"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	resourcesv1alpha1 "github.com/gardener/gardener/pkg/apis/resources/v1alpha1"
	"github.com/gardener/gardener/pkg/component/gardener/resourcemanager"
	"github.com/gardener/gardener/pkg/utils/managedresources"

	"github.com/packetyard/packetyard/internal/processtest"
)

// asResourceManager is set in a process that is to be a real gardener-resource-manager, and not the tests.
const asResourceManager = "PACKETYARD_TEST_AS_RESOURCE_MANAGER"

func runResourceManager() int {
	if err := app.NewCommand().ExecuteContext(signals.SetupSignalHandler()); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// startResourceManager runs the gardener-resource-manager that is deployed for a Shoot, with its arguments and its configuration, of
// which only what belongs to its pod is changed. The API server is both the seed and the Shoot.
func startResourceManager(t *testing.T, g *gardenlet) {
	t.Helper()
	folder := t.TempDir()
	kubeconfig := filepath.Join(folder, "kubeconfig")
	if err := os.WriteFile(kubeconfig, g.kubeconfig, 0o600); err != nil {
		t.Fatal(err)
	}
	deployment := get[appsv1.Deployment](t, g, v1beta1constants.DeploymentNameGardenerResourceManager)
	pod := deployment.Spec.Template.Spec
	args := container(t, pod, "gardener-resource-manager").Args
	for _, volume := range pod.Volumes {
		if volume.ConfigMap == nil {
			continue
		}
		var config map[string]any
		if err := yaml.Unmarshal([]byte(get[corev1.ConfigMap](t, g, volume.ConfigMap.Name).Data["config.yaml"]), &config); err != nil {
			t.Fatal(err)
		}
		address := func() map[string]any {
			return map[string]any{"bindAddress": "127.0.0.1", "port": processtest.FreePort(t)}
		}
		webhooks := address()
		webhooks["tls"] = map[string]any{"serverCertDir": g.certificates}
		config["server"] = map[string]any{"webhooks": webhooks, "healthProbes": address(), "metrics": address()}
		data, err := yaml.Marshal(config)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, "config.yaml"), data, 0o600); err != nil {
			t.Fatal(err)
		}
		args[0] = "--config=" + filepath.Join(folder, "config.yaml")
	}
	command := exec.CommandContext(t.Context(), os.Args[0], args...)
	command.Env = append(os.Environ(), asResourceManager+"=1", "KUBECONFIG="+kubeconfig, "TARGET_KUBECONFIG="+kubeconfig)
	command.Cancel = func() error { return command.Process.Signal(os.Interrupt) }
	command.WaitDelay = 20 * time.Second
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = command.Wait()
		if t.Failed() {
			text := output.String()
			t.Logf("gardener-resource-manager said\n…%s", text[max(0, len(text)-4000):])
		}
	})
}

// applied has gardener-resource-manager apply something to the namespace of MetalLB, and returns what it says of that.
func applied(t *testing.T, g *gardenlet) *gardencorev1beta1.Condition {
	t.Helper()
	deploy(t, resourceManager(g))
	// Its webhooks for the Shoot would see all that the other tests do.
	if err := managedresources.DeleteForShoot(t.Context(), g.client, g.namespace, resourcemanager.ManagedResourceName); err != nil {
		t.Fatal(err)
	}
	objects := `{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "metallb-system"}}
---
{"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "of-` + g.namespace + `", "namespace": "metallb-system"}}
`
	if err := managedresources.CreateForShoot(t.Context(), g.client, g.namespace, "metallb", "extension", false, map[string][]byte{"objects.yaml": []byte(objects)}); err != nil {
		t.Fatal(err)
	}
	startResourceManager(t, g)
	var condition *gardencorev1beta1.Condition
	err := wait.PollUntilContextTimeout(t.Context(), 200*time.Millisecond, patience, true, func(ctx context.Context) (bool, error) {
		resource := &resourcesv1alpha1.ManagedResource{ObjectMeta: metav1.ObjectMeta{Name: "metallb", Namespace: g.namespace}}
		if err := g.client.Get(ctx, client.ObjectKeyFromObject(resource), resource); err != nil {
			return false, err
		}
		condition = v1beta1helper.GetCondition(resource.Status.Conditions, resourcesv1alpha1.ResourcesApplied)
		return condition != nil && condition.Status != gardencorev1beta1.ConditionProgressing && condition.Status != gardencorev1beta1.ConditionUnknown, nil
	})
	if err != nil {
		t.Fatalf("gardener-resource-manager says %+v: %v", condition, err)
	}
	return condition
}

// The real program applies MetalLB's objects with the webhook, and does not without it.
func TestTheRealResourceManagerAppliesMetalLB(t *testing.T) {
	g := newPacketGardenlet(t, "real-grm")
	if condition := applied(t, g); condition.Status != gardencorev1beta1.ConditionTrue {
		t.Errorf("it is not applied: %s", condition.Message)
	}
	if err := g.client.Get(t.Context(), client.ObjectKey{Namespace: "metallb-system", Name: "of-" + g.namespace}, &corev1.ServiceAccount{}); err != nil {
		t.Error(err)
	}
}

func TestTheRealResourceManagerNeedsTheWebhook(t *testing.T) {
	condition := applied(t, newGardenlet(t, "bare-grm", "other", nil))
	if condition.Status != gardencorev1beta1.ConditionFalse || !strings.Contains(condition.Message, "unknown namespace for the cache") {
		t.Errorf("it says %s %q: if Gardener applies to all namespaces now, the webhook is not needed any more", condition.Status, condition.Message)
	}
}
