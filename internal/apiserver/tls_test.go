package apiserver

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/machines/none"
)

// writeCertificate makes a certificate for 127.0.0.1 with a serial number.
func writeCertificate(t *testing.T, dir string, serial int64) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(time.Hour),
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "tls.crt"), filepath.Join(dir, "tls.key")
	for name, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: certificate},
		keyFile:  {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestHTTPS(t *testing.T) {
	certFile, keyFile := writeCertificate(t, t.TempDir(), 1)
	var log bytes.Buffer
	server, err := New(t.Context(), Config{
		ListenAddress: "127.0.0.1:0", DataDir: t.TempDir(), Driver: none.New(), TLSCertFile: certFile, TLSKeyFile: keyFile,
		Logger: slog.New(slog.NewTextHandler(&log, nil)),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- server.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		_ = server.Close()
	}()

	data, err := os.ReadFile(certFile)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(data)
	url := server.Credentials().APIURL
	if !strings.HasPrefix(url, "https://127.0.0.1:") {
		t.Errorf("the credentials say %s", url)
	}
	for _, version2 := range []bool{false, true} {
		transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, ForceAttemptHTTP2: version2, DisableKeepAlives: true}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/projects/"+server.Credentials().ProjectID+"/devices",
			strings.NewReader(`{"plan":"c3.small.x86","operating_system":"ubuntu_24_04","metro":"da"}`))
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Auth-Token", server.Credentials().APIToken)
		answer, err := (&http.Client{Transport: transport}).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusCreated || !strings.HasPrefix(answer.Header.Get("Location"), "https://127.0.0.1:") || (answer.ProtoMajor == 2) != version2 {
			t.Errorf("%s %s, Location %q", answer.Proto, answer.Status, answer.Header.Get("Location"))
		}
	}
}

// TestACertificateIsReadAnewWhenItChanges swaps the files under a server, also
// for some that are broken.
func TestACertificateIsReadAnewWhenItChanges(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := writeCertificate(t, dir, 1)
	c, err := loadCertificate(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	age := time.Now()
	serial := func() int64 {
		t.Helper()
		// The files are as old as the test says, whatever the resolution of the
		// file system's times is, and the last check is long ago.
		age = age.Add(time.Minute)
		for _, name := range []string{certFile, keyFile} {
			if err := os.Chtimes(name, age, age); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		c.checked = time.Time{}
		parsed, err := x509.ParseCertificate(c.get(t.Context()).Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		return parsed.SerialNumber.Int64()
	}
	if got := serial(); got != 1 {
		t.Errorf("serial %d, want 1", got)
	}
	writeCertificate(t, dir, 2)
	if got := serial(); got != 2 {
		t.Errorf("after a change: serial %d, want 2", got)
	}
	if err := os.WriteFile(certFile, []byte("half of a certificate"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 2 {
		t.Errorf("with a broken file: serial %d, want 2", got)
	}
	if err := os.Remove(keyFile); err != nil {
		t.Fatal(err)
	}
	if got := serial(); got != 2 {
		t.Errorf("without a key: serial %d, want 2", got)
	}
	writeCertificate(t, dir, 3)
	if got := serial(); got != 3 {
		t.Errorf("whole again: serial %d, want 3", got)
	}
}
