package worker

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
)

func image(name, version string) extensionsv1alpha1.MachineImage {
	return extensionsv1alpha1.MachineImage{Name: name, Version: version}
}

func TestImageOfTheCloudProfile(t *testing.T) {
	for _, test := range []struct {
		name, architecture string
		pool               extensionsv1alpha1.MachineImage
		want               v1alpha1.MachineImage
	}{
		{"amd64 if nothing is said", "", image("ubuntu", "24.4.0"),
			v1alpha1.MachineImage{Name: "ubuntu", Version: "24.4.0", ID: ptr.To("ubuntu_24_04"), Architecture: ptr.To("amd64")}},
		{"arm64", "arm64", image("ubuntu", "22.4.0"),
			v1alpha1.MachineImage{Name: "ubuntu", Version: "22.4.0", ID: ptr.To("ubuntu_22_04"), Architecture: ptr.To("arm64")}},
		{"iPXE", "amd64", image("flatcar", "4230.2.0"),
			v1alpha1.MachineImage{Name: "flatcar", Version: "4230.2.0", IPXEScriptURL: ptr.To("https://boot.example.com/flatcar.ipxe"), Architecture: ptr.To("amd64")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			pool := testPool()
			pool.MachineImage, pool.Architecture = test.pool, nil
			if test.architecture != "" {
				pool.Architecture = &test.architecture
			}
			if diff := cmp.Diff([]v1alpha1.MachineImage{test.want}, mustGenerate(t, testInputs(pool)).images); diff != "" {
				t.Errorf("images in use (-want +got):\n%s", diff)
			}
		})
	}
}

// TestImageFallbackLosesNothing: an image that the CloudProfile no longer has used to come back without its iPXE script.
func TestImageFallbackLosesNothing(t *testing.T) {
	capabilities := gardencorev1beta1.Capabilities{"architecture": {"amd64"}, "boot": {"uefi"}}
	for _, kept := range []v1alpha1.MachineImage{
		{Name: "old", Version: "1.0.0", IPXEScriptURL: ptr.To("https://boot.example.com/old.ipxe"), Architecture: ptr.To("amd64")},
		{Name: "old", Version: "1.0.0", ID: ptr.To("old_1")},
		{Name: "old", Version: "1.0.0", ID: ptr.To("old_1"), Architecture: ptr.To("amd64"), Capabilities: capabilities},
	} {
		for _, definitions := range [][]gardencorev1beta1.CapabilityDefinition{nil, testDefinitions()} {
			pool := testPool()
			pool.MachineImage = image("old", "1.0.0")
			in := testInputs(pool)
			in.cluster.CloudProfile.Spec.MachineCapabilities = definitions
			in.status.MachineImages = []v1alpha1.MachineImage{
				{Name: "old", Version: "1.0.0", ID: ptr.To("of_others"), Architecture: ptr.To("arm64"),
					Capabilities: gardencorev1beta1.Capabilities{"architecture": {"arm64"}}},
				kept,
			}
			made := mustGenerate(t, in)
			if diff := cmp.Diff([]v1alpha1.MachineImage{kept}, made.images); diff != "" {
				t.Errorf("images in use (-want +got):\n%s", diff)
			}
			spec := specOf(t, made.classes[0].ProviderSpec.Raw)
			if spec.OS != ptr.Deref(kept.ID, "") || spec.IPXEScriptURL != ptr.Deref(kept.IPXEScriptURL, "") {
				t.Errorf("a device would boot %q %q", spec.OS, spec.IPXEScriptURL)
			}
		}
	}
}

func testDefinitions() []gardencorev1beta1.CapabilityDefinition {
	return []gardencorev1beta1.CapabilityDefinition{
		{Name: "architecture", Values: []string{"amd64", "arm64"}},
		{Name: "boot", Values: []string{"uefi", "bios"}},
	}
}

func TestImageFlavors(t *testing.T) {
	uefi := v1alpha1.MachineImageFlavor{Capabilities: gardencorev1beta1.Capabilities{"architecture": {"amd64"}, "boot": {"uefi"}}, ID: ptr.To("amd_uefi")}
	bios := v1alpha1.MachineImageFlavor{Capabilities: gardencorev1beta1.Capabilities{"architecture": {"amd64"}, "boot": {"bios"}}, ID: ptr.To("amd_bios")}
	arm := v1alpha1.MachineImageFlavor{Capabilities: gardencorev1beta1.Capabilities{"architecture": {"arm64"}}, IPXEScriptURL: ptr.To("https://boot.example.com/arm.ipxe")}
	for _, test := range []struct {
		name    string
		flavors []v1alpha1.MachineImageFlavor
		machine gardencorev1beta1.Capabilities
		// want is an ID or a URL; empty, the error says mistake.
		want, mistake string
	}{
		{"the only one that fits", []v1alpha1.MachineImageFlavor{uefi, bios, arm}, gardencorev1beta1.Capabilities{"architecture": {"amd64"}, "boot": {"bios"}}, "amd_bios", ""},
		{"the best of two", []v1alpha1.MachineImageFlavor{bios, uefi, arm}, gardencorev1beta1.Capabilities{"architecture": {"amd64"}}, "amd_uefi", ""},
		{"iPXE", []v1alpha1.MachineImageFlavor{bios, uefi, arm}, gardencorev1beta1.Capabilities{"architecture": {"arm64"}}, "https://boot.example.com/arm.ipxe", ""},
		{"none", []v1alpha1.MachineImageFlavor{uefi}, gardencorev1beta1.Capabilities{"architecture": {"arm64"}}, "", "could not find machine image"},
		{"two of the same", []v1alpha1.MachineImageFlavor{uefi, uefi}, gardencorev1beta1.Capabilities{"architecture": {"amd64"}}, "", "choosing a flavor of machine image many 1.0.0"},
		{"machine type that is gone", []v1alpha1.MachineImageFlavor{arm, uefi}, nil, "amd_uefi", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			pool := testPool()
			pool.MachineImage = image("many", "1.0.0")
			in := testInputs(pool)
			spec := &in.cluster.CloudProfile.Spec
			spec.MachineCapabilities = testDefinitions()
			spec.MachineTypes[0].Capabilities = test.machine
			if test.machine == nil {
				spec.MachineTypes = nil
			}
			in.profile.MachineImages = []v1alpha1.MachineImages{{Name: "many", Versions: []v1alpha1.MachineImageVersion{{Version: "1.0.0", CapabilityFlavors: test.flavors}}}}
			made, err := generate(in)
			if test.want == "" {
				if err == nil || !strings.Contains(err.Error(), test.mistake) {
					t.Errorf("error is %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if got := specOf(t, made.classes[0].ProviderSpec.Raw); got.OS+got.IPXEScriptURL != test.want {
				t.Errorf("a device would boot %q %q, not %q", got.OS, got.IPXEScriptURL, test.want)
			}
		})
	}
}

// TestImagesInUseAreListedOnce keeps the status from growing with every pool.
func TestImagesInUseAreListedOnce(t *testing.T) {
	first, second, third := testPool(), testPool(), testPool()
	second.Name, third.Name = "second", "third"
	third.MachineImage, third.Architecture = image("ubuntu", "22.4.0"), ptr.To("arm64")
	images := mustGenerate(t, testInputs(first, second, third)).images
	if len(images) != 2 {
		t.Errorf("%d images of two: %v", len(images), images)
	}
}
