package worker

import (
	"strings"
	"testing"
	"time"

	machinev1alpha1 "github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/utils/ptr"

	"github.com/gardener/gardener/extensions/pkg/controller/worker"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"

	machineclassv1alpha1 "github.com/packetyard/packetyard/api/machineclass/v1alpha1"
	"github.com/packetyard/packetyard/api/packet/v1alpha1"
)

// noAutoscalerAnnotations take away what an earlier pool had, but for the time that hardware needs.
func noAutoscalerAnnotations() map[string]string {
	return map[string]string{
		extensionsv1alpha1.ScaleDownUtilizationThresholdAnnotation:    "",
		extensionsv1alpha1.ScaleDownGpuUtilizationThresholdAnnotation: "",
		extensionsv1alpha1.ScaleDownUnneededTimeAnnotation:            "",
		extensionsv1alpha1.ScaleDownUnreadyTimeAnnotation:             "",
		extensionsv1alpha1.MaxNodeProvisionTimeAnnotation:             "45m0s",
	}
}

// TestGenerateAPool compares all that is made of a pool with everything in it.
func TestGenerateAPool(t *testing.T) {
	pool := testPool()
	pool.Zones = []string{"ny5", "ewr1"}
	pool.Minimum, pool.Maximum = 3, 5
	pool.MaxSurge, pool.MaxUnavailable = intstr.FromInt32(1), intstr.FromString("50%")
	pool.Labels = map[string]string{"example.com/rack": "a"}
	pool.Annotations = map[string]string{"example.com/owner": "b"}
	pool.Taints = []corev1.Taint{{Key: "example.com/taint", Effect: corev1.TaintEffectNoSchedule}}
	pool.Priority = ptr.To[int32](10)
	pool.NodeTemplate = &extensionsv1alpha1.NodeTemplate{Capacity: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("16")}}
	pool.MachineControllerManagerSettings = &gardencorev1beta1.MachineControllerManagerSettings{
		AutoPreserveFailedMachineMax: ptr.To[int32](3),
		MachineDrainTimeout:          &metav1.Duration{Duration: time.Hour},
	}
	pool.ProviderConfig = encoded(t, &v1alpha1.WorkerConfig{
		ReservationIDs:      []string{"next-available"},
		ReservedDevicesOnly: ptr.To(true),
		Spot:                &v1alpha1.Spot{MaxPrice: "0.35"},
		VLANs:               []string{"vlan-2", "vlan-1"},
		Storage:             &apiextensionsv1.JSON{Raw: []byte(`{"disks":[]}`)},
		NodeTemplate:        &extensionsv1alpha1.NodeTemplate{VirtualCapacity: corev1.ResourceList{"example.com/nic": resource.MustParse("2")}},
	})
	in := testInputs(pool)
	in.infrastructure.Networks = &v1alpha1.NetworksStatus{VLAN: &v1alpha1.VLANStatus{ID: "vlan-1", VXLAN: 1000}, PrivateReservationID: "block-1"}
	made := mustGenerate(t, in)

	if len(made.classes) != 2 || len(made.secrets) != 2 || len(made.deployments) != 2 {
		t.Fatalf("%d classes, %d secrets, %d deployments of 2 zones", len(made.classes), len(made.secrets), len(made.deployments))
	}
	name := testTechnicalID + "-pool-z2"
	class := made.deployments[1].ClassName
	if !strings.HasPrefix(class, name+"-") || len(class) != len(name)+6 {
		t.Errorf("class %q is not %s-<hash of 5>", class, name)
	}
	wantSpec := machineclassv1alpha1.ProviderSpec{
		APIVersion: machineclassv1alpha1.APIVersion, Kind: machineclassv1alpha1.Kind, APIURL: testURL,
		Metro: "ny", Facilities: []string{"ewr1"}, MachineType: "c3.small.x86", OS: "ubuntu_24_04", BillingCycle: "hourly",
		Tags:    []string{"kubernetes.io/cluster/" + testTechnicalID, "kubernetes.io/role/node"},
		SSHKeys: []string{testSSHKey}, ReservationIDs: []string{"next-available"}, ReservedDevicesOnly: true, SpotPriceMax: "0.35",
		VLANs: []string{"vlan-1", "vlan-2"}, PrivateIPReservationIDs: []string{"block-1"}, Storage: &apiextensionsv1.JSON{Raw: []byte(`{"disks":[]}`)},
	}
	if diff := cmp.Diff(wantSpec, specOf(t, made.classes[1].ProviderSpec.Raw)); diff != "" {
		t.Errorf("providerSpec (-want +got):\n%s", diff)
	}
	wantClass := &machinev1alpha1.MachineClass{
		TypeMeta:             metav1.TypeMeta{APIVersion: "machine.sapcloud.io/v1alpha1", Kind: "MachineClass"},
		ObjectMeta:           metav1.ObjectMeta{Name: class, Namespace: testNamespace},
		Provider:             "Packet",
		ProviderSpec:         made.classes[1].ProviderSpec,
		SecretRef:            &corev1.SecretReference{Name: class, Namespace: testNamespace},
		CredentialsSecretRef: &corev1.SecretReference{Name: "cloudprovider", Namespace: testNamespace},
		NodeTemplate: &machinev1alpha1.NodeTemplate{
			Capacity: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("16"), corev1.ResourceMemory: resource.MustParse("32Gi"), "gpu": resource.MustParse("0"),
			},
			VirtualCapacity: corev1.ResourceList{"example.com/nic": resource.MustParse("2")},
			InstanceType:    "c3.small.x86", Region: "ny", Zone: "ewr1", Architecture: ptr.To("amd64"),
		},
	}
	if diff := cmp.Diff(wantClass, made.classes[1]); diff != "" {
		t.Errorf("MachineClass (-want +got):\n%s", diff)
	}
	wantSecret := &corev1.Secret{
		TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: metav1.ObjectMeta{
			Name: class, Namespace: testNamespace, Labels: map[string]string{"gardener.cloud/purpose": "machineclass"},
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{"userData": []byte("#cloud-config of pool")},
	}
	if diff := cmp.Diff(wantSecret, made.secrets[1]); diff != "" {
		t.Errorf("Secret (-want +got):\n%s", diff)
	}
	wantDeployment := worker.MachineDeployment{
		Name: name, PoolName: "pool", ClassName: class, SecretName: class,
		Minimum: 1, Maximum: 2, Priority: ptr.To[int32](10),
		Strategy: machinev1alpha1.MachineDeploymentStrategy{
			Type: machinev1alpha1.RollingUpdateMachineDeploymentStrategyType,
			RollingUpdate: &machinev1alpha1.RollingUpdateMachineDeployment{UpdateConfiguration: machinev1alpha1.UpdateConfiguration{
				MaxSurge: ptr.To(intstr.FromInt32(0)), MaxUnavailable: ptr.To(intstr.FromString("34%")),
			}},
		},
		Labels: map[string]string{
			"example.com/rack": "a", "topology.kubernetes.io/region": "ny", "topology.kubernetes.io/zone": "ewr1",
		},
		Annotations: map[string]string{"example.com/owner": "b"},
		Taints:      []corev1.Taint{{Key: "example.com/taint", Effect: corev1.TaintEffectNoSchedule}},
		MachineConfiguration: &machinev1alpha1.MachineConfiguration{
			MachineDrainTimeout: &metav1.Duration{Duration: time.Hour}, MachineCreationTimeout: &metav1.Duration{Duration: 45 * time.Minute},
		},
		ClusterAutoscalerAnnotations: noAutoscalerAnnotations(),
		AutoPreserveFailedMachineMax: 1,
	}
	if diff := cmp.Diff(wantDeployment, made.deployments[1]); diff != "" {
		t.Errorf("MachineDeployment (-want +got):\n%s", diff)
	}
}

