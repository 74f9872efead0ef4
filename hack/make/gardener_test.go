package maketest

import (
	"strings"
	"testing"
)

// TestStartTakesTheVariablesOfTheGuide also with the port of the Service as the guide misspelt it, which was ignored once.
func TestStartTakesTheVariablesOfTheGuide(t *testing.T) {
	tr := newTree(t)
	for _, variable := range []string{"WEBHOOK_CONFIG_SERICE_PORT", "WEBHOOK_CONFIG_SERVICE_PORT"} {
		out := tr.make("-n", "start", "IGNORE_OPERATION_ANNOTATION=false", "WEBHOOK_CONFIG_MODE=service",
			"EXTENSION_NAMESPACE=extension-provider-packet-9r7xh", "WEBHOOK_CONFIG_PORT=9443", variable+"=444")
		for _, want := range []string{
			"--ignore-operation-annotation=false", "--webhook-config-mode=service", "--webhook-config-namespace=extension-provider-packet-9r7xh",
			"--webhook-config-server-port=9443", "--webhook-config-service-port=444", "--config-file=example/00-componentconfig.yaml",
		} {
			if !strings.Contains(out, want) {
				t.Errorf("make start with %s does not give %s:\n%s", variable, want, out)
			}
		}
	}
	out := tr.make("-n", "start-provider-packet")
	for _, want := range []string{"--ignore-operation-annotation=true", "--webhook-config-mode=url", "--webhook-config-url=host.docker.internal:8443", "LEADER_ELECTION_NAMESPACE=garden", "GARDENER_SHOOT_CLIENT=external"} {
		if !strings.Contains(out, want) {
			t.Errorf("make start-provider-packet does not give %s:\n%s", want, out)
		}
	}
}

// TestVerifyHasAllCheckAndTest is what contributors to Gardener's extensions type.
func TestVerifyHasAllCheckAndTest(t *testing.T) {
	tr := newTree(t)
	for value, want := range map[string]bool{"true": true, "false": false} {
		if out := tr.make("-n", "all", "VERIFY="+value); strings.Contains(out, "verify test") != want && strings.Contains(out, "golangci-lint") != want {
			t.Errorf("make all VERIFY=%s:\n%s", value, out)
		}
	}
}
