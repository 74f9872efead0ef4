package admission_test

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// warnings remembers what an API server warned of.
type warnings struct {
	mutex sync.Mutex
	texts []string
}

// HandleWarningHeaderWithContext implements rest.WarningHandlerWithContext.
func (w *warnings) HandleWarningHeaderWithContext(_ context.Context, _ int, _, text string) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.texts = append(w.texts, text)
}

func TestWarnings(t *testing.T) {
	const label = "metadata: {labels: {cluster.x-k8s.io/control-plane: ''}}\n"
	for name, test := range map[string]struct {
		kind, body string
		// want is what one of the warnings has; empty if there is to be none.
		want string
	}{
		"facility of a cluster":          {"PacketCluster", "spec: {facility: da11}", "spec.facility: da11: Packet replaced facilities by metros"},
		"facility of a cluster template": {"PacketClusterTemplate", "spec: {template: {spec: {facility: da11}}}", "spec.template.spec.facility: da11"},
		"facility of a machine":          {"PacketMachineTemplate", "spec: {template: {spec: {os: a, machineType: b, facility: ny5}}}", "spec.template.spec.facility: ny5"},
		"facility of a pool":             {"PacketMachinePool", "spec: {template: {spec: {os: a, machineType: b, facility: ny5}}}", "spec.template.spec.facility: ny5"},
		"external without endpoint":      {"PacketCluster", "spec: {metro: da, vipManager: External}", "spec.controlPlaneEndpoint is not set"},
		"external with endpoint":         {"PacketCluster", "spec: {metro: da, vipManager: External, controlPlaneEndpoint: {host: a, port: 1}}", ""},
		"layer 2":                        {"PacketMachine", "spec: {os: a, machineType: b, network: {type: layer2-bonded}}", "spec.network.type: layer2-bonded"},
		"control plane on spot":          {"PacketMachine", label + "spec: {os: a, machineType: b, spot: {maxPrice: '1'}}", "etcd loses a member"},
		"worker on spot":                 {"PacketMachine", "spec: {os: a, machineType: b, spot: {maxPrice: '1'}}", ""},
	} {
		t.Run(name, func(t *testing.T) {
			heard := &warnings{}
			own := rest.CopyConfig(config)
			own.WarningHandlerWithContext = heard
			c, err := client.New(own, client.Options{Scheme: api.Scheme()})
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Create(t.Context(), object(t, test.kind, nameOf(t), test.body)); err != nil {
				t.Fatal(err)
			}
			if test.want == "" && len(heard.texts) > 0 {
				t.Errorf("it warns of %q", heard.texts)
			}
			if !slices.ContainsFunc(heard.texts, func(text string) bool { return strings.Contains(text, test.want) }) && test.want != "" {
				t.Errorf("the warnings are %q, want %q", heard.texts, test.want)
			}
		})
	}
}
