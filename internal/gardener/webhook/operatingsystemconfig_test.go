package webhook_test

import (
	"encoding/base64"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	"github.com/gardener/gardener/imagevector"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"github.com/gardener/gardener/pkg/component/extensions/operatingsystemconfig"
	"github.com/gardener/gardener/pkg/component/extensions/operatingsystemconfig/original/components/kubelet"
	oscutils "github.com/gardener/gardener/pkg/component/extensions/operatingsystemconfig/utils"
	imagevectorutils "github.com/gardener/gardener/pkg/utils/imagevector"

	"github.com/packetyard/packetyard/internal/gardener/account"
)

func pool(name, image string, volumes ...gardencorev1beta1.DataVolume) gardencorev1beta1.Worker {
	return gardencorev1beta1.Worker{
		Name: name, Maximum: 1, Minimum: 1,
		Machine:     gardencorev1beta1.Machine{Type: "c3.small.x86", Image: &gardencorev1beta1.ShootMachineImage{Name: image, Version: ptr.To("1.0.0")}},
		CRI:         &gardencorev1beta1.CRI{Name: gardencorev1beta1.CRINameContainerD},
		DataVolumes: volumes,
	}
}

// operatingSystemConfigs has Gardener make those of these pools, with its own images, and returns them by pool and purpose.
func operatingSystemConfigs(t *testing.T, g *gardenlet, pools []gardencorev1beta1.Worker) map[string]map[extensionsv1alpha1.OperatingSystemConfigPurpose]*extensionsv1alpha1.OperatingSystemConfig {
	t.Helper()
	images := map[string]*imagevectorutils.Image{}
	for _, name := range []string{imagevector.ContainerImageNameGardenerNodeAgent, imagevector.ContainerImageNamePauseContainer, imagevector.ContainerImageNameValitail, imagevector.ContainerImageNameOpentelemetryCollector} {
		images[name] = &imagevectorutils.Image{Name: name, Repository: ptr.To("registry.example.com/" + name), Tag: ptr.To("v1")}
	}
	component := operatingsystemconfig.New(logr.Discard(), g.client, g.secrets, &operatingsystemconfig.Values{
		Namespace: g.namespace, KubernetesVersion: kubernetesVersion, Workers: pools,
		InitValues: operatingsystemconfig.InitValues{APIServerURL: "https://api.example.com"},
		OriginalValues: operatingsystemconfig.OriginalValues{
			CABundle: "bundle", ClusterDNSAddresses: []string{"100.64.0.10"}, ClusterDomain: "cluster.local", Images: images,
			NodeMonitorGracePeriod: metav1.Duration{Duration: 40 * time.Second}, KubeProxyEnabled: true, PrimaryIPFamily: gardencorev1beta1.IPFamilyIPv4,
		},
	}, time.Second, time.Minute, time.Minute)
	read := func() (list []extensionsv1alpha1.OperatingSystemConfig) {
		if err := component.Deploy(t.Context()); err != nil {
			t.Fatal(err)
		}
		found := &extensionsv1alpha1.OperatingSystemConfigList{}
		if err := g.client.List(t.Context(), found, client.InNamespace(g.namespace)); err != nil {
			t.Fatal(err)
		}
		return found.Items
	}
	first, second := read(), read()
	byPool := map[string]map[extensionsv1alpha1.OperatingSystemConfigPurpose]*extensionsv1alpha1.OperatingSystemConfig{}
	for i := range first {
		if !reflect.DeepEqual(first[i].Spec, second[i].Spec) {
			t.Errorf("deploying %s again changed it", first[i].Name)
		}
		name := first[i].Labels[v1beta1constants.LabelWorkerPool]
		if byPool[name] == nil {
			byPool[name] = map[extensionsv1alpha1.OperatingSystemConfigPurpose]*extensionsv1alpha1.OperatingSystemConfig{}
		}
		byPool[name][first[i].Spec.Purpose] = &first[i]
	}
	return byPool
}

