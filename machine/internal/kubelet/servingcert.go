package kubelet

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"k8s.io/client-go/util/cert"
	"k8s.io/client-go/util/keyutil"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
)

// The names under which the kubelet looks for a serving certificate of its own.
const (
	servingCertFile = "kubelet.crt"
	servingKeyFile  = "kubelet.key"
)

// ensureServingCert makes the certificate that the kubelet serves with when
// nobody gave it one. The kubelet would do so itself, with two RSA keys, and that
// is the longest part of its start.
func ensureServingCert(c *kubeletconfig.KubeletConfiguration, dir, hostname string, now time.Time) error {
	if c.ServerTLSBootstrap || c.TLSCertFile != "" || c.TLSPrivateKeyFile != "" {
		return nil
	}
	certFile, keyFile := filepath.Join(dir, servingCertFile), filepath.Join(dir, servingKeyFile)
	usable, err := cert.CanReadCertAndKey(certFile, keyFile)
	if err != nil {
		return fmt.Errorf("reading the kubelet's serving certificate: %w", err)
	}
	if usable {
		return nil
	}
	certificate, key, err := selfSigned(hostname, now)
	if err != nil {
		return fmt.Errorf("making the kubelet's serving certificate: %w", err)
	}
	// The certificate is written last: half a pair would stop the next start.
	if err := errors.Join(keyutil.WriteKey(keyFile, key), cert.WriteCert(certFile, certificate)); err != nil {
		return errors.Join(fmt.Errorf("writing the kubelet's serving certificate: %w", err), os.RemoveAll(keyFile), os.RemoveAll(certFile))
	}
	return nil
}

// selfSigned returns a PEM certificate and key for a host name, valid for a year
// as the kubelet's own would be.
func selfSigned(hostname string, now time.Time) (certificate, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, fmt.Errorf("generating a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, fmt.Errorf("choosing a serial number: %w", err)
	}
	template := &x509.Certificate{
		SerialNumber:          serial,
		Subject:               pkix.Name{CommonName: fmt.Sprintf("%s@%d", hostname, now.Unix())},
		NotBefore:             now.Add(-time.Hour), // The clocks of client and machine may differ.
		NotAfter:              now.AddDate(1, 0, 0),
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true,
		DNSNames:              []string{hostname},
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		return nil, nil, fmt.Errorf("signing: %w", err)
	}
	key, err = keyutil.MarshalPrivateKeyToPEM(private)
	if err != nil {
		return nil, nil, fmt.Errorf("encoding the key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: signed}), key, nil
}
