package v1beta2_test

import (
	"math/rand"
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/apitesting/fuzzer"
	"k8s.io/apimachinery/pkg/api/apitesting/roundtrip"
	metafuzzer "k8s.io/apimachinery/pkg/apis/meta/fuzzer"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"sigs.k8s.io/randfill"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// TestRoundTrip writes and reads objects with anything in them: nothing may be lost on the way.
func TestRoundTrip(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := infrav1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	codecs := serializer.NewCodecFactory(scheme)
	own := func(serializer.CodecFactory) []any {
		return []any{
			// Any JSON object will do, but it has to be one.
			func(j *apiextensionsv1.JSON, c randfill.Continue) { j.Raw = []byte(`{"a":[1,"b",null]}`) },
		}
	}
	filler := fuzzer.FuzzerFor(fuzzer.MergeFuzzerFuncs(metafuzzer.Funcs, own), rand.NewSource(rand.Int63()), codecs)
	for kind := range scheme.KnownTypes(infrav1.GroupVersion) {
		if gvk := infrav1.GroupVersion.WithKind(kind); scheme.Recognizes(gvk) && kind[0:6] == "Packet" {
			t.Run(kind, func(t *testing.T) {
				roundtrip.RoundTripSpecificKindWithoutProtobuf(t, gvk, scheme, codecs, filler, nil)
			})
		}
	}
}
