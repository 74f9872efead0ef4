//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	v1beta1helper "github.com/gardener/gardener/pkg/api/core/v1beta1/helper"
	gardenletconfigv1alpha1 "github.com/gardener/gardener/pkg/apis/config/gardenlet/v1alpha1"
	"github.com/gardener/gardener/pkg/apis/core"
	gardencorev1 "github.com/gardener/gardener/pkg/apis/core/v1"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	"github.com/gardener/gardener/pkg/client/kubernetes"
	"github.com/gardener/gardener/pkg/gardenlet/controller/controllerinstallation/controllerinstallation"
	gardenerutils "github.com/gardener/gardener/pkg/utils/gardener"
)

// gardenerVersion is that of the module whose programs run on the seeds.
const gardenerVersion = "v1.150.0"

// garden is the garden cluster: what gardenlet reads there, and where it leaves the states of Shoots. No API server stands behind
// it, since the tests of the admission component have a real one, with all that it refuses.
type garden struct {
	client.Client
	registration *gardencorev1beta1.ControllerRegistration
	deployment   *gardencorev1.ControllerDeployment
}

// newGarden registers the extension, with the file that a garden's operator would apply.
func newGarden(t *testing.T, y *yard) *garden {
	t.Helper()
	registration, deployment := registered(t, filepath.Join(y.bin, "gardener", "controller-registration.yaml"))
	// There is no garden that the extension could be given access to, and it needs none: package provider says what for.
	deployment.InjectGardenKubeconfig = ptr.To(false)
	return &garden{
		Client: fake.NewClientBuilder().WithScheme(kubernetes.GardenScheme).WithObjects(registration, deployment).
			WithStatusSubresource(&gardencorev1beta1.ControllerInstallation{}).Build(),
		registration: registration,
		deployment:   deployment,
	}
}

// registered reads a file with a ControllerDeployment and a ControllerRegistration, in the version that gardenlet reads them in.
func registered(t *testing.T, path string) (*gardencorev1beta1.ControllerRegistration, *gardencorev1.ControllerDeployment) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatalf("the build has no registration of the extension (make e2e-build): %v", err)
	}
	defer file.Close()
	var old gardencorev1beta1.ControllerDeployment
	var registration gardencorev1beta1.ControllerRegistration
	reader := utilyaml.NewYAMLReader(bufio.NewReader(file))
	for {
		document, err := reader.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("reading %s: %v", path, err)
		}
		object, _, err := kubernetes.GardenCodec.UniversalDeserializer().Decode(document, nil, nil)
		switch object := object.(type) {
		case *gardencorev1beta1.ControllerDeployment:
			old = *object
		case *gardencorev1beta1.ControllerRegistration:
			registration = *object
		default:
			// What stands before the first document is a comment.
			if len(bytes.TrimSpace(document)) > 0 && !bytes.HasPrefix(document, []byte("#")) {
				t.Fatalf("%s has a document of another kind: %v", path, err)
			}
		}
	}
	var internal core.ControllerDeployment
	var deployment gardencorev1.ControllerDeployment
	if err := gardencorev1beta1.Convert_v1beta1_ControllerDeployment_To_core_ControllerDeployment(&old, &internal, nil); err != nil {
		t.Fatal(err)
	}
	if err := gardencorev1.Convert_core_ControllerDeployment_To_v1_ControllerDeployment(&internal, &deployment, nil); err != nil {
		t.Fatal(err)
	}
	return &registration, &deployment
}

// install has gardenlet's own controller deploy the extension on a seed, and returns the namespace that its pods are in.
func (g *garden) install(t *testing.T, seed *seed) string {
	t.Helper()
	installation := &gardencorev1beta1.ControllerInstallation{
		// gardener-controller-manager copies the annotations of the registration.
		ObjectMeta: metav1.ObjectMeta{Name: g.registration.Name + "-" + seed.object.Name, Annotations: g.registration.Annotations},
		Spec: gardencorev1beta1.ControllerInstallationSpec{
			RegistrationRef: corev1.ObjectReference{Name: g.registration.Name},
			DeploymentRef:   &corev1.ObjectReference{Name: g.deployment.Name},
			SeedRef:         &corev1.ObjectReference{Name: seed.object.Name},
		},
	}
	for _, object := range []client.Object{seed.object, installation} {
		if err := g.Create(t.Context(), object); err != nil {
			t.Fatal(err)
		}
	}
	reconciler := &controllerinstallation.Reconciler{
		GardenClient: g, GardenConfig: &rest.Config{}, SeedClientSet: seed.clients, Clock: clock.RealClock{},
		Config:                gardenletconfigv1alpha1.GardenletConfiguration{},
		Identity:              &gardencorev1beta1.Gardener{Name: "gardenlet", Version: gardenerVersion},
		GardenClusterIdentity: "garden",
		GardenNamespace:       v1beta1constants.GardenNamespace,
	}
	if _, err := reconciler.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(installation)}); err != nil {
		t.Fatalf("deploying the extension: %v", err)
	}
	if err := g.Get(t.Context(), client.ObjectKeyFromObject(installation), installation); err != nil {
		t.Fatal(err)
	}
	if valid := v1beta1helper.GetCondition(installation.Status.Conditions, gardencorev1beta1.ControllerInstallationValid); valid == nil || valid.Status != gardencorev1beta1.ConditionTrue {
		t.Fatalf("gardenlet says of the registration %+v", valid)
	}
	return gardenerutils.NamespaceNameForControllerInstallation(installation)
}
