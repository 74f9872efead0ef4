package namespaces

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestMachineTrustsTheMetadataService boots a machine of an API server that has
// a certificate for its metadata service.
func TestMachineTrustsTheMetadataService(t *testing.T) {
	y := newYard(t)
	const certificate = "what the metadata service has for a certificate"
	file := filepath.Join(y.data, "metadata.crt")
	y.must(os.WriteFile(file, []byte(certificate+"\n"), 0o600))
	// Whoever made the file removes it: nothing else of a yard is to be left.
	defer func() { y.must(os.Remove(file)) }()
	spec := device(1)
	y.must(y.driver.Provision(t.Context(), spec))
	if bundle := y.run(spec, "tail", "-n", "1", "/etc/ssl/certs/ca-certificates.crt"); strings.TrimSpace(bundle) != certificate {
		t.Errorf("the machine's bundle ends with %q", bundle)
	}
	if content, err := os.ReadFile("/etc/ssl/certs/ca-certificates.crt"); err == nil && strings.Contains(string(content), certificate) {
		t.Error("the host trusts it too")
	}
}
