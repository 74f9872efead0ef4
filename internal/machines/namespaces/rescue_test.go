package namespaces

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/packetyard/packetyard/internal/machines"
)

// TestRescueLeavesTheDiskAlone boots a machine into its rescue system, which
// sees what the machine wrote, keeps nothing of its own, and ends with the
// next boot.
func TestRescueLeavesTheDiskAlone(t *testing.T) {
	y := newYard(t)
	spec := device(1)
	if err := y.driver.Rescue(t.Context(), spec); !errors.Is(err, machines.ErrNotFound) {
		t.Errorf("rescuing a machine that does not exist: %v, want ErrNotFound", err)
	}
	y.must(y.driver.Provision(t.Context(), spec))
	y.run(spec, "sh", "-c", "echo mine > /root/file; echo mine > /usr/local/bin/program")

	shell := func(command string) string { return strings.TrimSpace(y.run(spec, "sh", "-c", command)) }
	for _, boot := range []string{"first", "second"} {
		y.must(y.driver.Rescue(t.Context(), spec))
		for command, want := range map[string]string{
			"cat /mnt/disk/root/file":                                     "mine",
			"test -e /root/file || echo absent":                           "absent",
			"test -e /usr/local/bin/program || echo absent":               "absent",
			"test -e /root/rescued || echo absent":                        "absent",
			"tr '\\0' '\\n' < /proc/1/environ | grep -c ^PACKET_RESCUE=1": "1",
			"hostname": "machine-1",
		} {
			if output := shell(command); output != want {
				t.Errorf("%s rescue: %s: %q, want %q", boot, command, output, want)
			}
		}
		shell("echo lost > /root/rescued; echo kept > /mnt/disk/root/" + boot)
	}

	y.must(y.driver.Reboot(t.Context(), spec.ID))
	for command, want := range map[string]string{
		"cat /root/file /usr/local/bin/program /root/first /root/second":      "mine\nmine\nkept\nkept",
		"test -e /root/rescued -o -e /mnt/disk/root || echo absent":           "absent",
		"tr '\\0' '\\n' < /proc/1/environ | grep -c ^PACKET_RESCUE=1 || true": "0",
	} {
		if output := shell(command); output != want {
			t.Errorf("after the rescue: %s: %q, want %q", command, output, want)
		}
	}
}

// TestRescueRunsNoUserData has the machines' own init do what it does on
// every boot, and nothing of it in the rescue system.
func TestRescueRunsNoUserData(t *testing.T) {
	y := newYard(t)
	build := exec.CommandContext(t.Context(), "go", "build", "-o", filepath.Join(y.image, "init"), "../../../cmd/machine-init")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if output, err := build.CombinedOutput(); err != nil {
		t.Fatalf("building the machines' init: %v\n%s", err, output)
	}
	var phonedHome atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("GET /metadata", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `{"id":%q,"hostname":"machine-1","phone_home_url":"http://%s/phone-home"}`, device(1).ID, MetadataAddress)
	})
	mux.HandleFunc("GET /userdata", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "#!/bin/sh\necho ran >> /root/ran\n") })
	mux.HandleFunc("POST /phone-home", func(http.ResponseWriter, *http.Request) { phonedHome.Add(1) })
	server := &http.Server{Handler: mux}
	go func() { _ = server.Serve(y.listen(net.JoinHostPort(MetadataAddress, "80"))) }()
	t.Cleanup(func() { _ = server.Close() })

	spec := device(1)
	y.must(y.driver.Provision(t.Context(), spec))
	y.eventually("user data and phoning home", func() bool {
		output, _, err := y.try(spec, "cat", "/root/ran")
		return err == nil && output == "ran\n" && phonedHome.Load() == 1
	})
	y.must(y.driver.Rescue(t.Context(), spec))
	if output := y.run(spec, "sh", "-c", "cat /mnt/disk/root/ran; test -e /root/ran || echo not here"); output != "ran\nnot here\n" {
		t.Errorf("in the rescue system: %q", output)
	}
	y.must(y.driver.Reboot(t.Context(), spec.ID))
	y.eventually("phoning home after the rescue, once", func() bool { return phonedHome.Load() == 2 })
	if output := y.run(spec, "cat", "/root/ran"); output != "ran\n" {
		t.Errorf("user data ran anew: %q", output)
	}
	console, err := os.ReadFile(y.client.ConsolePath(spec.ID))
	y.must(err)
	if !strings.Contains(string(console), "rescue system") {
		t.Errorf("the console says nothing of the rescue system:\n%s", console)
	}
}
