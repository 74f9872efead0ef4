package yard

import (
	"context"
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sigs.k8s.io/yaml"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// cloudConfig is the part of a cloud-config that the bootstrap machine's has.
type cloudConfig struct {
	WriteFiles []struct {
		Path        string `json:"path"`
		Permissions string `json:"permissions"`
		Content     string `json:"content"`
	} `json:"write_files"`
	RunCmd [][]string `json:"runcmd"`
}

// TestBootstrapUserData carries the user data out in a folder of the test's,
// with a kubeadm that only tells its version and what it was called with.
func TestBootstrapUserData(t *testing.T) {
	if !strings.HasPrefix(bootstrapUserData, "#cloud-config\n") {
		t.Fatalf("it is no cloud-config: %.40q", bootstrapUserData)
	}
	root, programs := t.TempDir(), t.TempDir()
	var config cloudConfig
	if err := yaml.UnmarshalStrict([]byte(strings.ReplaceAll(bootstrapUserData, "/etc/kubernetes", root)), &config); err != nil {
		t.Fatal(err)
	}
	for _, file := range config.WriteFiles {
		if file.Permissions != "0600" && file.Permissions != "0700" {
			t.Errorf("%s has permissions %s: others could read it", file.Path, file.Permissions)
		}
		if err := os.WriteFile(file.Path, []byte(file.Content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	kubeadm := "#!/bin/sh\nif [ \"$1\" = version ]; then echo v1.99.1; else echo \"$@\" > " + root + "/called; fi\n"
	if err := os.WriteFile(filepath.Join(programs, "kubeadm"), []byte(kubeadm), 0o755); err != nil { //nolint:gosec // It has to be executable.
		t.Fatal(err)
	}
	boot := func() string {
		for _, command := range config.RunCmd {
			run := exec.Command(command[0], command[1:]...)
			run.Env = append(os.Environ(), "PATH="+programs+":"+os.Getenv("PATH"))
			if output, err := run.CombinedOutput(); err != nil {
				t.Fatalf("%v: %v\n%s", command, err, output)
			}
		}
		content, err := os.ReadFile(filepath.Join(root, "encryption.yaml"))
		if err != nil {
			t.Fatal(err)
		}
		return string(content)
	}
	first := boot()
	if again := boot(); again != first {
		t.Error("a second boot changed the key: nothing in etcd could be read any more")
	}
	info, err := os.Stat(filepath.Join(root, "encryption.yaml"))
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the key's file has mode %v, %v; want 0600", info.Mode(), err)
	}

	var encryption struct {
		Resources []struct {
			Resources []string `json:"resources"`
			Providers []struct {
				Secretbox struct {
					Keys []struct{ Name, Secret string }
				} `json:"secretbox"`
			} `json:"providers"`
		} `json:"resources"`
	}
	if err := yaml.Unmarshal([]byte(first), &encryption); err != nil {
		t.Fatal(err)
	}
	key, err := base64.StdEncoding.DecodeString(encryption.Resources[0].Providers[0].Secretbox.Keys[0].Secret)
	if err != nil || len(key) != 32 {
		t.Errorf("the key has %d bytes, %v; secretbox takes 32", len(key), err)
	}
	for _, resource := range []string{"secrets", "kubeadmconfigs.bootstrap.cluster.x-k8s.io"} {
		if !slices.Contains(encryption.Resources[0].Resources, resource) {
			t.Errorf("%s are not encrypted", resource)
		}
	}

	called, err := os.ReadFile(filepath.Join(root, "called"))
	if err != nil || strings.TrimSpace(string(called)) != "init --config kubeadm.yaml --skip-token-print" {
		t.Errorf("kubeadm was called with %q, %v", called, err)
	}
	kubeadmConfig, err := os.ReadFile(filepath.Join(root, "kubeadm.yaml"))
	if err != nil || !strings.Contains(string(kubeadmConfig), "kubernetesVersion: v1.99.1\n") {
		t.Errorf("kubeadm's file lacks the machine's version: %v\n%s", err, kubeadmConfig)
	}
}

func TestUserDataDone(t *testing.T) {
	device := &packet.Device{Hostname: "bootstrap"}
	event := func(kind, body string) packet.Event { return packet.Event{Type: kind, Body: body} }
	for _, test := range []struct {
		name      string
		events    []packet.Event
		want      bool
		wantError string
	}{
		{name: "no event"},
		{name: "running", events: []packet.Event{event(packet.UserStateRunning, ""), event(packet.EventPhonedHome, "")}},
		{name: "done", events: []packet.Event{event(packet.UserStateSucceeded, ""), event(packet.UserStateRunning, "")}, want: true},
		{name: "failed", events: []packet.Event{event(packet.UserStateFailed, "kubeadm: no\nreally"), event(packet.UserStateRunning, "")}, wantError: "    kubeadm: no\n    really"},
		{name: "failed, then installed anew", events: []packet.Event{event(packet.UserStateRunning, ""), event(packet.UserStateFailed, "no")}},
	} {
		t.Run(test.name, func(t *testing.T) {
			got, err := userDataDone(device, test.events)
			if test.wantError != "" {
				if err == nil || !strings.Contains(err.Error(), test.wantError) {
					t.Errorf("got %v, want an error with %q", err, test.wantError)
				}
				if hinted := hintConsole(err, "bin/packetyard"); !strings.Contains(hinted.Error(), "bin/packetyard console bootstrap") {
					t.Errorf("the error does not tell how to see the console: %v", hinted)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("got %t, %v; want %t", got, err, test.want)
			}
		})
	}
}

// Up waited until its time-out for a bootstrap machine that was off.
func TestBootstrapMachineThatIsOffIsSwitchedOn(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	api := &api{Client: server.Client(t), credentials: packet.Credentials{ProjectID: server.ProjectID}}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	until := func(want packet.DeviceState) {
		t.Helper()
		err := poll(ctx, 10*time.Millisecond, func(ctx context.Context) (bool, error) {
			state, err := lookAtBootstrap(ctx, api)
			return state.device != nil && state.device.State == want, err
		})
		if err != nil {
			t.Fatalf("waiting for it to be %s: %v", want, err)
		}
	}
	until(packet.StateActive)
	device, err := findBootstrapDevice(ctx, api)
	if err != nil {
		t.Fatal(err)
	}
	if err := api.DeviceAction(ctx, device.ID, packet.DeviceAction{Type: packet.ActionPowerOff}); err != nil {
		t.Fatal(err)
	}
	until(packet.StateInactive)
	until(packet.StateActive)
}