// TestZonesAreHonoured: a zone used to be written down and ignored.
func TestZonesAreHonoured(t *testing.T) {
	for _, test := range []struct {
		name, region, metro string
		zones               []string
		want                []place
	}{
		{"facilities of the metro", "ny", "", []string{"ny5", "ewr1"}, []place{{"ny5", "ny", "ny5"}, {"ewr1", "ny", "ewr1"}}},
		{"the metro itself", "ny", "ny", []string{"ny"}, []place{{"ny", "ny", ""}}},
		{"none", "ny", "ny", nil, []place{{"ny", "ny", ""}}},
		{"a facility as the region", "ewr1", "ny", []string{"ewr1"}, []place{{"ewr1", "ny", "ewr1"}}},
		{"a facility as the region, no zones", "ewr1", "ny", nil, []place{{"ewr1", "ny", "ewr1"}}},
		{"a facility as the region, metro not known", "ewr1", "", nil, []place{{"ewr1", "", "ewr1"}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := places(test.region, test.metro, test.zones)
			if diff := cmp.Diff(test.want, got, cmp.AllowUnexported(place{})); diff != "" {
				t.Errorf("places (-want +got):\n%s", diff)
			}
		})
	}
}

// TestEveryZoneHasANodeTemplateZone: the cluster-autoscaler cannot begin with nothing where the zone is empty.
func TestEveryZoneHasANodeTemplateZone(t *testing.T) {
	made := mustGenerate(t, testInputs(testPool()))
	if got := made.classes[0].NodeTemplate.Zone; got != "ny" {
		t.Errorf("zone is %q of a pool without zones in region ny", got)
	}
	if got, want := made.deployments[0].Labels, (map[string]string{"topology.kubernetes.io/region": "ny"}); !cmp.Equal(got, want) {
		t.Errorf("labels are %v: the facility is not known before there is a machine", got)
	}
}

