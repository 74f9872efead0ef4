package webhookcerts

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"time"
)

const (
	authorityValidity = 10 * 365 * 24 * time.Hour
	servingValidity   = 365 * 24 * time.Hour
	// renewBefore is how long before its end a serving certificate is replaced. It is generous, because a manager that
	// is scaled to zero for months should still come back with a certificate that works.
	renewBefore = servingValidity / 3
	// backdating tolerates clocks that are a little apart.
	backdating = 5 * time.Minute
)

// bundle is everything the Secret holds.
type bundle struct {
	// caCerts are the PEM certificates the API server trusts, the current authority first.
	caCerts []byte
	caKey   []byte
	cert    []byte
	key     []byte
}

// newBundle makes a new authority and a serving certificate of it. Certificates of previous authorities that are still
// valid stay trusted, because another replica may still serve with one of them.
func newBundle(previousCAs []byte, dnsNames []string, now time.Time) (*bundle, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making the key of the webhook certificate authority: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		// The serial is part of the name, so that two authorities in one bundle can be told apart.
		Subject:               pkix.Name{CommonName: fmt.Sprintf("%s webhook CA %x", dnsNames[0], serial.Bytes()[:4])},
		NotBefore:             now.Add(-backdating),
		NotAfter:              now.Add(authorityValidity),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true,
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("signing the webhook certificate authority: %w", err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	b := &bundle{
		caCerts: append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), stillValid(previousCAs, now)...),
		caKey:   keyPEM,
	}
	return b, b.issue(dnsNames, now)
}

// issue replaces the serving certificate by a new one of the same authority.
func (b *bundle) issue(dnsNames []string, now time.Time) error {
	authority, err := tls.X509KeyPair(b.caCerts, b.caKey)
	if err != nil {
		return fmt.Errorf("reading the webhook certificate authority: %w", err)
	}
	parent, err := x509.ParseCertificate(authority.Certificate[0])
	if err != nil {
		return fmt.Errorf("reading the webhook certificate authority: %w", err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making the key of the webhook certificate: %w", err)
	}
	serial, err := newSerial()
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: dnsNames[0]},
		DNSNames:     dnsNames,
		NotBefore:    now.Add(-backdating),
		NotAfter:     now.Add(servingValidity),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, key.Public(), authority.PrivateKey)
	if err != nil {
		return fmt.Errorf("signing the webhook certificate: %w", err)
	}
	keyPEM, err := encodeKey(key)
	if err != nil {
		return err
	}
	b.cert, b.key = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), keyPEM
	return nil
}

// check tells what has to be renewed: errAuthority means everything, errServing the serving certificate alone.
func (b *bundle) check(dnsNames []string, now time.Time) error {
	authority, err := tls.X509KeyPair(b.caCerts, b.caKey)
	if err != nil {
		return fmt.Errorf("%w: %w", errAuthority, err)
	}
	ca, err := x509.ParseCertificate(authority.Certificate[0])
	if err != nil {
		return fmt.Errorf("%w: %w", errAuthority, err)
	}
	// An authority must outlive every certificate it signs.
	if now.Add(servingValidity).After(ca.NotAfter) || now.Before(ca.NotBefore) {
		return fmt.Errorf("%w: it is valid from %s to %s", errAuthority, ca.NotBefore, ca.NotAfter)
	}
	pair, err := tls.X509KeyPair(b.cert, b.key)
	if err != nil {
		return fmt.Errorf("%w: %w", errServing, err)
	}
	cert, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		return fmt.Errorf("%w: %w", errServing, err)
	}
	if now.Add(renewBefore).After(cert.NotAfter) || now.Before(cert.NotBefore) {
		return fmt.Errorf("%w: it is valid from %s to %s", errServing, cert.NotBefore, cert.NotAfter)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	for _, name := range dnsNames {
		if _, err := cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: name, CurrentTime: now}); err != nil {
			return fmt.Errorf("%w: %w", errServing, err)
		}
	}
	return nil
}

var (
	errAuthority = errors.New("the webhook certificate authority has to be renewed")
	errServing   = errors.New("the webhook certificate has to be renewed")
)

// stillValid keeps the certificates of a PEM bundle that have not expired.
func stillValid(certificates []byte, now time.Time) []byte {
	var kept bytes.Buffer
	for rest := certificates; ; {
		var block *pem.Block
		block, rest = pem.Decode(rest)
		if block == nil {
			return kept.Bytes()
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil && now.Before(cert.NotAfter) {
			kept.Write(pem.EncodeToMemory(block))
		}
	}
}

func newSerial() (*big.Int, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return nil, fmt.Errorf("drawing a serial number for a webhook certificate: %w", err)
	}
	// The top bit is set, so that the number always has the same length.
	return serial.SetBit(serial, 120, 1), nil
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("encoding a webhook key: %w", err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}), nil
}
