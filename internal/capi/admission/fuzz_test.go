package admission

import (
	"encoding/json"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation/field"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// FuzzMachineSpec checks whatever can be written as a machine: every answer names a field below the path, and private keys are
// never repeated.
func FuzzMachineSpec(f *testing.F) {
	for _, seed := range []string{
		`{}`,
		`{"sshKeys":["ssh-ed25519 AAAA","-----BEGIN OPENSSH PRIVATE KEY-----\nc2VjcmV0"],"hardwareReservationID":",,"}`,
		`{"customData":[1],"storage":{"disks":[{"partitions":[{"size":null}]}],"x":1}}`,
		`{"network":{"type":"hybrid-bonded","privateOnly":true,"addresses":[{"type":"public_ipv6","cidr":-1}],"vlans":[{"native":true},{"id":"x","vxlan":2,"port":"eth0"}]}}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, content []byte) {
		var spec infrav1.PacketMachineSpec
		if json.Unmarshal(content, &spec) != nil {
			return
		}
		for _, problem := range machineSpec(spec, field.NewPath("spec")) {
			if !strings.HasPrefix(problem.Field, "spec.") || problem.Detail == "" && problem.Type != field.ErrorTypeDuplicate {
				t.Errorf("a rejection without field or explanation: %v", problem)
			}
			if strings.HasPrefix(problem.Field, "spec.sshKeys") && strings.Contains(problem.Error(), "PRIVATE KEY") {
				t.Errorf("a private key is repeated: %v", problem)
			}
		}
		machineWarnings(spec, field.NewPath("spec"))
	})
}
