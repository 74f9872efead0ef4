package worker

import (
	"encoding/json"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/gardener/gardener/extensions/pkg/controller"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"

	machineclassv1alpha1 "github.com/packetyard/packetyard/api/machineclass/v1alpha1"
	"github.com/packetyard/packetyard/api/packet/v1alpha1"
	"github.com/packetyard/packetyard/internal/gardener/decode"
)

const (
	testNamespace   = "shoot--foobar--packet"
	testTechnicalID = "shoot--foobar--packet"
	testSSHKey      = "7b1f2d0e-53b8-4c0c-9d55-3d1f6f1f1a11"
	testURL         = "https://packet.example.com/metal/v1"
)

func encoded(t testing.TB, object runtime.Object) *runtime.RawExtension {
	t.Helper()
	raw, err := decode.Encode(object)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

func testProfile() *v1alpha1.CloudProfileConfig {
	return &v1alpha1.CloudProfileConfig{MachineImages: []v1alpha1.MachineImages{
		{Name: "ubuntu", Versions: []v1alpha1.MachineImageVersion{
			{Version: "22.4.0", ID: ptr.To("ubuntu_22_04"), Architectures: []string{"amd64", "arm64"}},
			{Version: "24.4.0", ID: ptr.To("ubuntu_24_04")},
		}},
		{Name: "flatcar", Versions: []v1alpha1.MachineImageVersion{
			{Version: "4230.2.0", IPXEScriptURL: ptr.To("https://boot.example.com/flatcar.ipxe")},
		}},
	}}
}

func testCluster() *controller.Cluster {
	return &controller.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: testNamespace},
		CloudProfile: &gardencorev1beta1.CloudProfile{
			TypeMeta:   metav1.TypeMeta{APIVersion: gardencorev1beta1.SchemeGroupVersion.String(), Kind: "CloudProfile"},
			ObjectMeta: metav1.ObjectMeta{Name: "packet"},
			Spec: gardencorev1beta1.CloudProfileSpec{
				Type: "packet",
				MachineTypes: []gardencorev1beta1.MachineType{{
					Name: "c3.small.x86", CPU: resource.MustParse("8"), GPU: resource.MustParse("0"), Memory: resource.MustParse("32Gi"),
					Architecture: ptr.To("amd64"),
				}},
				Regions: []gardencorev1beta1.Region{{Name: "ny", Zones: []gardencorev1beta1.AvailabilityZone{{Name: "ny5"}, {Name: "ewr1"}}}},
			},
		},
		Shoot: &gardencorev1beta1.Shoot{
			TypeMeta:   metav1.TypeMeta{APIVersion: gardencorev1beta1.SchemeGroupVersion.String(), Kind: "Shoot"},
			ObjectMeta: metav1.ObjectMeta{Name: "packet", Namespace: "garden-foobar"},
			Spec:       gardencorev1beta1.ShootSpec{Region: "ny", Kubernetes: gardencorev1beta1.Kubernetes{Version: "1.34.3"}},
			Status:     gardencorev1beta1.ShootStatus{TechnicalID: testTechnicalID},
		},
	}
}

func testPool() extensionsv1alpha1.WorkerPool {
	return extensionsv1alpha1.WorkerPool{
		Name:                "pool",
		MachineType:         "c3.small.x86",
		MachineImage:        extensionsv1alpha1.MachineImage{Name: "ubuntu", Version: "24.4.0"},
		Minimum:             1,
		Maximum:             3,
		MaxSurge:            intstr.FromInt32(1),
		MaxUnavailable:      intstr.FromInt32(0),
		NodeAgentSecretName: ptr.To("gardener-node-agent-pool-0123456789abcdef"),
		UserDataSecretRef:   corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "osc-result-pool"}, Key: "cloud_config"},
		KubernetesVersion:   ptr.To("1.34.3"),
		Architecture:        ptr.To("amd64"),
	}
}

func testWorker(pools ...extensionsv1alpha1.WorkerPool) *extensionsv1alpha1.Worker {
	return &extensionsv1alpha1.Worker{
		ObjectMeta: metav1.ObjectMeta{Name: "packet", Namespace: testNamespace},
		Spec: extensionsv1alpha1.WorkerSpec{
			DefaultSpec:  extensionsv1alpha1.DefaultSpec{Type: "packet"},
			Region:       "ny",
			SecretRef:    corev1.SecretReference{Name: "cloudprovider", Namespace: testNamespace},
			SSHPublicKey: []byte("ssh-ed25519 AAAA"),
			Pools:        pools,
		},
	}
}

func testInputs(pools ...extensionsv1alpha1.WorkerPool) *inputs {
	in := &inputs{
		worker:         testWorker(pools...),
		cluster:        testCluster(),
		profile:        testProfile(),
		infrastructure: &v1alpha1.InfrastructureStatus{SSHKeyID: testSSHKey},
		status:         &v1alpha1.WorkerStatus{},
		apiURL:         testURL,
		userData:       map[string][]byte{},
	}
	for _, pool := range append(pools, testPool()) {
		in.userData[pool.Name] = []byte("#cloud-config of " + pool.Name)
	}
	return in
}

// mustGenerate makes a fleet that must be one.
func mustGenerate(t testing.TB, in *inputs) *fleet {
	t.Helper()
	made, err := generate(in)
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// specOf reads what the driver would.
func specOf(t testing.TB, raw []byte) machineclassv1alpha1.ProviderSpec {
	t.Helper()
	var spec machineclassv1alpha1.ProviderSpec
	if err := json.Unmarshal(raw, &spec); err != nil {
		t.Fatal(err)
	}
	return spec
}
