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
	"syscall"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/pkg/packet"
)

// asProgram makes the test's own executable the program that it tests.
const asProgram = "PACKETYARD_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if description := os.Getenv(asEtcd); description != "" {
		fmt.Fprintln(os.Stderr, runEtcd(description))
		os.Exit(1)
	}
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

func start(t *testing.T, dir string, args ...string) *program {
	t.Helper()
	return startWith(t, dir, []string{"PACKET_API_TOKEN=", "PACKET_PROJECT_ID="}, args...)
}

// startWith starts a server with an environment and flags of its own.
func startWith(t *testing.T, dir string, environment []string, args ...string) *program {
	t.Helper()
	p := &program{log: &bytes.Buffer{}}
	// The test's context would kill it before the test has looked.
	p.cmd = exec.Command(os.Args[0], append([]string{"--data-dir", dir, "--listen-address", "127.0.0.1:0"}, args...)...)
	p.cmd.Env = append(append(os.Environ(), asProgram+"=1"), environment...)
	p.cmd.Stderr = p.log
	path := filepath.Join(dir, apiserver.CredentialsFile)
	earlier, _ := os.ReadFile(path)
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.kill)
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

func (p *program) kill() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
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
