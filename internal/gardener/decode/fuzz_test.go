package decode_test

import (
	"reflect"
	"testing"

	"k8s.io/apimachinery/pkg/runtime"

	"github.com/packetyard/packetyard/internal/gardener/decode"
)

// FuzzDecode gives every decoder what anyone may write into a Shoot or a CloudProfile. What is taken means the same when it is
// written and read again, and nothing makes the extension panic.
func FuzzDecode(f *testing.F) {
	for _, seed := range []string{
		``, `null`, `{}`, `[]`, `{"apiVersion":"packet.provider.extensions.gardener.cloud/v1alpha1"}`,
		`{"apiVersion":"packet.provider.extensions.gardener.cloud/v1alpha1","kind":"InfrastructureConfig","networks":{"nodes":"10.64.0.0/25"}}`,
		`{"apiVersion":"packet.provider.extensions.gardener.cloud/v1alpha1","kind":"CloudProfileConfig","machineImages":[{"name":"flatcar","versions":[{"version":"1.2.3","id":"flatcar_stable"}]}]}`,
		`{"apiVersion":"packet.provider.extensions.gardener.cloud/v1alpha1","kind":"WorkerConfig","reservationIDs":["x"],"reservedDevicesOnly":true}`,
		`{"apiVersion":"packet.provider.extensions.gardener.cloud/v1alpha1","kind":"ControlPlaneConfig","loadBalancer":{}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		raw := &runtime.RawExtension{Raw: data}
		check(t, raw, decode.CloudProfileConfig)
		check(t, raw, decode.InfrastructureConfig)
		check(t, raw, decode.InfrastructureStatus)
		check(t, raw, decode.InfrastructureState)
		check(t, raw, decode.ControlPlaneConfig)
		check(t, raw, decode.WorkerConfig)
		check(t, raw, decode.WorkerStatus)
	})
}

func check[T any, P interface {
	*T
	runtime.Object
}](t *testing.T, raw *runtime.RawExtension, read func(*runtime.RawExtension) (*T, error)) {
	t.Helper()
	first, err := read(raw)
	if err != nil {
		return
	}
	written, err := decode.Encode(P(first))
	if err != nil {
		t.Fatalf("what was read from %q cannot be written: %v", raw.Raw, err)
	}
	second, err := read(written)
	if err != nil {
		t.Fatalf("what was read from %q and written as %q cannot be read again: %v", raw.Raw, written.Raw, err)
	}
	// An empty list and none are the same in JSON that leaves both out.
	again, err := decode.Encode(P(second))
	if err != nil || !reflect.DeepEqual(written.Raw, again.Raw) {
		t.Fatalf("%q became %q, %v", written.Raw, again.Raw, err)
	}
}
