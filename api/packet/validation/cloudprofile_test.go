package validation_test

import (
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/yaml"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
	"github.com/packetyard/packetyard/api/packet/validation"
)

const (
	plainProfile = `
machineImages:
- name: ubuntu
  versions:
  - {version: 24.4.0, architectures: [amd64, arm64]}
`
	capableProfile = `
machineCapabilities:
- {name: architecture, values: [amd64, arm64]}
- {name: firmware, values: [bios, uefi]}
machineImages:
- name: ubuntu
  versions:
  - version: 24.4.0
    capabilityFlavors:
    - {architecture: [amd64]}
    - {architecture: [arm64], firmware: [uefi]}
`
)

func TestCloudProfileConfig(t *testing.T) {
	for name, test := range map[string]struct {
		profile, config string
		want            []string
	}{
		"plain":                  {plainProfile, `machineImages: [{name: ubuntu, versions: [{version: 24.4.0, id: ubuntu_24_04, architectures: [amd64, arm64]}]}]`, nil},
		"an entry each":          {plainProfile, `machineImages: [{name: ubuntu, versions: [{version: 24.4.0, id: ubuntu_24_04}, {version: 24.4.0, ipxeScriptUrl: "https://a/b", architectures: [arm64]}]}]`, nil},
		"an old version as well": {plainProfile, `machineImages: [{name: old, versions: [{version: 1.0.0, id: debian_12}]}, {name: ubuntu, versions: [{version: 24.4.0, id: ubuntu_24_04, architectures: [amd64, arm64]}]}]`, nil},
		"addresses":              {plainProfile, `{apiURL: "https://packet.example.com/metal/v1", metadataURL: "http://metadata.packet.net/", machineImages: [{name: ubuntu, versions: [{version: 24.4.0, id: ubuntu_24_04, architectures: [amd64, arm64]}]}]}`, nil},
		"bad addresses": {plainProfile, `{apiURL: "https://me:secret@packet.example.com", metadataURL: "http://metadata.packet.net/metadata", machineImages: [{name: ubuntu, versions: [{version: 24.4.0, id: ubuntu_24_04, architectures: [amd64, arm64]}]}]}`, []string{
			`providerConfig.apiURL: Invalid value: "https://me:xxxxx@packet.example.com": must have no user and no password`,
			`providerConfig.metadataURL: Invalid value: "http://metadata.packet.net/metadata": must have no path, such as http://metadata.packet.net`,
		}},
		"same architecture twice": {plainProfile, `machineImages: [{name: ubuntu, versions: [{version: 24.4.0, id: a, architectures: [amd64, arm64]}, {version: 24.4.0, id: b}]}]`, []string{
			`providerConfig.machineImages[0].versions[1].version: Duplicate value: "24.4.0 for amd64"`,
		}},
		"no names": {plainProfile, `machineImages: [{name: "", versions: [{version: "", id: a}]}, {name: a}, {name: a, versions: [{version: 1.0.0, id: a}]}]`, []string{
			`providerConfig.machineImages[0].name: Required value: the name of a machine image of the CloudProfile`,
			`providerConfig.machineImages[0].versions[0].version: Required value: a version of the machine image in the CloudProfile`,
			`providerConfig.machineImages[1].versions: Required value: at least one version of machine image "a"`,
			`providerConfig.machineImages[2].name: Duplicate value: "a"`,
		}},
		"iPXE by id": {plainProfile, `machineImages: [{name: ubuntu, versions: [{version: 24.4.0, id: custom_ipxe}]}]`, []string{
			`providerConfig.machineImages[0].versions[0].id: Invalid value: "custom_ipxe": set ipxeScriptUrl in its place`,
		}},
		"flavors without capabilities": {plainProfile, `machineImages: [{name: ubuntu, versions: [{version: 24.4.0, id: a, capabilityFlavors: [{id: a}]}]}]`, []string{
			`providerConfig.machineImages[0].versions[0].capabilityFlavors: Forbidden: the CloudProfile has no spec.machineCapabilities: set id or ipxeScriptUrl of the version itself`,
		}},
		"flavors": {capableProfile, `machineImages: [{name: ubuntu, versions: [{version: 24.4.0, capabilityFlavors: [{capabilities: {architecture: [amd64]}, id: a}, {capabilities: {architecture: [arm64], firmware: [uefi]}, ipxeScriptUrl: "http://a/b"}]}]}]`, nil},
		"a flavor is missing": {capableProfile, `machineImages: [{name: ubuntu, versions: [{version: 24.4.0, capabilityFlavors: [{capabilities: {architecture: [amd64]}, id: a}, {capabilities: {architecture: [arm64]}, id: a}]}]}]`, []string{
			`providerConfig.machineImages: Required value: nothing tells the operating system of version 24.4.0 of machine image ubuntu for machines with map[architecture:[arm64] firmware:[uefi]], which spec.machineImages has`,
		}},
		"id beside capabilities": {capableProfile, `machineImages: [{name: ubuntu, versions: [{version: 24.4.0, id: a, architectures: [amd64]}]}]`, []string{
			`providerConfig.machineImages[0].versions[0].id: Forbidden: the CloudProfile has spec.machineCapabilities: set it in capabilityFlavors`,
			`providerConfig.machineImages[0].versions[0].architectures: Forbidden: the CloudProfile has spec.machineCapabilities: set it in capabilityFlavors`,
			`providerConfig.machineImages[0].versions[0].capabilityFlavors: Required value: the CloudProfile has spec.machineCapabilities: one flavor for each of the version's`,
		}},
		"flavors that are wrong": {capableProfile, `machineImages: [{name: ubuntu, versions: [{version: 24.4.0, capabilityFlavors: [{capabilities: {architecture: [amd64]}}, {capabilities: {architecture: [amd64]}, id: a}, {capabilities: {architecture: [riscv]}, id: a}]}]}]`, []string{
			`providerConfig.machineImages[0].versions[0].capabilityFlavors[0].id: Required value: the slug of an operating system of the Packet API, such as ubuntu_24_04, or else ipxeScriptUrl`,
			`providerConfig.machineImages[0].versions[0].capabilityFlavors[1].capabilities: Duplicate value: "map[architecture:[amd64]]"`,
			`providerConfig.machineImages[0].versions[0].capabilityFlavors[2].capabilities.architecture[0]: Unsupported value: "riscv": supported values: "amd64", "arm64"`,
		}},
	} {
		t.Run(name, func(t *testing.T) {
			got := validation.ValidateCloudProfileConfig(parsed[v1alpha1.CloudProfileConfig](t, test.config), parsed[gardencorev1beta1.CloudProfileSpec](t, test.profile), field.NewPath("providerConfig"))
			compare(t, got, test.want)
		})
	}
}

