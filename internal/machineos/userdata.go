package machineos

import (
	"context"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/packetyard/packetyard/internal/machineos/cloudinit"
	"github.com/packetyard/packetyard/internal/machineos/ignition"
	"github.com/packetyard/packetyard/internal/machineos/kubernetes"
	"github.com/packetyard/packetyard/internal/machineos/metadata"
	"github.com/packetyard/packetyard/internal/machineos/packages"
	"github.com/packetyard/packetyard/internal/machineos/process"
)

// ignitionTimeout bounds one attempt to download a source of an Ignition document.
const ignitionTimeout = 30 * time.Second

// userDataExecutor runs user data of one kind.
type userDataExecutor interface {
	Execute(ctx context.Context, userData []byte) error
}

// isIgnition tells whether user data is for Ignition: it looks like it, or the
// system is one that Ignition sets up, and it is not for cloud-init, which such
// a system has too.
func isIgnition(document *metadata.Metadata, userData []byte) bool {
	if ignition.IsConfig(userData) {
		return true
	}
	text := strings.TrimSpace(string(userData))
	return document.OperatingSystem.Distro == "flatcar" && text != "" && !strings.HasPrefix(text, "#") && !strings.HasPrefix(strings.ToLower(text), "content-type:")
}

// executor is what runs an instance's user data in this machine. Reports of how
// it goes on are sent to stage.
func (m *Machine) executor(document *metadata.Metadata, userData []byte, stage func(message string)) userDataExecutor {
	if isIgnition(document, userData) {
		return m.ignition(document, stage)
	}
	return m.cloudInit(document)
}

func (m *Machine) cloudInit(document *metadata.Metadata) *cloudinit.Executor {
	return &cloudinit.Executor{
		Root: m.options.Root,
		Instance: cloudinit.Instance{
			ID: document.ID, Hostname: document.Hostname, Metro: document.Metro, Facility: document.Facility, SSHKeys: document.SSHKeys,
		},
		Run:         m.run,
		Install:     m.install,
		SetHostname: setHostname,
		Output:      m.console.Writer(),
		Printf:      m.console.Printf,
	}
}

func (m *Machine) ignition(document *metadata.Metadata, stage func(message string)) *ignition.Executor {
	return &ignition.Executor{
		Root: m.options.Root, Image: kubernetes.Image{Directory: ImageDirectory}, Programs: ProgramDirectory,
		SSHKeys:     document.SSHKeys,
		HTTP:        &http.Client{Timeout: ignitionTimeout, Transport: &http.Transport{DisableKeepAlives: true}},
		SetHostname: setHostname,
		StartUnits:  m.bootUnits,
		// The messages are those that Ignition sends to Packet.
		Stage: func(name string, err error) {
			if err == nil {
				stage("[" + name + "] Ignition status: finished successfully")
			}
		},
		Printf: m.console.Printf,
	}
}

// run runs a command of user data or of a unit.
func (m *Machine) run(ctx context.Context, cmd *exec.Cmd, output io.Writer) error {
	return m.reaper.RunCommand(ctx, cmd, output, userDataGrace)
}

// install is apt's install, for user data that lists packages.
func (m *Machine) install(_ context.Context, names []string, output io.Writer) error {
	manager := packages.Manager{
		Root: m.options.Root, Image: kubernetes.Image{Directory: ImageDirectory}, Programs: ProgramDirectory, Stdout: output, Stderr: output,
	}
	if code := manager.Run("apt-get", append([]string{"install", "-y"}, names...)); code != 0 {
		return &process.ExitError{Code: code}
	}
	return nil
}

func setHostname(name string) error { return unix.Sethostname([]byte(name)) }
