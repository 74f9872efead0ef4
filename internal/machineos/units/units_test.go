package units

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// machine is a root directory whose services run on the host, as children of the test.
type machine struct {
	*Manager
	t       *testing.T
	mu      sync.Mutex
	console strings.Builder
	output  lockedBuffer
	builtin []string
}

type lockedBuffer struct {
	mu     sync.Mutex
	buffer bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buffer.String()
}

func newMachine(t *testing.T) *machine {
	t.Helper()
	m := &machine{t: t}
	ctx, cancel := context.WithCancel(context.Background())
	m.Manager = New(ctx, Config{
		Store: Store{Root: t.TempDir()},
		Run: func(ctx context.Context, cmd *exec.Cmd, output io.Writer) error {
			running := exec.CommandContext(ctx, cmd.Path, cmd.Args[1:]...)
			running.Env, running.Dir, running.Stdout, running.Stderr = cmd.Env, cmd.Dir, output, output
			return running.Run()
		},
		Builtin: func(ctx context.Context, name string) (bool, error) {
			if name != "containerd.service" {
				return false, nil
			}
			if ctx.Err() == nil {
				m.mu.Lock()
				defer m.mu.Unlock()
				m.builtin = append(m.builtin, name)
			}
			return true, nil
		},
		Environment: []string{"PATH=/usr/bin:/bin"},
		Hostname:    func() string { return "node-1" },
		Output:      &m.output,
		Printf: func(format string, args ...any) {
			m.mu.Lock()
			defer m.mu.Unlock()
			fmt.Fprintf(&m.console, format+"\n", args...)
		},
		Now: time.Now,
	})
	t.Cleanup(func() {
		cancel()
		m.Wait()
	})
	return m
}

func (m *machine) write(name, content string) {
	m.t.Helper()
	file := m.path(name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o644)); err != nil {
		m.t.Fatal(err)
	}
}

func (m *machine) unit(name, content string) {
	m.t.Helper()
	m.write("/etc/systemd/system/"+name, content)
}

func (m *machine) said() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.console.String()
}

func (m *machine) status(name string) Status {
	m.t.Helper()
	status, err := m.Status(name)
	if err != nil {
		m.t.Fatal(err)
	}
	return status
}

const install = "\n[Install]\nWantedBy=multi-user.target\n"

