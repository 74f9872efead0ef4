package controlplane

import (
	"crypto/x509"
	"encoding/pem"
	"errors"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
)

// verifies checks a certificate for a name by a bundle of CAs. All are PEM.
func verifies(bundle, certificate []byte, name string) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(bundle) {
		return errors.New("there is no CA in the bundle")
	}
	block, _ := pem.Decode(certificate)
	if block == nil {
		return errors.New("there is no certificate")
	}
	parsed, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return err
	}
	_, err = parsed.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}})
	return err
}

// hibernate has a Shoot hibernated, or not.
func hibernate(s *shoot, enabled bool) {
	s.cluster.Shoot.Spec.Hibernation = &gardencorev1beta1.Hibernation{Enabled: &enabled}
}
