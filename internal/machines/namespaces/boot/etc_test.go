package boot

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestWriteEtc(t *testing.T) {
	etc := t.TempDir()
	config := Config{
		ID: "0f0e-12", Hostname: "master-0", HostAddress: "198.18.1.1", NameServer: "198.18.0.1",
		Hosts: map[string][]string{"192.80.8.124": {"metadata.packet.net", "metadata.platformequinix.com"}},
	}
	if err := writeEtc(etc, config); err != nil {
		t.Fatal(err)
	}
	content := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(etc, name))
		if err != nil {
			t.Error(err)
		}
		return string(text)
	}
	for name, part := range map[string]string{
		"hosts":       "198.18.1.1 master-0\n192.80.8.124 metadata.packet.net metadata.platformequinix.com\n",
		"hostname":    "master-0\n",
		"machine-id":  "0f0e12\n",
		"resolv.conf": "nameserver 198.18.0.1\n",
		"os-release":  "(Packetyard)\"\n",
		"passwd":      "root:x:0:0:",
	} {
		if text := content(name); !strings.Contains(text, part) {
			t.Errorf("%s is %q, want %q in it", name, text, part)
		}
	}
	for _, secret := range []string{"shadow", "gshadow", "sudoers", "ssh"} {
		if _, err := os.Lstat(filepath.Join(etc, secret)); err == nil {
			t.Errorf("the host's %s is in the machine", secret)
		}
	}

	// At the next boot the machine's own changes are kept, but for the host name.
	if err := os.WriteFile(filepath.Join(etc, "hosts"), []byte("changed"), 0o644); err != nil {
		t.Fatal(err)
	}
	config.Hostname = "renamed"
	if err := writeEtc(etc, config); err != nil {
		t.Fatal(err)
	}
	if content("hosts") != "changed" || content("hostname") != "renamed\n" {
		t.Errorf("after another boot hosts is %q and hostname %q", content("hosts"), content("hostname"))
	}
}

func TestOSRelease(t *testing.T) {
	path := filepath.Join(t.TempDir(), "os-release")
	if err := os.WriteFile(path, []byte("PRETTY_NAME='Alpine Linux v3.22'\nID=alpine"), 0o644); err != nil {
		t.Fatal(err)
	}
	const want = "ID=alpine\nPRETTY_NAME=\"Alpine Linux v3.22 (Packetyard)\"\n"
	if text := osRelease(path); text != want {
		t.Errorf("os-release is %q, want %q", text, want)
	}
	if text := osRelease(path + ".none"); !strings.Contains(text, "ID=linux") {
		t.Errorf("without the host's, os-release is %q", text)
	}
}
