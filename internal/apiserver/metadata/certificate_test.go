package metadata_test

import (
	"bytes"
	"crypto/x509"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/metadata"
)

func TestCertificate(t *testing.T) {
	folder, now := t.TempDir(), time.Date(2026, 6, 30, 0, 0, 0, 0, time.UTC)
	address := netip.MustParseAddr("192.80.8.124")
	get := func(addresses []netip.Addr, now time.Time) []byte {
		t.Helper()
		certificate, err := metadata.Certificate(folder, addresses, now)
		if err != nil {
			t.Fatal(err)
		}
		return certificate.Certificate[0]
	}
	first := get([]netip.Addr{address}, now)
	certificate, err := x509.ParseCertificate(first)
	if err != nil {
		t.Fatal(err)
	}
	trusted := x509.NewCertPool()
	trusted.AddCert(certificate)
	for _, name := range append(metadata.Hosts(), address.String()) {
		if _, err := certificate.Verify(x509.VerifyOptions{DNSName: name, Roots: trusted, CurrentTime: now}); err != nil {
			t.Errorf("for %s: %v", name, err)
		}
	}
	if err := certificate.VerifyHostname("api.packet.net"); err == nil {
		t.Error("it is for another name too")
	}
	if info, err := os.Stat(filepath.Join(folder, "metadata.key")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key is %v (%v), want it for its owner alone", info, err)
	}

	if again := get([]netip.Addr{address}, now.Add(time.Hour)); !bytes.Equal(again, first) {
		t.Error("it was made anew without need")
	}
	if other := get([]netip.Addr{address, netip.MustParseAddr("192.0.2.1")}, now); bytes.Equal(other, first) {
		t.Error("it was not made anew for another address")
	}
	if later := get([]netip.Addr{address}, now.AddDate(9, 6, 0)); bytes.Equal(later, first) {
		t.Error("it was not made anew before its end")
	}
	// A key that was lost is made anew, and one that is broken is an error.
	if err := os.Remove(filepath.Join(folder, "metadata.key")); err != nil {
		t.Fatal(err)
	}
	get([]netip.Addr{address}, now)
	if err := os.WriteFile(filepath.Join(folder, "metadata.key"), []byte("broken"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := metadata.Certificate(folder, nil, now); err == nil {
		t.Error("a broken key was taken")
	}
}
