package metadata

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// The files of the certificate. The first is for machines to trust.
const (
	certificateName = "metadata.crt"
	keyName         = "metadata.key"
)

// certificateLife is longer than anybody keeps a folder of records.
const certificateLife = 10 * 365 * 24 * time.Hour

// Certificate is what the service proves its names with to agents that ask by
// HTTPS, as Ignition, afterburn and Talos do. No authority signs for names that
// belong to somebody else, so it signs for itself, and a machine has to be told
// to trust it. It is kept in a folder, as metadata.crt and metadata.key, and
// made anew if it is not there or of use no more.
func Certificate(folder string, addresses []netip.Addr, now time.Time) (*tls.Certificate, error) {
	certFile, keyFile := filepath.Join(folder, certificateName), filepath.Join(folder, keyName)
	found, err := tls.LoadX509KeyPair(certFile, keyFile)
	switch {
	case err == nil && fits(found.Leaf, addresses, now):
		return &found, nil
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("reading the certificate of the metadata service: %w", err)
	}
	certPEM, keyPEM, err := newCertificate(addresses, now)
	if err != nil {
		return nil, fmt.Errorf("making a certificate for the metadata service: %w", err)
	}
	// The key comes last: a certificate without one is not found the next time.
	if err := os.WriteFile(certFile, certPEM, 0o644); err != nil { //nolint:gosec // Everybody may read a certificate.
		return nil, fmt.Errorf("keeping the certificate of the metadata service: %w", err)
	}
	if err := os.WriteFile(keyFile, keyPEM, 0o600); err != nil {
		return nil, fmt.Errorf("keeping the key of the metadata service: %w", err)
	}
	made, err := tls.X509KeyPair(certPEM, keyPEM)
	return &made, err
}

// fits tells whether a certificate is for all names and addresses, today and
// for some time to come.
func fits(certificate *x509.Certificate, addresses []netip.Addr, now time.Time) bool {
	names := Hosts()
	for _, address := range addresses {
		names = append(names, address.String())
	}
	for _, name := range names {
		if certificate.VerifyHostname(name) != nil {
			return false
		}
	}
	return now.After(certificate.NotBefore) && now.Add(certificateLife/10).Before(certificate.NotAfter)
}

func newCertificate(addresses []netip.Addr, now time.Time) (certPEM, keyPEM []byte, err error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: "Packetyard metadata service"},
		DNSNames:     Hosts(),
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.Add(certificateLife),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		// Trust stores take authorities. This one signs for nothing but itself.
		BasicConstraintsValid: true,
		IsCA:                  true,
		MaxPathLenZero:        true,
	}
	for _, address := range addresses {
		template.IPAddresses = append(template.IPAddresses, address.AsSlice())
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, nil, err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), nil
}