func TestBootStartsUnitsInTheirOrder(t *testing.T) {
	m := newMachine(t)
	m.unit("last.service", "[Unit]\nAfter=first.service second.service\n[Service]\nType=oneshot\nExecStart=/bin/echo last"+install)
	m.unit("second.service", "[Unit]\nRequires=first.service containerd.service\nAfter=first.service containerd.service\n[Service]\nType=oneshot\nExecStartPre=/bin/echo before second\nExecStart=/bin/echo second\nExecStartPost=/bin/echo after second"+install)
	m.unit("first.service", "[Unit]\nBefore=last.service\nAfter=network-online.target\nWants=network-online.target missing.service\n[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/sleep 0.05\nExecStart=/bin/echo first\n")
	m.unit("disabled.service", "[Service]\nExecStart=/bin/echo disabled"+install)
	for _, name := range []string{"last.service", "second.service"} {
		if err := m.Enable(name); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	if output := m.output.String(); output != "first\nbefore second\nsecond\nafter second\nlast\n" {
		t.Errorf("output is %q", output)
	}
	if !slices.Equal(m.builtin, []string{"containerd.service"}) {
		t.Errorf("of the machine's own units %v were started", m.builtin)
	}
	for name, want := range map[string]Active{"first.service": Running, "second.service": Inactive, "last.service": Inactive, "disabled.service": Inactive} {
		if status := m.status(name); status.Active != want || status.Enabled != (name == "last.service" || name == "second.service") {
			t.Errorf("%s is %+v, want %s", name, status, want)
		}
	}
}

func TestDropInsAndEnvironment(t *testing.T) {
	m := newMachine(t)
	m.unit("kubeadm.service", "[Unit]\nConditionPathExists=/etc/kubeadm.yml\n[Service]\nType=oneshot\nEnvironment=\"A=one two\" B=3\nEnvironmentFile=-/etc/missing\nExecStart=/bin/false"+install)
	m.unit("kubeadm.service.d/10-flatcar.conf", "[Unit]\nRequires=containerd.service\nAfter=containerd.service\n[Service]\nEnvironmentFile=/run/metadata/flatcar\nExecStart=\nExecStart=/bin/sh -c 'echo \"$$1 $COREOS_PACKET_HOSTNAME ${B} $A %n %%\"' sh ${A} $A\n")
	m.write("/run/metadata/flatcar", "# written by the machine\nCOREOS_PACKET_HOSTNAME=\"node-1\"\nB=4\n")
	if err := m.Start(t.Context(), "kubeadm.service"); err != nil {
		t.Fatal(err)
	}
	if m.output.String() != "" || !strings.Contains(m.said(), "skipped, condition PathExists=/etc/kubeadm.yml") {
		t.Errorf("the unit ran in spite of its condition: %q\n%s", m.output.String(), m.said())
	}
	m.write("/etc/kubeadm.yml", "---\n")
	if err := m.Start(t.Context(), "kubeadm.service"); err != nil {
		t.Fatalf("%v\n%s", err, m.said())
	}
	if output := m.output.String(); output != "one two node-1 4 one two kubeadm.service %\n" {
		t.Errorf("output is %q", output)
	}
	content, err := os.ReadFile(m.path(LogFile("kubeadm.service")))
	if err != nil || string(content) != m.output.String() {
		t.Errorf("the log has %q, %v", content, err)
	}
}

func TestFailureReachesWhatRequiresTheUnit(t *testing.T) {
	m := newMachine(t)
	m.unit("broken.service", "[Service]\nType=oneshot\nExecStart=-/bin/false\nExecStart=/bin/sh -c 'exit 7'\n")
	m.unit("tolerant.service", "[Service]\nType=oneshot\nSuccessExitStatus=7\nExecStart=/bin/true\n")
	m.unit("needs.service", "[Unit]\nRequires=broken.service\nAfter=broken.service\n[Service]\nType=oneshot\nExecStart=/bin/echo needs\n")
	m.unit("wants.service", "[Unit]\nWants=broken.service\nAfter=broken.service\n[Service]\nType=oneshot\nExecStart=/bin/echo wants\n")
	err := m.Start(t.Context(), "needs.service", "wants.service", "tolerant.service", "missing.service")
	for _, want := range []string{"broken.service: ExecStart: /bin/sh: exit status 7", "its dependency broken.service has failed", "missing.service: not found"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
	if output := m.output.String(); output != "wants\n" {
		t.Errorf("output is %q", output)
	}
	if status := m.status("broken.service"); status.Active != Failed || status.Failure == "" {
		t.Errorf("status is %+v", status)
	}
}

func TestOneshotIsStartedAgainUntilItSucceeds(t *testing.T) {
	m := newMachine(t)
	m.unit("retry.service", "[Service]\nType=oneshot\nRestart=on-failure\nRestartSec=1ms\nExecStart=/bin/sh -c 'echo x >> tries; test $(wc -l < tries) -ge 3'\n")
	if err := m.Start(t.Context(), "retry.service"); err != nil {
		t.Fatal(err)
	}
	m.unit("never.service", "[Service]\nType=oneshot\nRestart=on-failure\nRestartSec=1ms\nExecStart=/bin/false\n")
	if err := m.Start(t.Context(), "never.service"); err == nil || !strings.Contains(err.Error(), "it was started 5 times") {
		t.Errorf("a unit that never succeeds gives %v", err)
	}
}

func TestServiceRunsUntilItIsStopped(t *testing.T) {
	m := newMachine(t)
	m.unit("agent.service", "[Service]\nExecStart=/bin/sh -c 'echo started; exec sleep 1000'\nExecStop=/bin/echo stopping\nRestart=always\n")
	if err := m.Start(t.Context(), "agent.service"); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context(), "agent.service"); err != nil {
		t.Fatal(err)
	}
	if status := m.status("agent.service"); status.Active != Running {
		t.Errorf("status is %+v", status)
	}
	for !strings.Contains(m.output.String(), "started") {
		<-time.After(time.Millisecond)
	}
	if err := m.Stop(t.Context(), "agent.service"); err != nil {
		t.Fatal(err)
	}
	if status := m.status("agent.service"); status.Active != Inactive || m.output.String() != "started\nstopping\n" {
		t.Errorf("status is %+v, output %q", status, m.output.String())
	}
}

func TestMaskedUnitDoesNotStart(t *testing.T) {
	m := newMachine(t)
	if err := m.Mask("locksmithd.service"); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context(), "locksmithd.service"); !errors.Is(err, ErrMasked) {
		t.Errorf("error is %v", err)
	}
	if err := m.Unmask("locksmithd.service"); err != nil {
		t.Fatal(err)
	}
	if err := m.Start(t.Context(), "locksmithd.service"); !errors.Is(err, ErrNotFound) {
		t.Errorf("error is %v", err)
	}
}