// TestStrategies also guards against a MachineDeployment without a strategy, which machine-controller-manager cannot read.
func TestStrategies(t *testing.T) {
	update := machinev1alpha1.UpdateConfiguration{MaxSurge: ptr.To(intstr.FromInt32(1)), MaxUnavailable: ptr.To(intstr.FromInt32(0))}
	for strategy, want := range map[gardencorev1beta1.MachineUpdateStrategy]machinev1alpha1.MachineDeploymentStrategy{
		"": {
			Type: "RollingUpdate", RollingUpdate: &machinev1alpha1.RollingUpdateMachineDeployment{UpdateConfiguration: update},
		},
		gardencorev1beta1.AutoRollingUpdate: {
			Type: "RollingUpdate", RollingUpdate: &machinev1alpha1.RollingUpdateMachineDeployment{UpdateConfiguration: update},
		},
		gardencorev1beta1.AutoInPlaceUpdate: {
			Type:          "InPlaceUpdate",
			InPlaceUpdate: &machinev1alpha1.InPlaceUpdateMachineDeployment{UpdateConfiguration: update, OrchestrationType: "Auto"},
		},
		gardencorev1beta1.ManualInPlaceUpdate: {
			Type:          "InPlaceUpdate",
			InPlaceUpdate: &machinev1alpha1.InPlaceUpdateMachineDeployment{UpdateConfiguration: update, OrchestrationType: "Manual"},
		},
	} {
		pool := testPool()
		if strategy != "" {
			pool.UpdateStrategy = &strategy
		}
		if diff := cmp.Diff(want, mustGenerate(t, testInputs(pool)).deployments[0].Strategy); diff != "" {
			t.Errorf("%q (-want +got):\n%s", strategy, diff)
		}
	}
}

func TestMachineCreationTimeout(t *testing.T) {
	hour := &metav1.Duration{Duration: time.Hour}
	for _, test := range []struct {
		name    string
		change  func(*extensionsv1alpha1.WorkerPool, *inputs)
		timeout time.Duration
		// autoscaler is how long the cluster-autoscaler waits, empty for as long as the Shoot says.
		autoscaler string
	}{
		{"nobody says", func(*extensionsv1alpha1.WorkerPool, *inputs) {}, 45 * time.Minute, "45m0s"},
		{"the machine type says", func(_ *extensionsv1alpha1.WorkerPool, in *inputs) {
			in.cluster.CloudProfile.Spec.MachineTypes[0].MachineControllerManager = &gardencorev1beta1.CloudProfileMachineControllerManagerSettings{MachineCreationTimeout: hour}
		}, time.Hour, "1h0m0s"},
		{"the pool says", func(pool *extensionsv1alpha1.WorkerPool, in *inputs) {
			in.cluster.CloudProfile.Spec.MachineTypes[0].MachineControllerManager = &gardencorev1beta1.CloudProfileMachineControllerManagerSettings{MachineCreationTimeout: hour}
			pool.MachineControllerManagerSettings = &gardencorev1beta1.MachineControllerManagerSettings{MachineCreationTimeout: &metav1.Duration{Duration: 10 * time.Minute}}
		}, 10 * time.Minute, ""},
		{"the Shoot says how long the autoscaler waits", func(_ *extensionsv1alpha1.WorkerPool, in *inputs) {
			in.cluster.Shoot.Spec.Kubernetes.ClusterAutoscaler = &gardencorev1beta1.ClusterAutoscaler{MaxNodeProvisionTime: &metav1.Duration{Duration: 25 * time.Minute}}
		}, 45 * time.Minute, ""},
		{"the pool says how long the autoscaler waits", func(pool *extensionsv1alpha1.WorkerPool, _ *inputs) {
			pool.ClusterAutoscaler = &extensionsv1alpha1.ClusterAutoscalerOptions{MaxNodeProvisionTime: &metav1.Duration{Duration: 20 * time.Minute}}
		}, 45 * time.Minute, "20m0s"},
	} {
		t.Run(test.name, func(t *testing.T) {
			pool := testPool()
			in := testInputs()
			test.change(&pool, in)
			in.worker.Spec.Pools = []extensionsv1alpha1.WorkerPool{pool}
			deployment := mustGenerate(t, in).deployments[0]
			if got := deployment.MachineConfiguration.MachineCreationTimeout.Duration; got != test.timeout {
				t.Errorf("machines may take %s, not %s", got, test.timeout)
			}
			if got := deployment.ClusterAutoscalerAnnotations[extensionsv1alpha1.MaxNodeProvisionTimeAnnotation]; got != test.autoscaler {
				t.Errorf("the autoscaler waits %q, not %q", got, test.autoscaler)
			}
		})
	}
}

