package decode_test

import (
	"reflect"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
	"github.com/packetyard/packetyard/internal/gardener/decode"
)

const header = `{"apiVersion":"packet.provider.extensions.gardener.cloud/v1alpha1","kind":`

func raw(text string) *runtime.RawExtension { return &runtime.RawExtension{Raw: []byte(text)} }

func TestNothingIsAnEmptyObject(t *testing.T) {
	for _, nothing := range []*runtime.RawExtension{nil, {}, raw(""), raw(" \n"), raw("null")} {
		config, err := decode.InfrastructureConfig(nothing)
		if err != nil || config.Networks != nil {
			t.Errorf("%+v: %+v, %v", nothing, config, err)
			continue
		}
		if config.Kind != "InfrastructureConfig" || config.APIVersion != v1alpha1.GroupVersion.String() {
			t.Errorf("%+v has the type %+v", nothing, config.TypeMeta)
		}
	}
}

func TestMistakesAreNamed(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"unknown field":          {header + `"InfrastructureConfig","vlan":{}}`, `unknown field "vlan"`},
		"unknown field, deeper":  {header + `"InfrastructureConfig","networks":{"vlan":{"vxlans":1}}}`, `unknown field "networks.vlan.vxlans"`},
		"upper and lower case":   {header + `"InfrastructureConfig","Networks":{}}`, `unknown field "Networks"`},
		"a field twice":          {header + `"InfrastructureConfig","networks":{"nodes":"a","nodes":"b"}}`, `duplicate field "networks.nodes"`},
		"a text for a number":    {header + `"InfrastructureConfig","networks":{"vlan":{"vxlan":"1"}}}`, "networks.vlan.vxlan of type int32"},
		"another kind":           {header + `"WorkerConfig"}`, `kind is "WorkerConfig", but must be "InfrastructureConfig"`},
		"another kind of fields": {header + `"WorkerConfig","spot":{}}`, `kind is "WorkerConfig", but must be "InfrastructureConfig"`},
		"another version":        {`{"apiVersion":"packet.provider.extensions.gardener.cloud/v1","kind":"InfrastructureConfig"}`, `apiVersion is "packet.provider.extensions.gardener.cloud/v1", but must be "packet.provider.extensions.gardener.cloud/v1alpha1"`},
		"no kind":                {`{}`, `apiVersion is "", but must be`},
		"no object":              {`[]`, "this is not a JSON object with apiVersion and kind"},
		"no JSON":                {`networks: {}`, "this is not a JSON object with apiVersion and kind"},
		"two mistakes":           {header + `"InfrastructureConfig","a":1,"b":2}`, "unknown field \"a\"\nunknown field \"b\""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decode.InfrastructureConfig(raw(test.text))
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("the error is %v, want %s", err, test.want)
			}
		})
	}
}

func TestEncodeAndBack(t *testing.T) {
	id := "ubuntu_24_04"
	status := &v1alpha1.WorkerStatus{MachineImages: []v1alpha1.MachineImage{{Name: "ubuntu", Version: "24.4.0", ID: &id}}}
	encoded, err := decode.Encode(status)
	if err != nil {
		t.Fatal(err)
	}
	if status.Kind != "" {
		t.Error("Encode changed what it was given")
	}
	back, err := decode.WorkerStatus(encoded)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(back.MachineImages, status.MachineImages) {
		t.Errorf("%+v comes back as %+v", status.MachineImages, back.MachineImages)
	}
	// An object that has not been written to JSON yet is read, too.
	if _, err := decode.WorkerStatus(&runtime.RawExtension{Object: back}); err != nil {
		t.Error(err)
	}
	if _, err := decode.Encode(&corev1.Secret{}); err == nil {
		t.Error("a Secret is none of Packet's objects")
	}
}

func TestEveryKind(t *testing.T) {
	for kind, read := range map[string]func(*runtime.RawExtension) error{
		"CloudProfileConfig":   func(r *runtime.RawExtension) error { _, err := decode.CloudProfileConfig(r); return err },
		"InfrastructureConfig": func(r *runtime.RawExtension) error { _, err := decode.InfrastructureConfig(r); return err },
		"InfrastructureStatus": func(r *runtime.RawExtension) error { _, err := decode.InfrastructureStatus(r); return err },
		"InfrastructureState":  func(r *runtime.RawExtension) error { _, err := decode.InfrastructureState(r); return err },
		"ControlPlaneConfig":   func(r *runtime.RawExtension) error { _, err := decode.ControlPlaneConfig(r); return err },
		"WorkerConfig":         func(r *runtime.RawExtension) error { _, err := decode.WorkerConfig(r); return err },
		"WorkerStatus":         func(r *runtime.RawExtension) error { _, err := decode.WorkerStatus(r); return err },
	} {
		if err := read(raw(header + `"` + kind + `"}`)); err != nil {
			t.Errorf("%s: %v", kind, err)
		}
		if err := read(raw(header + `"Something"}`)); err == nil || !strings.Contains(err.Error(), kind) {
			t.Errorf("%s: another kind is %v", kind, err)
		}
	}
}