// TestIPXENeedsNoID is for the predecessor, which wanted an id beside ipxeScriptUrl.
func TestIPXENeedsNoID(t *testing.T) {
	config := parsed[v1alpha1.CloudProfileConfig](t, `machineImages: [{name: flatcar, versions: [{version: 1.0.0, ipxeScriptUrl: "https://boot.example.com/flatcar.ipxe"}]}]`)
	profile := parsed[gardencorev1beta1.CloudProfileSpec](t, `machineImages: [{name: flatcar, versions: [{version: 1.0.0}]}]`)
	compare(t, validation.ValidateCloudProfileConfig(config, profile, field.NewPath("providerConfig")), nil)
}

func TestNamespacedInParentFormat(t *testing.T) {
	capabilities := parsed[gardencorev1beta1.CloudProfileSpec](t, capableProfile).MachineCapabilities
	plain := parsed[v1alpha1.CloudProfileConfig](t, `machineImages: [{name: a, versions: [{version: 1.0.0, id: x, architectures: [amd64, arm64]}, {version: 2.0.0, id: y}]}]`)
	flavors := parsed[v1alpha1.CloudProfileConfig](t, `machineImages: [{name: a, versions: [{version: 1.0.0, capabilityFlavors: [{id: x, capabilities: {architecture: [amd64]}}, {id: x, capabilities: {architecture: [arm64]}}]}, {version: 2.0.0, capabilityFlavors: [{id: y, capabilities: {architecture: [amd64]}}]}]}]`)
	same(t, validation.NamespacedInParentFormat(plain, capabilities), flavors)
	same(t, validation.NamespacedInParentFormat(flavors, capabilities), flavors)
	same(t, validation.NamespacedInParentFormat(plain, nil), plain)
	same(t, validation.NamespacedInParentFormat(flavors, nil), parsed[v1alpha1.CloudProfileConfig](t,
		`machineImages: [{name: a, versions: [{version: 1.0.0, id: x, architectures: [amd64]}, {version: 1.0.0, id: x, architectures: [arm64]}, {version: 2.0.0, id: y, architectures: [amd64]}]}]`))
}

func same(t *testing.T, got, want *v1alpha1.CloudProfileConfig) {
	t.Helper()
	gotText, _ := yaml.Marshal(got)
	wantText, _ := yaml.Marshal(want)
	if string(gotText) != string(wantText) {
		t.Errorf("got:\n%s\nwant:\n%s", gotText, wantText)
	}
}

func parsed[T any](t *testing.T, text string) *T {
	t.Helper()
	into := new(T)
	if err := yaml.UnmarshalStrict([]byte(text), into); err != nil {
		t.Fatal(err)
	}
	return into
}

// compare wants just these problems, in this order.
func compare(t *testing.T, got field.ErrorList, want []string) {
	t.Helper()
	for i := range max(len(got), len(want)) {
		switch {
		case i >= len(want):
			t.Errorf("too much: %v", got[i])
		case i >= len(got):
			t.Errorf("missing: %s", want[i])
		case got[i].Error() != want[i]:
			t.Errorf("got:\n%v\nwant:\n%s", got[i], want[i])
		}
	}
}