func TestMistakesNamePoolAndField(t *testing.T) {
	for _, test := range []struct {
		name   string
		change func(*extensionsv1alpha1.WorkerPool, *inputs)
		want   []string
	}{
		{"unknown field", func(pool *extensionsv1alpha1.WorkerPool, _ *inputs) {
			pool.ProviderConfig = &runtime.RawExtension{Raw: []byte(`{"apiVersion":"packet.provider.extensions.gardener.cloud/v1alpha1","kind":"WorkerConfig","reservationIds":[]}`)}
		}, []string{`worker pool "pool"`, "providerConfig", `"reservationIds"`}},
		{"unknown image", func(pool *extensionsv1alpha1.WorkerPool, _ *inputs) { pool.MachineImage.Version = "1.0.0" },
			[]string{`worker pool "pool"`, "ubuntu/1.0.0/amd64", "cloud profile", "worker status"}},
		{"no architecture of the image", func(pool *extensionsv1alpha1.WorkerPool, _ *inputs) { pool.Architecture = ptr.To("arm64") },
			[]string{`worker pool "pool"`, "ubuntu/24.4.0/arm64"}},
		{"image without anything to boot", func(_ *extensionsv1alpha1.WorkerPool, in *inputs) { in.profile.MachineImages[0].Versions[1].ID = nil },
			[]string{`worker pool "pool"`, "ubuntu 24.4.0", "neither an id nor an ipxeScriptUrl"}},
		{"no node agent", func(pool *extensionsv1alpha1.WorkerPool, _ *inputs) { pool.NodeAgentSecretName = nil },
			[]string{`worker pool "pool"`, "node-agent secret"}},
		{"no technicalID", func(_ *extensionsv1alpha1.WorkerPool, in *inputs) { in.cluster.Shoot.Status.TechnicalID = "" },
			[]string{"status.technicalID"}},
		{"no SSH key", func(_ *extensionsv1alpha1.WorkerPool, in *inputs) { in.infrastructure.SSHKeyID = "" },
			[]string{"sshKeyID", "Infrastructure"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			pool, in := testPool(), testInputs()
			test.change(&pool, in)
			in.worker.Spec.Pools = []extensionsv1alpha1.WorkerPool{pool}
			_, err := generate(in)
			if err == nil {
				t.Fatal("no error")
			}
			for _, text := range test.want {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error %q does not say %q", err, text)
				}
			}
		})
	}
}

// TestDeletionIsNotHeldUpByAPoolThatIsWrong: one such pool kept the machines of all others from being deleted.
func TestDeletionIsNotHeldUpByAPoolThatIsWrong(t *testing.T) {
	good, bad, empty := testPool(), testPool(), testPool()
	bad.Name, empty.Name = "bad", "empty"
	bad.MachineImage = image("ubuntu", "0.0.1")
	in := testInputs(bad, good, empty)
	delete(in.userData, "empty")
	in.infrastructure.SSHKeyID = ""
	in.worker.DeletionTimestamp = ptr.To(metav1.Now())
	made := mustGenerate(t, in)
	if len(made.classes) != 1 || len(made.secrets) != 1 || made.deployments[0].PoolName != "pool" {
		t.Errorf("made %+v", made)
	}
	if len(made.skipped) != 2 {
		t.Errorf("skipped %v", made.skipped)
	}
}

// TestPoolsMayHaveDifferentOperatingSystems: two in a Shoot used to be an error.
func TestPoolsMayHaveDifferentOperatingSystems(t *testing.T) {
	first, second := testPool(), testPool()
	second.Name, second.MachineImage = "second", image("flatcar", "4230.2.0")
	made := mustGenerate(t, testInputs(first, second))
	for n, want := range []string{"ubuntu_24_04", "https://boot.example.com/flatcar.ipxe"} {
		if spec := specOf(t, made.classes[n].ProviderSpec.Raw); spec.OS+spec.IPXEScriptURL != want {
			t.Errorf("pool %d boots %q %q, not %q", n, spec.OS, spec.IPXEScriptURL, want)
		}
	}
}

// TestNoSSHKeyWithoutSSHAccess: a Shoot may forbid SSH, and then there is no key to wait for.
func TestNoSSHKeyWithoutSSHAccess(t *testing.T) {
	in := testInputs(testPool())
	in.worker.Spec.SSHPublicKey, in.infrastructure.SSHKeyID = nil, ""
	if spec := specOf(t, mustGenerate(t, in).classes[0].ProviderSpec.Raw); len(spec.SSHKeys) != 0 {
		t.Errorf("SSH keys are %v", spec.SSHKeys)
	}
}