func TestCircleIsBroken(t *testing.T) {
	m := newMachine(t)
	m.unit("a.service", "[Unit]\nAfter=b.service\n[Service]\nType=oneshot\nExecStart=/bin/echo a\n")
	m.unit("b.service", "[Unit]\nAfter=a.service\n[Service]\nType=oneshot\nExecStart=/bin/echo b\n")
	if err := m.Start(t.Context(), "a.service", "b.service"); err != nil {
		t.Fatal(err)
	}
	if output := m.output.String(); len(output) != 4 || !strings.Contains(m.said(), "is a circle") {
		t.Errorf("output is %q\n%s", output, m.said())
	}
}

func TestUnitsThatCannotBe(t *testing.T) {
	for text, want := range map[string]string{
		"[Service]\nType=sometimes\nExecStart=/bin/true":             `Service.Type is "sometimes", it must be one of oneshot`,
		"[Service]\nRestart=maybe\nExecStart=/bin/true":              `Service.Restart is "maybe"`,
		"[Service]\nExecStart=/bin/true\nExecStart=/bin/false":       "Service.ExecStart is there 2 times",
		"[Service]\nExecStart=/bin/sh -c 'x":                         "Service.ExecStart: a quote is not closed",
		"[Service]\nExecStart=-":                                     "it must begin with a program",
		"[Service]\nRestartSec=soon\nExecStart=/bin/true":            `Service.RestartSec: it is "soon"`,
		"[Service]\nRemainAfterExit=perhaps\nExecStart=/bin/true":    "it must be yes or no",
		"[Service]\nType=oneshot\nExecStart=/bin/echo \\\n  a \\q\n": "",
	} {
		if _, err := Parse("x.service", []byte(text)); (want == "") != (err == nil) || (err != nil && !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: error is %v, want %q", text, err, want)
		}
	}
	for _, name := range []string{"../x.service", "x", ".service/..", "a b.service"} {
		if _, err := (Store{Root: t.TempDir()}).Load(name); !errors.Is(err, ErrNotFound) {
			t.Errorf("%q: error is %v", name, err)
		}
	}
}

func TestDurations(t *testing.T) {
	for text, want := range map[string]time.Duration{"5": 5 * time.Second, "1min 30s": 90 * time.Second, "500ms": 500 * time.Millisecond, "infinity": 0, "0.5": 500 * time.Millisecond} {
		if got, err := duration(text); err != nil || got != want {
			t.Errorf("%q is %s, %v; want %s", text, got, err, want)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add("[Unit]\nAfter=a.service\n[Service]\nType=oneshot\nExecStart=/bin/sh -c 'a \"b\" ${C}' ; /bin/true\nEnvironment=\"A=b c\"\n[Install]\nWantedBy=multi-user.target\n")
	f.Add("[Service]\nExecStart=@/bin/a b\\\n c\nRestartSec=1min 2s\n")
	f.Fuzz(func(t *testing.T, text string) {
		u, err := Parse("x.service", []byte(text))
		if err != nil {
			return
		}
		for _, command := range slices.Concat(u.Service.StartPre, u.Service.Start, u.Service.StartPost, u.Service.Stop) {
			if len(command.Words) == 0 || command.Words[0] == "" {
				t.Errorf("a command of %q has no program", text)
			}
			expand(command.Words, func(string) string { return "value" }, map[byte]string{'n': "x.service"})
		}
	})
}

// Gardener's kubelet.service has an argument on each line, and the kubelet was given the ends of the lines too.
func TestACommandOverSeveralLinesHasNoLineEnds(t *testing.T) {
	u, err := Parse("kubelet.service", []byte("[Service]\nExecStart=/opt/bin/kubelet --config=/etc/kubelet \\\n    --v=2 \\\n    \"--node-ip= \\\n::\" $EXTRA\n"))
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"/opt/bin/kubelet", "--config=/etc/kubelet", "--v=2", "--node-ip=  ::", "$EXTRA"}
	if got := u.Service.Start[0].Words; !slices.Equal(got, want) {
		t.Errorf("the words are %q, want %q", got, want)
	}
}
