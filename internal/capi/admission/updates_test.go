package admission_test

import (
	"context"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
)

func TestPacketMachineUpdates(t *testing.T) {
	const least = "os: ubuntu_24_04, machineType: c3.small.x86"
	const device = "providerID: 'packet://" + deviceUUID + "'"
	for name, test := range map[string]struct {
		before, after string
		// want is what the rejection says; nil if the update is accepted.
		want []string
	}{
		"os":                            {least, "os: flatcar_stable, machineType: c3.small.x86", []string{"spec.os", "from ubuntu_24_04 to flatcar_stable", "make a new machine"}},
		"machine type":                  {least, "os: ubuntu_24_04, machineType: m3.large.x86", []string{"spec.machineType", "from c3.small.x86 to m3.large.x86"}},
		"billing cycle":                 {least, least + ", billingCycle: monthly", []string{"spec.billingCycle", "from nothing to monthly"}},
		"SSH keys":                      {least, least + ", sshKeys: [" + reservationUUID + "]", []string{"spec.sshKeys", "make a new machine"}},
		"SSH key policy":                {least + ", sshKeyPolicy: None", least + ", sshKeyPolicy: Project", []string{"spec.sshKeyPolicy", "from None to Project"}},
		"reservation":                   {least + ", hardwareReservationID: next-available", least, []string{"spec.hardwareReservationID", "from next-available to nothing"}},
		"spot":                          {least + ", spot: {maxPrice: '1'}", least + ", spot: {maxPrice: '2'}", []string{"spec.spot"}},
		"network":                       {least, least + ", network: {privateOnly: true}", []string{"spec.network"}},
		"features":                      {least, least + ", features: [tpm]", []string{"spec.features"}},
		"description":                   {least, least + ", description: x", []string{"spec.description", "from nothing to x"}},
		"custom data":                   {least + ", customData: {a: 1}", least + ", customData: {a: 2}", []string{"spec.customData", "make a new machine"}},
		"storage":                       {least, least + ", storage: {disks: []}", []string{"spec.storage", "make a new machine"}},
		"always PXE":                    {"os: custom_ipxe, machineType: a, ipxeURL: 'http://x/'", "os: custom_ipxe, machineType: a, ipxeURL: 'http://x/', alwaysPXE: true", []string{"spec.alwaysPXE"}},
		"iPXE script":                   {"os: custom_ipxe, machineType: a, ipxeURL: 'http://x/'", "os: custom_ipxe, machineType: a, ipxeURL: 'http://y/'", []string{"spec.ipxeURL", "from http://x/ to http://y/"}},
		"device is recorded":            {least, least + ", " + device, nil},
		"device is another":             {least + ", " + device, least + ", providerID: 'packet://" + reservationUUID + "'", []string{"spec.providerID", deviceUUID, reservationUUID}},
		"device is forgotten":           {least + ", " + device, least, []string{"spec.providerID", "to nothing"}},
		"no device":                     {least, least + ", providerID: 'aws:///i-1'", []string{"spec.providerID", "aws:///i-1", "packet://"}},
		"metro before the device":       {least, least + ", metro: da", nil},
		"metro":                         {least + ", metro: da, " + device, least + ", metro: ny, " + device, []string{"spec.metro", "from da to ny"}},
		"facility":                      {least + ", facility: da11, " + device, least + ", " + device, []string{"spec.facility", "from da11 to nothing"}},
		"fallback before the device":    {least + ", hardwareReservationID: next-available", least + ", hardwareReservationID: next-available, reservationFallback: OnDemand", nil},
		"fallback":                      {least + ", hardwareReservationID: next-available, " + device, least + ", hardwareReservationID: next-available, reservationFallback: OnDemand, " + device, []string{"spec.reservationFallback", "from nothing to OnDemand"}},
		"tags, protection and timeouts": {least + ", " + device, least + ", " + device + ", tags: [a], deletionProtection: true, timeouts: {deletion: 1h}", nil},
	} {
		t.Run(name, func(t *testing.T) {
			o := object(t, "PacketMachine", nameOf(t), "spec: {"+test.before+"}")
			if err := api.Create(t.Context(), o); err != nil {
				t.Fatalf("before: %v", err)
			}
			updated(t, o, "{"+test.after+"}", test.want)
		})
	}
}

// templates are the kinds that do not change, with a specification, another one and one that is worse.
var templates = map[string]struct{ before, after string }{
	"PacketClusterTemplate":     {"{template: {spec: {metro: da}}}", "{template: {spec: {metro: ny}}}"},
	"PacketMachineTemplate":     {"{template: {spec: {os: a, machineType: b}}}", "{template: {spec: {os: a, machineType: c}}}"},
	"PacketMachinePoolTemplate": {"{template: {spec: {template: {spec: {os: a, machineType: b}}}}}", "{template: {spec: {template: {spec: {os: a, machineType: c}}}}}"},
}

