package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/pkg/packet"
)

// asProgram makes the test's own executable the program that it tests.
const asProgram = "PACKETYARD_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// program is a running server.
type program struct {
	cmd         *exec.Cmd
	log         *bytes.Buffer
	credentials packet.Credentials
}

func start(t *testing.T, dir string) *program {
	t.Helper()
	p := &program{log: &bytes.Buffer{}}
	// The test's context would kill it before the test has looked.
	p.cmd = exec.Command(os.Args[0], "--data-dir", dir, "--listen-address", "127.0.0.1:0")
	p.cmd.Env = append(os.Environ(), asProgram+"=1", "PACKET_API_TOKEN=", "PACKET_PROJECT_ID=")
	p.cmd.Stderr = p.log
	path := filepath.Join(dir, apiserver.CredentialsFile)
	earlier, _ := os.ReadFile(path)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
	})
	eventually(t, "the server is ready", func() bool {
		data, err := os.ReadFile(path)
		if err != nil || bytes.Equal(data, earlier) || json.Unmarshal(data, &p.credentials) != nil {
			return false
		}
		answer, err := http.Get(strings.TrimSuffix(p.credentials.APIURL, "/metal/v1") + "/_packetyard/ready")
		if err != nil {
			return false
		}
		_ = answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	return p
}

func eventually(t *testing.T, what string, so func() bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	pause := time.NewTicker(5 * time.Millisecond)
	defer pause.Stop()
	for !so() {
		select {
		case <-ctx.Done():
			t.Fatalf("%s: it did not happen", what)
		case <-pause.C:
		}
	}
}

func (p *program) client(t *testing.T) *packet.Client {
	t.Helper()
	client, err := packet.NewClient(packet.Config{
		BaseURL: p.credentials.APIURL, Token: p.credentials.APIToken, QPS: -1, Retries: -1,
	})
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// TestKill kills the server again and again while it is busy, and checks that
// whatever it confirmed is there, and that no address is handed out twice.
func TestKill(t *testing.T) {
	dir := t.TempDir()
	var mu sync.Mutex
	devices := map[string]bool{}
	reservations := map[string]bool{}
	for round := range 4 {
		p := start(t, dir)
		client := p.client(t)
		project := p.credentials.ProjectID
		check(t, client, project, devices, reservations)

		var wait sync.WaitGroup
		enough := make(chan struct{})
		var once sync.Once
		for worker := range 6 {
			wait.Go(func() {
				for i := 0; ; i++ {
					device, err := client.CreateDevice(t.Context(), project, packet.DeviceCreate{
						Hostname: fmt.Sprintf("r%d-w%d-%d", round, worker, i),
						Plan:     "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da",
					})
					if err != nil {
						return // The server is dead.
					}
					mu.Lock()
					devices[device.ID] = true
					done := len(devices) >= 40*(round+1)
					mu.Unlock()
					if done {
						once.Do(func() { close(enough) })
					}
					if i%4 != 0 {
						continue
					}
					reservation, err := client.CreateIPReservation(t.Context(), project, packet.IPReservationCreate{
						Type: packet.IPTypePublicIPv4, Quantity: 1, Metro: "da",
					})
					if err != nil {
						return
					}
					mu.Lock()
					reservations[reservation.ID] = true
					mu.Unlock()
				}
			})
		}
		select {
		case <-enough:
		case <-time.After(time.Minute):
			t.Fatal("the server made too few devices")
		}
		if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		wait.Wait()
		_ = p.cmd.Wait()
	}
	p := start(t, dir)
	check(t, p.client(t), p.credentials.ProjectID, devices, reservations)
}

// check compares what the server has with what it confirmed. It may have
// more: a request whose answer was lost.
func check(t *testing.T, client *packet.Client, project string, devices, reservations map[string]bool) {
	t.Helper()
	var found []packet.Device
	eventually(t, "all devices become active", func() bool {
		var err error
		if found, err = client.Devices(t.Context(), project, packet.DeviceFilter{}); err != nil {
			t.Fatal(err)
		}
		for _, device := range found {
			if device.State != packet.StateActive {
				return false
			}
		}
		return true
	})
	holders := map[string]string{}
	take := func(address, holder string) {
		if other := holders[address]; other != "" {
			t.Errorf("%s is handed out to %s and to %s", address, other, holder)
		}
		holders[address] = holder
	}
	known := map[string]bool{}
	names := map[string]bool{}
	for _, device := range found {
		known[device.ID] = true
		if names[device.Hostname] {
			t.Errorf("device %s exists twice", device.Hostname)
		}
		names[device.Hostname] = true
		if len(device.IPAddresses) != 3 {
			t.Errorf("device %s has %d addresses, want 3", device.ID, len(device.IPAddresses))
		}
		for _, ip := range device.IPAddresses {
			take(ip.Address, device.ID)
			take(ip.Gateway, device.ID)
		}
	}
	for id := range devices {
		if !known[id] {
			t.Errorf("device %s was confirmed and is lost", id)
		}
	}
	ips, err := client.IPReservations(t.Context(), project)
	if err != nil {
		t.Fatal(err)
	}
	for _, ip := range ips {
		known[ip.ID] = true
		if !ip.Management {
			take(ip.Address, ip.ID)
		}
	}
	for id := range reservations {
		if !known[id] {
			t.Errorf("reservation %s was confirmed and is lost", id)
		}
	}
}

func TestOrderlyEnd(t *testing.T) {
	p := start(t, t.TempDir())
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Wait(); err != nil {
		t.Errorf("after SIGTERM the program ends with %v\n%s", err, p.log)
	}
	log := p.log.String()
	if !strings.Contains(log, p.credentials.APIURL) {
		t.Errorf("the log does not tell the chosen address:\n%s", log)
	}
	if strings.Contains(log, p.credentials.APIToken) || strings.Contains(log, "level=ERROR") {
		t.Errorf("the log tells the token, or of errors:\n%s", log)
	}
}

func TestWrongFlags(t *testing.T) {
	for text, args := range map[string][]string{
		`--machines "cloud" is not one of none, namespaces`: {"--machines", "cloud"},
		`--profile: profile "quick" is not one of instant`:  {"--profile", "quick"},
		`--log-level "loud" is not one of debug`:            {"--log-level", "loud"},
		`listen address "8080" is not host:port`:            {"--listen-address", "8080"},
		"is no machine image":                               {"--machines", "namespaces", "--machine-image", t.TempDir()},
		`unknown command "serve"`:                           {"serve"},
		`unknown flag: --quick`:                             {"--quick"},
		`invalid argument "maybe" for "--control"`:          {"--control=maybe"},
	} {
		cmd := command()
		if args[0] != "serve" {
			args = append(args, "--data-dir", t.TempDir())
		}
		cmd.SetArgs(args)
		cmd.SetOut(&bytes.Buffer{})
		cmd.SetErr(&bytes.Buffer{})
		if err := cmd.ExecuteContext(t.Context()); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v, want an error with %q", args, err, text)
		}
	}
}

func TestHelp(t *testing.T) {
	cmd := command()
	var out bytes.Buffer
	cmd.SetArgs([]string{"--help"})
	cmd.SetOut(&out)
	if err := cmd.Execute(); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"--listen-address", "--data-dir", "--etcd-endpoints", "--machines", "--machine-image", "--profile", "--control",
		"credentials.json", "PACKET_API_TOKEN", "/_packetyard/health"} {
		if !strings.Contains(out.String(), text) {
			t.Errorf("the help does not tell of %s", text)
		}
	}
}
