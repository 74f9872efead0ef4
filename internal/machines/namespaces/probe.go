package namespaces

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/packetyard/packetyard/internal/machines/namespaces/rack"
)

// ProbeRequest is what to try.
type ProbeRequest struct {
	// Executable is a program with the subcommands of Commands; empty means the running one.
	Executable string
	Dir        string
	// UserNamespace tries in a user namespace, as anyone but root has to.
	UserNamespace bool
}

// ProbeFailure is one thing that did not work.
type ProbeFailure struct {
	Step Step `json:"step"`
	// Errno is the kernel's reason, 0 where it gave none.
	Errno syscall.Errno `json:"errno"`
	Text  string        `json:"text"`
}

// Step is one thing that machines need.
type Step string

// The steps of a probe. The first two end it when they fail.
const (
	StepUserNamespace Step = "user namespace"
	StepNamespaces    Step = "namespaces"
	StepMount         Step = "mount"
	StepBridge        Step = "bridge"
	StepVeth          Step = "veth"
	StepForwarding    Step = "forwarding"
	StepOverlay       Step = "overlay"
	StepProc          Step = "proc"
)

// probedNamespaces are those of a machine and a rack together.
const probedNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC | unix.CLONE_NEWCGROUP

// probeHost tries everything in a child process with new namespaces.
func probeHost(ctx context.Context, request ProbeRequest) (failures []ProbeFailure, err error) {
	if request.Executable == "" {
		if request.Executable, err = os.Executable(); err != nil {
			return nil, fmt.Errorf("finding the running program: %w", err)
		}
	}
	directory, remove, err := scratch(request.Dir)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, remove()) }()
	output, err := runProbe(ctx, request, probedNamespaces, directory)
	if err == nil {
		err = json.Unmarshal(output, &failures)
		if err != nil {
			return nil, fmt.Errorf("%s does not know the subcommand %s: %w", request.Executable, probeCommand, err)
		}
		return failures, nil
	}
	if !errors.As(err, new(syscall.Errno)) || errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	// The kernel does not say which of the namespaces it refused.
	step := StepNamespaces
	if request.UserNamespace {
		if _, alone := runProbe(ctx, request, 0, ""); alone != nil {
			step, err = StepUserNamespace, alone
		}
	}
	return []ProbeFailure{failureOf(step, err)}, nil
}

// runProbe runs the probe subcommand in namespaces; an error of the kernel's means that they cannot be made.
func runProbe(ctx context.Context, request ProbeRequest, namespaces uintptr, directory string) ([]byte, error) {
	command := exec.CommandContext(ctx, request.Executable, probeCommand, "--dir="+directory)
	command.Env = []string{}
	var output, complaint bytes.Buffer
	command.Stdout, command.Stderr = &output, &complaint
	attributes := rackAttributes(request.UserNamespace)
	attributes.Cloneflags = attributes.Cloneflags&unix.CLONE_NEWUSER | namespaces
	command.SysProcAttr = attributes
	if err := command.Start(); err != nil {
		return nil, err
	}
	if err := command.Wait(); err != nil {
		return nil, fmt.Errorf("running %s %s: %w: %s", request.Executable, probeCommand, err, strings.TrimSpace(complaint.String()))
	}
	return output.Bytes(), nil
}

func failureOf(step Step, err error) ProbeFailure {
	failure := ProbeFailure{Step: step, Text: err.Error()}
	errors.As(err, &failure.Errno)
	return failure
}