func TestTemplatesDoNotChange(t *testing.T) {
	for kind, test := range templates {
		t.Run(kind, func(t *testing.T) {
			o := object(t, kind, nameOf(t), "spec: "+test.before)
			if err := api.Create(t.Context(), o); err != nil {
				t.Fatal(err)
			}
			updated(t, o, test.after, []string{"spec.template.spec", "a template cannot be changed: create a new one"})
			t.Run("by a dry run that is not the topology controller's", func(t *testing.T) {
				refused(t, apply(t.Context(), object(t, kind, o.GetName(), "spec: "+test.after), client.DryRunAll), "a template cannot be changed")
			})
			t.Run("by somebody who only says to be the topology controller", func(t *testing.T) {
				changed := object(t, kind, o.GetName(), "spec: "+test.after)
				changed.SetAnnotations(map[string]string{clusterv1.TopologyDryRunAnnotation: ""})
				refused(t, apply(t.Context(), changed), "a template cannot be changed")
			})
			t.Run("but for the topology controller's dry run", func(t *testing.T) {
				changed := object(t, kind, o.GetName(), "spec: "+test.after)
				changed.SetAnnotations(map[string]string{clusterv1.TopologyDryRunAnnotation: ""})
				if err := apply(t.Context(), changed, client.DryRunAll); err != nil {
					t.Errorf("it was refused: %v", err)
				}
			})
			t.Run("but for labels", func(t *testing.T) {
				changed := o.DeepCopy()
				changed.SetLabels(map[string]string{"a": "b"})
				if err := api.Update(t.Context(), changed); err != nil {
					t.Errorf("it was refused: %v", err)
				}
			})
		})
	}
}

// apply is a server-side apply, as the topology controller does.
func apply(ctx context.Context, o *unstructured.Unstructured, options ...client.ApplyOption) error {
	return api.Apply(ctx, client.ApplyConfigurationFromUnstructured(o), append(options, client.FieldOwner("test"), client.ForceOwnership)...)
}

func TestMetadataOfTemplates(t *testing.T) {
	const wrong = "metadata: {labels: {'a b': c}}"
	for kind, test := range map[string]struct{ spec, path string }{
		"PacketClusterTemplate":     {"{template: {" + wrong + ", spec: {metro: da}}}", "spec.template.metadata.labels"},
		"PacketMachineTemplate":     {"{template: {" + wrong + ", spec: {os: a, machineType: b}}}", "spec.template.metadata.labels"},
		"PacketMachinePool":         {"{template: {" + wrong + ", spec: {os: a, machineType: b}}}", "spec.template.metadata.labels"},
		"PacketMachinePoolTemplate": {"{template: {spec: {template: {" + wrong + ", spec: {os: a, machineType: b}}}}}", "spec.template.spec.template.metadata.labels"},
		"PacketRemediationTemplate": {"{template: {" + wrong + ", spec: {}}}", "spec.template.metadata.labels"},
	} {
		t.Run(kind, func(t *testing.T) {
			refused(t, api.Create(t.Context(), object(t, kind, nameOf(t), "spec: "+test.spec)), test.path, `"a b"`)
			right := strings.ReplaceAll(test.spec, "'a b'", "a")
			if err := api.Create(t.Context(), object(t, kind, nameOf(t), "spec: "+right)); err != nil {
				t.Errorf("with a right label: %v", err)
			}
		})
	}
}

func TestIdentityInTemplates(t *testing.T) {
	for name, test := range map[string]struct {
		kind, spec string
		want       []string
	}{
		"endpoint":             {"PacketClusterTemplate", "{template: {spec: {metro: da, controlPlaneEndpoint: {host: a, port: 1}}}}", []string{"spec.template.spec.controlPlaneEndpoint", "not possible in a template"}},
		"reservation":          {"PacketClusterTemplate", "{template: {spec: {metro: da, elasticIP: {reservationID: " + reservationUUID + "}}}}", []string{"spec.template.spec.elasticIP.reservationID", "not possible in a template"}},
		"failure domains":      {"PacketClusterTemplate", "{template: {spec: {metro: da, failureDomains: [{name: ny}]}}}", []string{"spec.template.spec.failureDomains[0]", `"ny"`}},
		"device":               {"PacketMachineTemplate", "{template: {spec: {os: a, machineType: b, providerID: 'packet://" + deviceUUID + "'}}}", []string{"spec.template.spec.providerID", "not possible in a template"}},
		"device of a pool":     {"PacketMachinePool", "{template: {spec: {os: a, machineType: b, providerID: 'packet://" + deviceUUID + "'}}}", []string{"spec.template.spec.providerID", "not possible in a template"}},
		"pool":                 {"PacketMachinePoolTemplate", "{template: {spec: {providerID: a, template: {spec: {os: a, machineType: b}}}}}", []string{"spec.template.spec.providerID", "not possible in a template"}},
		"devices of a pool":    {"PacketMachinePoolTemplate", "{template: {spec: {providerIDList: [a], template: {spec: {os: a, machineType: b}}}}}", []string{"spec.template.spec.providerIDList", "not possible in a template"}},
		"nothing in it":        {"PacketMachineTemplate", "{}", []string{"spec.template", "Required value"}},
		"no machine in a pool": {"PacketMachinePool", "{}", []string{"spec.template", "Required value"}},
	} {
		t.Run(name, func(t *testing.T) {
			refused(t, api.Create(t.Context(), object(t, test.kind, nameOf(t), "spec: "+test.spec)), test.want...)
		})
	}
}
