package namespaces

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/machineexec"
	"github.com/packetyard/packetyard/internal/machines"
)

// yard is a data directory with a driver on it.
type yard struct {
	*testing.T
	data, image string
	probe       func(context.Context, ProbeRequest) ([]ProbeFailure, error)
	driver      *Driver
	client      *Client
}

func newYard(t *testing.T) *yard {
	t.Helper()
	return newProbedYard(t, nil)
}

// newProbedYard makes a yard on a host of which the driver believes what probe says.
func newProbedYard(t *testing.T, probe func(context.Context, ProbeRequest) ([]ProbeFailure, error)) *yard {
	t.Helper()
	if problems := CheckHost(t.Context(), CheckConfig{Dir: t.TempDir()}); len(problems) > 0 {
		t.Fatal(HostError{Problems: problems})
	}
	// Longer than a socket's address can be, and with characters that mount options treat specially.
	data := filepath.Join(t.TempDir(), strings.Repeat("long,", 20)+`a:b\c d`)
	y := &yard{T: t, data: data, image: newImage(t), probe: probe}
	y.open()
	t.Cleanup(y.remove)
	return y
}

// newImage makes a machine image of this test binary.
func newImage(t *testing.T) string {
	t.Helper()
	image := filepath.Join(t.TempDir(), "image")
	copyProgram(t, filepath.Join(image, "init"))
	return image
}

func copyProgram(t *testing.T, path string) {
	t.Helper()
	executable, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.ReadFile(executable)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, program, 0o755); err != nil {
		t.Fatal(err)
	}
}

func (y *yard) open() {
	y.Helper()
	var err error
	y.driver, err = New(y.Context(), Config{
		DataDir: y.data, ImageDir: y.image, StopGrace: 5 * time.Second,
		Logger: slog.New(slog.NewTextHandler(testWriter{y.T}, nil)), probe: y.probe,
	})
	if err != nil {
		y.Fatal(err)
	}
	if y.client, err = Dial(y.Context(), y.data); err != nil {
		y.Fatal(err)
	}
}

func (y *yard) remove() {
	if err := y.driver.Close(); err != nil {
		y.Error(err)
	}
	if y.Failed() {
		if log, err := os.ReadFile(filepath.Join(y.data, "machines", "rack.log")); err == nil {
			y.Logf("rack.log:\n%s", log)
		}
	}
	// The test's context ends before its cleanup.
	ctx := context.WithoutCancel(y.Context())
	client, err := Dial(ctx, y.data)
	if err == nil {
		err = client.Shutdown(ctx, true)
	} else {
		err = RemoveMachines(y.data)
	}
	if err != nil {
		y.Error(err)
	}
	if left, err := os.ReadDir(y.data); err != nil || len(left) > 0 {
		y.Errorf("left in the data directory: %v, %v", left, err)
	}
}

type testWriter struct{ *testing.T }

func (w testWriter) Write(data []byte) (int, error) {
	w.Log(strings.TrimSpace(string(data)))
	return len(data), nil
}

// device is the specification of the n-th machine.
func device(n int, elastic ...string) machines.Spec {
	spec := machines.Spec{
		ID:       fmt.Sprintf("00000000-0000-4000-8000-%012d", n),
		Hostname: fmt.Sprintf("machine-%d", n),
		Plan:     "c3.small.x86", OperatingSystem: "ubuntu_24_04", CPUs: 8, MemoryBytes: 32 << 30,
		Addresses: []machines.Address{
			{Address: fmt.Sprintf("198.18.1.%d", 2*n+1), CIDR: 31, Gateway: fmt.Sprintf("198.18.1.%d", 2*n), Family: 4, Public: true, Management: true},
			{Address: fmt.Sprintf("2001:db8::%x", 2*n+1), CIDR: 127, Gateway: fmt.Sprintf("2001:db8::%x", 2*n), Family: 6, Public: true, Management: true},
			{Address: fmt.Sprintf("10.70.0.%d", 2*n+1), CIDR: 31, Gateway: fmt.Sprintf("10.70.0.%d", 2*n), Family: 4, Management: true},
		},
	}
	for _, address := range elastic {
		spec.Addresses = append(spec.Addresses, machines.Address{Address: address, CIDR: 32, Family: 4, Public: true})
	}
	return spec
}

func public(spec machines.Spec) string { return spec.Addresses[0].Address }

func (y *yard) must(err error) {
	y.Helper()
	if err != nil {
		y.Fatal(err)
	}
}

// run runs a command in a machine and returns its output.
func (y *yard) run(spec machines.Spec, command ...string) string {
	y.Helper()
	output, code, err := y.try(spec, command...)
	if err != nil || code != 0 {
		y.Fatalf("%s in %s: code %d, %v\n%s", command, spec.Hostname, code, err, output)
	}
	return output
}

func (y *yard) try(spec machines.Spec, command ...string) (string, int, error) {
	var output bytes.Buffer
	// init may not listen yet: it was only just started.
	var code int
	var err error
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		code, err = machineexec.RunAt(y.Context(), y.client.ControlSocket(spec.ID), machineexec.Request{Command: command},
			machineexec.Streams{Stdout: &output, Stderr: &output})
		if err == nil || !strings.Contains(err.Error(), "connecting to socket") {
			break
		}
	}
	return output.String(), code, err
}

// tool runs the test's own program in a machine.
func (y *yard) tool(spec machines.Spec, arguments ...string) string {
	y.Helper()
	return y.run(spec, append([]string{"/opt/packetyard/init"}, arguments...)...)
}

func (y *yard) addresses(spec machines.Spec) map[string][]string {
	y.Helper()
	var found map[string][]string
	y.must(json.Unmarshal([]byte(y.tool(spec, "addresses")), &found))
	for _, list := range found {
		slices.Sort(list)
	}
	return found
}

// status is what the driver lists of a machine.
func (y *yard) status(spec machines.Spec) machines.Status {
	y.Helper()
	list, err := y.driver.List(y.Context())
	y.must(err)
	for _, status := range list {
		if status.ID == spec.ID {
			return status
		}
	}
	y.Fatalf("machine %s is not in the list %v", spec.ID, list)
	return machines.Status{}
}

// dial connects from the switch.
func (y *yard) dial(address string) (string, error) {
	connection, err := y.driver.Dial(y.Context(), "tcp", address)
	if err != nil {
		return "", err
	}
	defer connection.Close()
	answer, err := io.ReadAll(connection)
	return string(answer), err
}

// eventually waits until a condition holds.
func (y *yard) eventually(what string, holds func() bool) {
	y.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		if holds() {
			return
		}
	}
	y.Fatalf("in vain waited for: %s", what)
}

func kernelHasIPv6() bool {
	_, err := os.Stat("/proc/sys/net/ipv6/conf")
	return err == nil
}