func text(t *testing.T, config *extensionsv1alpha1.OperatingSystemConfig, path string) string {
	t.Helper()
	file := extensionswebhook.FileWithPath(config.Spec.Files, path)
	if file == nil || file.Content.Inline == nil {
		t.Fatalf("there is no file %s", path)
	}
	data, err := base64.StdEncoding.DecodeString(file.Content.Inline.Data)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func unitText(t *testing.T, config *extensionsv1alpha1.OperatingSystemConfig, name string) string {
	t.Helper()
	var found []string
	for _, unit := range config.Spec.Units {
		if unit.Name == name {
			found = append(found, *unit.Content)
		}
	}
	if len(found) != 1 {
		t.Fatalf("there are %d units %s, want one", len(found), name)
	}
	return found[0]
}

func kubeletCommand(t *testing.T, config *extensionsv1alpha1.OperatingSystemConfig) []string {
	t.Helper()
	options, err := oscutils.NewUnitSerializer().Deserialize(unitText(t, config, "kubelet.service"))
	if err != nil {
		t.Fatal(err)
	}
	return extensionswebhook.DeserializeCommandLine(extensionswebhook.UnitOptionWithSectionAndName(options, "Service", "ExecStart").Value)
}

// packetShoot is a Shoot with these pools, whose CloudProfile says where the metadata service is.
func packetShoot(t *testing.T, name string, pools ...gardencorev1beta1.Worker) *gardenlet {
	t.Helper()
	return newGardenlet(t, name, account.Type, func(profile *gardencorev1beta1.CloudProfile, shoot *gardencorev1beta1.Shoot) {
		profile.Spec.ProviderConfig = &runtime.RawExtension{Raw: []byte(`{"apiVersion":"packet.provider.extensions.gardener.cloud/v1alpha1","kind":"CloudProfileConfig",` +
			`"metadataURL":"http://192.0.2.7:8080","machineImages":[]}`)}
		shoot.Spec.Provider.Workers = pools
	})
}

func TestKubeletWaitsForTheCloudControllerManager(t *testing.T) {
	pools := []gardencorev1beta1.Worker{pool("small", "ubuntu")}
	g := packetShoot(t, "kubelet", pools...)
	config := operatingSystemConfigs(t, g, pools)["small"][extensionsv1alpha1.OperatingSystemConfigPurposeReconcile]
	command := kubeletCommand(t, config)
	if flags := count(command, "--cloud-provider"); !slices.Equal(flags, []string{"--cloud-provider=external"}) {
		t.Errorf("the cloud provider is %v, want external", flags)
	}
	parsed, err := kubelet.NewConfigCodec(oscutils.NewFileContentInlineCodec()).Decode(extensionswebhook.FileWithPath(config.Spec.Files, v1beta1constants.OperatingSystemConfigFilePathKubeletConfig).Content.Inline)
	if err != nil {
		t.Fatal(err)
	}
	if !ptr.Deref(parsed.EnableControllerAttachDetach, false) {
		t.Error("the kubelet attaches volumes by itself")
	}
}

// Once data volumes moved the kubelet's folder by --root-dir, first without the equals sign. They are mounted where the kubelet and all
// volume drivers expect them, so there is no such flag, and every flag there is has its equals sign.
func TestRootDirHasItsEqualsSign(t *testing.T) {
	kubeletPool := pool("big", "flatcar", gardencorev1beta1.DataVolume{Name: "state", VolumeSize: "100Gi"})
	kubeletPool.KubeletDataVolumeName = ptr.To("state")
	pools := []gardencorev1beta1.Worker{kubeletPool}
	g := packetShoot(t, "rootdir", pools...)
	configs := operatingSystemConfigs(t, g, pools)["big"]
	for _, word := range kubeletCommand(t, configs[extensionsv1alpha1.OperatingSystemConfigPurposeReconcile])[1:] {
		if strings.HasPrefix(word, "--root-dir") || strings.HasPrefix(word, "-") && !strings.Contains(word, "=") {
			t.Errorf("the kubelet has the flag %q", word)
		}
	}
	setup := unitText(t, configs[extensionsv1alpha1.OperatingSystemConfigPurposeProvision], "lvm-setup.service")
	if !strings.Contains(setup, "state:107374182400:/var/lib/kubelet:KUBEDEV\n") {
		t.Errorf("the kubelet's volume is not mounted where the kubelet is:\n%s", setup)
	}
	// Gardener's own unit finds the file system by its label at the next boot.
	if mount := unitText(t, configs[extensionsv1alpha1.OperatingSystemConfigPurposeReconcile], "var-lib-kubelet.mount"); !strings.Contains(mount, "/dev/disk/by-label/KUBEDEV") {
		t.Errorf("Gardener mounts it in another way: %s", mount)
	}
}

// Once one pool with a volume had the drives of all pools' machines taken, and two operating systems were an error.
func TestDataVolumesArePerPoolNotPerCluster(t *testing.T) {
	pools := []gardencorev1beta1.Worker{
		pool("none", "ubuntu"),
		pool("flat", "flatcar", gardencorev1beta1.DataVolume{Name: "containerd", VolumeSize: "100Gi"}, gardencorev1beta1.DataVolume{Name: "scratch", VolumeSize: "20Gi"}),
		pool("ubu", "ubuntu", gardencorev1beta1.DataVolume{Name: "scratch", VolumeSize: "1Ti"}),
	}
	// The volume of the operating system is not a data volume.
	pools[0].Volume = &gardencorev1beta1.Volume{VolumeSize: "100Gi"}
	g := packetShoot(t, "volumes", pools...)
	configs := operatingSystemConfigs(t, g, pools)
	for name, want := range map[string]string{
		"none": "",
		"flat": "/opt/bin/lvm.sh containerd:107374182400:/var/lib/containerd scratch:21474836480:/mnt/scratch\n",
		"ubu":  "/opt/bin/lvm.sh scratch:1099511627776:/mnt/scratch\n",
	} {
		config := configs[name][extensionsv1alpha1.OperatingSystemConfigPurposeProvision]
		if want == "" {
			if extensionswebhook.UnitWithName(config.Spec.Units, "lvm-setup.service") != nil || extensionswebhook.FileWithPath(config.Spec.Files, "/opt/bin/lvm.sh") != nil {
				t.Errorf("the pool %s has data volumes", name)
			}
			continue
		}
		if config.Spec.Units[0].Name != "lvm-setup.service" {
			t.Errorf("%s starts before the data volumes of the pool %s are there", config.Spec.Units[0].Name, name)
		}
		if unit := unitText(t, config, "lvm-setup.service"); !strings.Contains(unit, "ExecStart="+want) {
			t.Errorf("the data volumes of the pool %s are made by\n%s\nwant %s", name, unit, want)
		}
		if script := text(t, config, "/opt/bin/lvm.sh"); !strings.HasPrefix(script, "#!/bin/sh\n") {
			t.Errorf("the script is %.40q", script)
		}
	}
}

// Data volumes were once made at the first boot alone, and gone after the second.
func TestDataVolumesAreMountedAtEveryBoot(t *testing.T) {
	pools := []gardencorev1beta1.Worker{pool("flat", "flatcar", gardencorev1beta1.DataVolume{Name: "scratch", VolumeSize: "20Gi"})}
	g := packetShoot(t, "boots", pools...)
	unit := unitText(t, operatingSystemConfigs(t, g, pools)["flat"][extensionsv1alpha1.OperatingSystemConfigPurposeProvision], "lvm-setup.service")
	if strings.Contains(unit, "ConditionFirstBoot") || !strings.Contains(unit, "WantedBy=multi-user.target") || !strings.Contains(unit, "Before=containerd.service") {
		t.Errorf("the unit does not run at every boot, before the container runtime:\n%s", unit)
	}
}

func TestAPlainUpgradeKeepsTheUnits(t *testing.T) {
	pools := []gardencorev1beta1.Worker{pool("small", "ubuntu")}
	g := packetShoot(t, "bgp", pools...)
	config := operatingSystemConfigs(t, g, pools)["small"][extensionsv1alpha1.OperatingSystemConfigPurposeReconcile]
	pools[0].Machine.Image.Version = ptr.To("2.0.0")
	pools[0].KubeletDataVolumeName = nil
	upgraded := operatingSystemConfigs(t, g, pools)["small"][extensionsv1alpha1.OperatingSystemConfigPurposeReconcile]
	for _, config := range []*extensionsv1alpha1.OperatingSystemConfig{config, upgraded} {
		service := unitText(t, config, "bgp-peer-route.service")
		if !strings.Contains(service, "Environment=METADATA_URL=http://192.0.2.7:8080\n") || !strings.Contains(service, "ExecStart=/opt/bin/bgp-peer.sh\n") {
			t.Errorf("the service is\n%s\nwant the script with the metadata service of the CloudProfile", service)
		}
		unitText(t, config, "bgp-peer-route.timer")
		if script := text(t, config, "/opt/bin/bgp-peer.sh"); !strings.HasPrefix(script, "#!/bin/sh\n") {
			t.Errorf("the script is %.40q", script)
		}
	}
}

func TestAWrongMetadataURLIsAnErrorThatNamesIt(t *testing.T) {
	g := newGardenlet(t, "wrong", account.Type, func(profile *gardencorev1beta1.CloudProfile, _ *gardencorev1beta1.Shoot) {
		profile.Spec.ProviderConfig = &runtime.RawExtension{Raw: []byte(`{"apiVersion":"packet.provider.extensions.gardener.cloud/v1alpha1","kind":"CloudProfileConfig",` +
			`"metadataURL":"http://x/ $(reboot)","machineImages":[]}`)}
	})
	err := g.client.Create(t.Context(), &extensionsv1alpha1.OperatingSystemConfig{
		ObjectMeta: metav1.ObjectMeta{Name: "pool", Namespace: g.namespace, Labels: map[string]string{v1beta1constants.LabelExtensionProviderMutatedByControlplaneWebhook: "true"}},
		Spec: extensionsv1alpha1.OperatingSystemConfigSpec{
			DefaultSpec: extensionsv1alpha1.DefaultSpec{Type: "ubuntu"}, Purpose: extensionsv1alpha1.OperatingSystemConfigPurposeReconcile,
		},
	})
	if err == nil || !strings.Contains(err.Error(), "metadataURL of the CloudProfile packet") || !strings.Contains(err.Error(), "$(reboot)") {
		t.Errorf("got %v, want an error that names the field and the value", err)
	}
}
