package admission_test

import (
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// mistake is one that a person makes in a file of example/: YAML at a place, and what the answer says.
type mistake struct {
	file, path, yaml string
	// says is part of the answer, which the document has too.
	says string
}

const (
	header         = "apiVersion: packet.provider.extensions.gardener.cloud/v1alpha1, kind: "
	infrastructure = "spec.provider.infrastructureConfig"
	controlPlane   = "spec.provider.controlPlaneConfig"
	worker         = "spec.provider.workers.0."
	images         = "spec.providerConfig.machineImages"
)

func mistakes() []mistake {
	const (
		cloudProfile = "26-cloudprofile.yaml"
		namespaced   = "27-namespacedcloudprofile.yaml"
		shoot        = "90-shoot.yaml"
	)
	return []mistake{
		{cloudProfile, "spec.providerConfig", "", "spec.providerConfig: Required value: a CloudProfileConfig, which tells the operating systems of the machine images"},
		{cloudProfile, "spec.providerConfig.kind", "InfrastructureConfig", `kind is "InfrastructureConfig", but must be "CloudProfileConfig"`},
		{cloudProfile, "spec.providerConfig.apiVersion", "equinixmetal.provider.extensions.gardener.cloud/v1alpha1", `but must be "packet.provider.extensions.gardener.cloud/v1alpha1"`},
		{cloudProfile, "spec.providerConfig.machineImage", "[]", `unknown field "machineImage"`},
		{cloudProfile, "spec.providerConfig.apiURL", "packet.example.com", "spec.providerConfig.apiURL: Invalid value: \"packet.example.com\": must be an http or https URL"},
		{cloudProfile, images, "[]", "spec.providerConfig.machineImages: Required value"},
		{cloudProfile, images + ".0.versions.0.id", "", "spec.providerConfig.machineImages[0].versions[0].id: Required value: the slug of an operating system"},
		{cloudProfile, images + ".0.versions.0.id", "Ubuntu 24.04", "must be the slug of an operating system of the Packet API"},
		{cloudProfile, images + ".0.versions.0.ipxeScriptUrl", "https://boot.example.com/a.ipxe", "a machine boots either an operating system of the Packet API or an iPXE script"},
		{cloudProfile, images + ".0.versions.0.architectures", "[amd64]", "nothing tells the operating system of version 24.4.0 of machine image ubuntu for architecture arm64"},
		{cloudProfile, images + ".0.versions.0.architectures", "[x86_64]", `Unsupported value: "x86_64": supported values: "amd64", "arm64"`},
		{cloudProfile, images + ".0.versions.0.version", "24.10.0", "nothing tells the operating system of version 24.4.0 of machine image ubuntu"},
		{namespaced, images + ".0.versions.0.version", "1.0.0", `Unsupported value: "1.0.0": supported values: "4230.2.3"`},
		{namespaced, images + ".0.versions.0.version", "0.0.0-stable", "the parent CloudProfile has version 0.0.0-stable of machine image flatcar already"},
		{namespaced, "spec.providerConfig", "", "nothing tells the operating system of version 4230.2.3 of machine image flatcar"},

		{shoot, infrastructure, "{" + header + "InfrastructureConfig, vlan: {}}", `unknown field "vlan"`},
		{shoot, infrastructure, "{" + header + "WorkerConfig}", `kind is "WorkerConfig", but must be "InfrastructureConfig"`},
		{shoot, infrastructure + ".networks.nodes", "10.64.12.0", `infrastructureConfig.networks.nodes: Invalid value: "10.64.12.0": must be an IPv4 block, such as 10.64.12.0/25`},
		{shoot, infrastructure + ".networks.nodes", "10.64.12.1/25", "the block that has this address is 10.64.12.0/25"},
		{shoot, infrastructure + ".networks.nodes", "198.51.100.0/25", "must be a block of private addresses, in 10.0.0.0/8, 172.16.0.0/12 or 192.168.0.0/16"},
		{shoot, infrastructure + ".networks.nodes", "10.64.12.0/29", "must have 16 addresses at least: a prefix length of 28 or less"},
		{shoot, infrastructure + ".networks.privateReservation.prefixLength", "20", "must be from 25 (128 addresses) to 28 (16 addresses)"},
		{shoot, infrastructure + ".networks", "{nodes: 10.64.12.0/25, privateReservation: {prefixLength: 25}}", "networks.nodes is 10.64.12.0/25: set either a block that the project has, or have one reserved"},
		{shoot, infrastructure + ".networks.vlan.vxlan", "4000", "vxlan: Invalid value: 4000: must be from 2 to 3999"},
		{shoot, controlPlane + ".loadBalancer.implementation", "kube-vip", `supported values: "metallb", "none", "disabled"`},
		{shoot, controlPlane + ".cloudControllerManager.featureGates", "{NoSuchGate: true}", "featureGates.NoSuchGate: Invalid value: \"NoSuchGate\": unknown feature gate NoSuchGate"},
		{shoot, worker + "providerConfig", "{" + header + "WorkerConfig, reservationIDs: [mine]}", "must be the ID (a UUID) of a hardware reservation of the project, or next-available"},
		{shoot, worker + "providerConfig", "{" + header + "WorkerConfig, reservationIDs: [next-available, next-available]}", `reservationIDs[1]: Duplicate value: "next-available"`},
		{shoot, worker + "providerConfig", "{" + header + "WorkerConfig, reservedDevicesOnly: true}", "reservedDevicesOnly is true: the IDs of reservations, or next-available"},
		{shoot, worker + "providerConfig", "{" + header + "WorkerConfig, reservationIDs: [next-available], spot: {maxPrice: \"1\"}}", "a machine is either reserved or rented on the spot market"},
		{shoot, worker + "providerConfig", "{" + header + "WorkerConfig, spot: {maxPrice: \"-1\"}}", `must be a price in US dollars per hour above 0, as a decimal number such as "0.35"`},
		{shoot, worker + "providerConfig", "{" + header + "WorkerConfig, vlans: [\"1000\"]}", "must be the ID (a UUID) of a virtual network of the project in the metro"},
		{shoot, worker + "providerConfig", "{" + header + "WorkerConfig, storage: {disk: []}}", `unknown field "disk"`},
		{shoot, worker + "providerConfig", "{" + header + "WorkerConfig, reservationIds: [next-available]}", `unknown field "reservationIds"`},
		{shoot, worker + "volume", "{size: 480Gi, encrypted: true}", "the drives are the machine's own, and the Packet API encrypts none"},
		{shoot, "spec.networking.ipFamilies", "[IPv4, IPv6]", `supported values: "IPv4"`},
		{shoot, "spec.networking.nodes", "198.51.100.0/25", "spec.networking.nodes: Invalid value: \"198.51.100.0/25\": must be a block of private addresses"},
	}
}

// testMistakes makes each mistake, and wants it refused by the admission component, with the text that the document has.
func testMistakes(t *testing.T) {
	for _, m := range mistakes() {
		t.Run(m.path+" "+m.yaml, func(t *testing.T) {
			object := with(t, example(t, m.file), m.path, m.yaml)
			object.SetName("mistake")
			refused(t, garden.Create(t.Context(), object, client.DryRunAll), m.says)
		})
	}
}

// testZoneOutsideTheRegion is Gardener's own check, which comes before that of the admission component.
func testZoneOutsideTheRegion(t *testing.T) {
	err := garden.Create(t.Context(), with(t, example(t, "90-shoot.yaml"), worker+"zones", "[sv15]"), client.DryRunAll)
	if !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), `zones[0]: Unsupported value: "sv15": supported values: "ewr1", "ny5", "ny7"`) {
		t.Errorf("a zone of another region: %v", err)
	}
}
