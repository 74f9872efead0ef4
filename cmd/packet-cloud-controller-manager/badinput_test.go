package main

import (
	"strings"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/processtest"
)

// A process that is configured wrongly says all of it and ends, before it
// starts a controller: also what only the API can know.
func TestAWrongConfigurationEndsTheProcess(t *testing.T) {
	w := newWorld(t)
	good := []string{"METAL_API_KEY=" + w.api.Token, "METAL_PROJECT_ID=" + w.api.ProjectID, "METAL_API_URL=" + w.api.URL}
	const secret = "0123456789-secret"
	for _, test := range []struct {
		name        string
		environment []string
		arguments   []string
		wrong       []string
	}{
		{name: "nothing at all", wrong: []string{"PACKET_API_URL", "PACKET_API_TOKEN", "PACKET_PROJECT_ID"}},
		{name: "everything static", environment: append([]string{"METAL_LOAD_BALANCER=haproxy://", "METAL_LOCAL_ASN=0", "METAL_BGP_NODE_SELECTOR=a in",
			"METAL_API_SERVER_PORT=70000", "METAL_METRO_NAME=da", "METAL_FACILITY_NAME=da11", "METAL_BGP_PASS=" + secret}, good...),
			wrong: []string{"haproxy", "METAL_LOCAL_ASN", "METAL_BGP_NODE_SELECTOR", "METAL_API_SERVER_PORT", "METAL_METRO_NAME", "METAL_FACILITY_NAME", "METAL_BGP_PASS"}},
		{name: "a token that the API does not know", environment: append([]string{"PACKET_API_TOKEN=" + secret}, good...), wrong: []string{"PACKET_API_TOKEN", "does not know the token"}},
		{name: "a project of somebody else", environment: append([]string{"PACKET_PROJECT_ID=00000000-0000-4000-8000-000000000001"}, good...), wrong: []string{"PACKET_PROJECT_ID"}},
		{name: "a metro that is none", environment: good, arguments: []string{"--packet-metro=atlantis"}, wrong: []string{"--packet-metro", "atlantis", "da"}},
		{name: "a file that is not there", environment: good, arguments: []string{"--cloud-config=/nowhere/cloud-sa.json"}, wrong: []string{"/nowhere/cloud-sa.json"}},
		{name: "another cloud", environment: good, arguments: []string{"--cloud-provider=aws"}, wrong: []string{`"aws"`, "packet"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := startProcess(t, w.program, test.environment, append([]string{"--kubeconfig=" + w.dir + "/kubeconfig", "--leader-elect=false", "--secure-port=0"}, test.arguments...)...)
			processtest.Until(t, time.Minute, "the process ends", func() bool {
				select {
				case <-p.Done:
					return true
				default:
					return false
				}
			})
			log := p.Log.String()
			if code := p.Command.ProcessState.ExitCode(); code != 1 {
				t.Errorf("the exit code is %d, want 1", code)
			}
			for _, text := range test.wrong {
				if !strings.Contains(log, text) {
					t.Errorf("the log does not mention %q", text)
				}
			}
			if strings.Contains(log, `Started "`) {
				t.Error("a controller was started")
			}
			for _, token := range []string{w.api.Token, secret} {
				if strings.Contains(log, token) {
					t.Error("the log shows a secret")
				}
			}
		})
	}
}
