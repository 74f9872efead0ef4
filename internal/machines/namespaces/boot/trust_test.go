package boot

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestMachineTrustsTheMetadataService(t *testing.T) {
	root, certificate := t.TempDir(), filepath.Join(t.TempDir(), "metadata.crt")
	if err := trust(root, certificate); err != nil {
		t.Fatalf("without a certificate: %v", err)
	}
	pki := filepath.Join(root, "etc/pki/tls/certs/ca-bundle.crt")
	if err := errors.Join(os.WriteFile(certificate, []byte("ours\n"), 0o600), os.MkdirAll(filepath.Dir(pki), 0o755), os.WriteFile(pki, []byte("theirs"), 0o644)); err != nil {
		t.Fatal(err)
	}
	// The second time is the next boot.
	for range 2 {
		if err := trust(root, certificate); err != nil {
			t.Fatal(err)
		}
	}
	for name, want := range map[string]string{"etc/pki/tls/certs/ca-bundle.crt": "theirs\nours\n", "etc/ssl/certs/ca-certificates.crt": "ours\n"} {
		if content, err := os.ReadFile(filepath.Join(root, name)); err != nil || string(content) != want {
			t.Errorf("%s is %q, %v; want %q", name, content, err, want)
		}
	}
	if _, err := os.Lstat(filepath.Join(root, "etc/ssl/cert.pem")); err == nil {
		t.Error("a bundle was made that the system does not have")
	}
	renewed := strings.Repeat("x", 10)
	if err := errors.Join(os.WriteFile(certificate, []byte(renewed), 0o600), trust(root, certificate)); err != nil {
		t.Fatal(err)
	}
	if content, err := os.ReadFile(pki); err != nil || !strings.HasSuffix(string(content), renewed) {
		t.Errorf("after the certificate was renewed the bundle is %q, %v", content, err)
	}
}