// scratch makes an empty directory within dir, which may have to be made too,
// and returns what removes everything that was made.
func scratch(dir string) (path string, remove func() error, err error) {
	var made []string
	for parent := dir; ; parent = filepath.Dir(parent) {
		if _, err := os.Stat(parent); err == nil || !errors.Is(err, os.ErrNotExist) {
			break
		}
		made = append(made, parent)
	}
	removeMade := func() error {
		for _, directory := range made {
			// Somebody else may have found use for it meanwhile.
			if err := os.Remove(directory); err != nil && !errors.Is(err, os.ErrNotExist) && !errors.Is(err, syscall.ENOTEMPTY) {
				return fmt.Errorf("removing a directory: %w", err)
			}
		}
		return nil
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", nil, errors.Join(fmt.Errorf("making a directory for machines: %w", err), removeMade())
	}
	path, err = os.MkdirTemp(dir, "probe-")
	if err != nil {
		return "", nil, errors.Join(fmt.Errorf("making a directory to try things in: %w", err), removeMade())
	}
	return path, func() error { return errors.Join(rack.RemoveTree(path), removeMade()) }, nil
}

// newProbeCommand tries the host out from within new namespaces.
func newProbeCommand() *cobra.Command {
	var directory string
	command := &cobra.Command{
		Use: probeCommand, Short: "Try whether this host can run machines", Hidden: true, Args: cobra.NoArgs, SilenceUsage: true,
		RunE: func(command *cobra.Command, _ []string) error {
			failures := []ProbeFailure{}
			if directory != "" {
				failures = tryAll(directory)
			}
			return json.NewEncoder(command.OutOrStdout()).Encode(failures)
		},
	}
	command.Flags().StringVar(&directory, "dir", "", "empty directory to try file systems in; none tries nothing")
	return command
}

// tryAll goes through all steps, each of which stands alone.
func tryAll(directory string) []ProbeFailure {
	failures := []ProbeFailure{}
	for _, try := range []struct {
		step Step
		run  func(string) error
	}{
		{StepMount, tryMount},
		{StepBridge, func(string) error { return tryLink(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "tor0"}}) }},
		{StepVeth, func(string) error {
			return tryLink(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: "veth0"}, PeerName: "bond0"})
		}},
		{StepForwarding, func(string) error { return os.WriteFile("/proc/sys/net/ipv4/ip_forward", []byte("1"), 0o644) }},
		{StepOverlay, tryOverlay},
		{StepProc, tryProc},
	} {
		if err := try.run(directory); err != nil {
			failures = append(failures, failureOf(try.step, err))
		}
	}
	return failures
}

func tryMount(directory string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("keeping mounts private: %w", err)
	}
	target, err := place(directory, "tmpfs")
	if err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", target, "tmpfs", unix.MS_NOSUID, ""); err != nil {
		return fmt.Errorf("mounting tmpfs: %w", err)
	}
	return nil
}

func tryLink(link netlink.Link) error {
	if err := netlink.LinkAdd(link); err != nil {
		return fmt.Errorf("making a link of type %s: %w", link.Type(), err)
	}
	return nil
}

// tryOverlay does what a machine does with the host's programs.
func tryOverlay(directory string) error {
	places := map[string]string{}
	for _, name := range []string{"upper", "upper/bin", "work", "merged"} {
		path, err := place(directory, name)
		if err != nil {
			return err
		}
		places[name] = path
	}
	if err := os.Chdir(directory); err != nil {
		return fmt.Errorf("entering the directory: %w", err)
	}
	if err := unix.Mount("overlay", places["merged"], "overlay", 0, "lowerdir=/usr,upperdir=upper,workdir=work,userxattr"); err != nil {
		return fmt.Errorf("mounting an overlay: %w", err)
	}
	program := filepath.Join(places["merged"], "bin", "packetyard-probe")
	if err := os.WriteFile(program, nil, 0o755); err != nil {
		return fmt.Errorf("writing into an overlay: %w", err)
	}
	if err := os.Remove(program); err != nil {
		return fmt.Errorf("removing from an overlay: %w", err)
	}
	return nil
}

func tryProc(directory string) error {
	target, err := place(directory, "proc")
	if err != nil {
		return err
	}
	if err := unix.Mount("proc", target, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mounting proc: %w", err)
	}
	return nil
}

func place(directory, name string) (string, error) {
	path := filepath.Join(directory, name)
	if err := os.Mkdir(path, 0o755); err != nil {
		return "", fmt.Errorf("making a directory: %w", err)
	}
	return path, nil
}
