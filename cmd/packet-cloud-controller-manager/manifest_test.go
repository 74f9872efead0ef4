package main

import (
	"os"
	"strings"
	"testing"

	"github.com/packetyard/packetyard/pkg/packet"
)

// The manifest for several control planes looked for the elastic IP by the tag
// of another provider's reservations, so that the address never moved.
func TestTheManifestKnowsTheProvidersElasticIP(t *testing.T) {
	content, err := os.ReadFile("../../deploy/ccm/packet-cloud-controller-manager-ha.yaml")
	if err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(string(content), "CLUSTER", "demo")
	_, flag, found := strings.Cut(text, "--packet-eip-tag=")
	tag, _, _ := strings.Cut(flag, "\n")
	if reserved := packet.ClusterTags("default", "demo"); !found || !packet.HasTags(reserved, tag) {
		t.Errorf("the manifest looks for the tag %q, and the provider gives its reservations %q", tag, reserved)
	}
}
