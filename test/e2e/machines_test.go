//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/machineexec"
	"github.com/packetyard/packetyard/internal/machines/namespaces"
	"github.com/packetyard/packetyard/pkg/packet"
)

// machineRoom is a Packet API server with machines, and nothing else of a yard.
type machineRoom struct {
	*packet.Client
	project string
	image   string
	rack    *namespaces.Client
	folder  string
}

// newMachineRoom starts the build's API server and sees to its end.
func newMachineRoom(t *testing.T) *machineRoom {
	t.Helper()
	bin := os.Getenv("PACKETYARD_BIN")
	if bin == "" {
		bin = filepath.Join("..", "..", "bin")
	}
	bin, err := filepath.Abs(bin)
	if err != nil {
		t.Fatal(err)
	}
	room := &machineRoom{image: filepath.Join(bin, "machine-image"), folder: t.TempDir()}
	server := exec.Command(filepath.Join(bin, "packet-api-server"), "--data-dir", room.folder, "--listen-address", "127.0.0.1:0",
		"--machines", "namespaces", "--machine-image", room.image, "--profile", "fast")
	server.Env = append(os.Environ(), "PACKET_API_TOKEN=", "PACKET_PROJECT_ID=")
	var log bytes.Buffer
	server.Stderr = &log
	if err := server.Start(); err != nil {
		t.Fatalf("PACKETYARD_BIN has to name the folder of a build (make build): %v", err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			room.explain(t)
			t.Logf("the API server's log:\n%s", log.String())
		}
		// The rack lives longer than the server, so that machines do.
		if err := errors.Join(server.Process.Signal(syscall.SIGTERM), server.Wait()); err != nil {
			t.Errorf("the API server ended with %v", err)
		}
		if room.rack != nil {
			if err := room.rack.Shutdown(context.Background(), true); err != nil {
				t.Errorf("ending the machines: %v", err)
			}
		}
	})
	eventually(t, "the API server is ready", func(ctx context.Context) error {
		var credentials packet.Credentials
		content, err := os.ReadFile(filepath.Join(room.folder, "credentials.json"))
		if err != nil {
			return err
		}
		if err := json.Unmarshal(content, &credentials); err != nil {
			return err
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, strings.TrimSuffix(credentials.APIURL, "/metal/v1")+"/_packetyard/ready", nil)
		if err != nil {
			return err
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		_ = answer.Body.Close()
		if answer.StatusCode != http.StatusOK {
			return fmt.Errorf("it answers %s", answer.Status)
		}
		room.project = credentials.ProjectID
		room.Client, err = packet.NewClient(packet.Config{BaseURL: credentials.APIURL, Token: credentials.APIToken, QPS: -1})
		if err != nil {
			return err
		}
		room.rack, err = namespaces.Dial(ctx, room.folder)
		return err
	})
	return room
}

func (room *machineRoom) explain(t *testing.T) {
	consoles, _ := filepath.Glob(filepath.Join(room.folder, "machines", "*", "console.log"))
	for _, console := range consoles {
		content, _ := os.ReadFile(console)
		t.Logf("%s:\n%s", console, content)
	}
}

// make makes a machine and returns its device when its user data has succeeded.
func (room *machineRoom) make(t *testing.T, hostname, system, userData string) *packet.Device {
	t.Helper()
	device, err := room.CreateDevice(t.Context(), room.project, packet.DeviceCreate{
		Hostname: hostname, Plan: "c3.small.x86", OperatingSystem: system, Metro: "da", Userdata: userData,
	})
	if err != nil {
		t.Fatal(err)
	}
	const succeeded, failed = "1001", "1002"
	eventually(t, hostname+"'s user data has succeeded", func(ctx context.Context) error {
		events, err := room.DeviceEvents(ctx, device.ID)
		if err != nil {
			return err
		}
		var seen []string
		for _, event := range events {
			seen = append(seen, event.Type)
			switch {
			case strings.HasSuffix(event.Type, failed):
				t.Fatalf("%s's user data failed: %s", hostname, event.Body)
			case strings.HasSuffix(event.Type, succeeded):
				return nil
			}
		}
		return fmt.Errorf("events are %q", seen)
	})
	if device, err = room.Device(t.Context(), device.ID); err != nil {
		t.Fatal(err)
	}
	return device
}

// try runs a shell's command line in a machine.
func (room *machineRoom) try(ctx context.Context, device *packet.Device, line string) (string, error) {
	var output bytes.Buffer
	code, err := machineexec.RunAt(ctx, room.rack.ControlSocket(device.ID), machineexec.Request{Command: []string{"/bin/sh", "-c", line}},
		machineexec.Streams{Stdin: strings.NewReader(""), Stdout: &output, Stderr: &output})
	if err == nil && code != 0 {
		err = fmt.Errorf("it ended with %d", code)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %s: %w\n%s", device.Hostname, line, err, output.String())
	}
	return strings.TrimSpace(output.String()), nil
}

func (room *machineRoom) run(t *testing.T, device *packet.Device, line string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	output, err := room.try(ctx, device, line)
	if err != nil {
		t.Fatal(err)
	}
	return output
}
