package boot

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// trustBundles are where systems keep the certificates that programs trust.
// The first is made where it does not exist: Go's and most others' is there.
var trustBundles = []string{"etc/ssl/certs/ca-certificates.crt", "etc/pki/tls/certs/ca-bundle.crt", "etc/ssl/ca-bundle.pem", "etc/ssl/cert.pem"}

// trust makes the machine's programs trust a certificate, besides those that
// its host trusts. Without the file there is nothing to trust.
func trust(root, certificateFile string) error {
	if certificateFile == "" {
		return nil
	}
	certificate, err := os.ReadFile(certificateFile)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("reading the certificate of the metadata service: %w", err)
	}
	for i, name := range trustBundles {
		bundle := filepath.Join(root, name)
		// A link leads to another of these, or out of what can be written.
		if info, err := os.Lstat(bundle); err == nil && !info.Mode().IsRegular() || err != nil && i > 0 {
			continue
		}
		if err := addCertificate(bundle, certificate); err != nil {
			return fmt.Errorf("adding the certificate of the metadata service to /%s: %w", name, err)
		}
	}
	return nil
}

// addCertificate replaces the bundle by one with a certificate more. The host's
// file cannot be changed in place, where its owner has no number in the machine.
func addCertificate(bundle string, certificate []byte) error {
	present, err := os.ReadFile(bundle)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if bytes.Contains(present, bytes.TrimSpace(certificate)) {
		return nil
	}
	if length := len(present); length > 0 && present[length-1] != '\n' {
		present = append(present, '\n')
	}
	if err := os.MkdirAll(filepath.Dir(bundle), 0o755); err != nil {
		return err
	}
	fresh := bundle + ".new"
	if err := os.WriteFile(fresh, append(present, certificate...), 0o644); err != nil {
		return err
	}
	return os.Rename(fresh, bundle)
}
