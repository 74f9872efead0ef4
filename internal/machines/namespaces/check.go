package namespaces

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
)

// CheckConfig is what CheckHost looks at. All but Dir may be left out.
type CheckConfig struct {
	// Dir is where the machines' files will be; it need not exist.
	Dir string
	// Executable is a program with the subcommands of Commands; empty means the running one.
	Executable string

	// System, UID and Root stand for the running system, the caller and the
	// root directory below which /proc is read.
	System string
	UID    *int
	Root   string
	// Probe tries what machines need for real, in namespaces that it throws away.
	Probe func(context.Context, ProbeRequest) ([]ProbeFailure, error)
}

// Problem is one reason why this host cannot run machines.
type Problem struct {
	// Missing says what the host does not have or allow, Remedy what to do about it.
	Missing string
	Remedy  string
}

// String is the problem in one line.
func (p Problem) String() string { return p.Missing + ": " + p.Remedy }

// HostError is returned where the host cannot run machines.
type HostError struct{ Problems []Problem }

// Error implements error, with one line for each problem.
func (e HostError) Error() string {
	lines := []string{"this host cannot run machines made of namespaces:"}
	for _, problem := range e.Problems {
		lines = append(lines, "- "+problem.String())
	}
	return strings.Join(lines, "\n")
}

// CheckHost finds out whether this host can run machines, and returns every
// reason why not. It leaves nothing behind. How much memory and disk space
// machines take is for the caller to know and to look at.
func CheckHost(ctx context.Context, config CheckConfig) []Problem {
	_, problems := examine(ctx, config.complete())
	return problems
}

func (c CheckConfig) complete() CheckConfig {
	// The probe works from another directory.
	if absolute, err := filepath.Abs(c.Dir); err == nil {
		c.Dir = absolute
	}
	if c.System == "" {
		c.System = runtime.GOOS
	}
	if c.UID == nil {
		uid := os.Getuid()
		c.UID = &uid
	}
	if c.Root == "" {
		c.Root = "/"
	}
	if c.Probe == nil {
		c.Probe = probeHost
	}
	return c
}

// examine tells what CheckHost does, and whether machines can have user
// namespaces: root may do without them where they are forbidden.
func examine(ctx context.Context, config CheckConfig) (userNamespace bool, problems []Problem) {
	if config.System != "linux" {
		return false, []Problem{{"machines are made of Linux namespaces, and this system is " + config.System, "use a Linux host or virtual machine"}}
	}
	request := ProbeRequest{Executable: config.Executable, Dir: config.Dir, UserNamespace: true}
	failures, err := config.Probe(ctx, request)
	userNamespace = true
	if err == nil && len(failures) > 0 && *config.UID == 0 {
		request.UserNamespace = false
		if without, withoutErr := config.Probe(ctx, request); withoutErr == nil && len(without) < len(failures) {
			userNamespace, failures = false, without
		}
	}
	if err != nil {
		return userNamespace, append(problems, Problem{"the host could not be tried out", err.Error()})
	}
	for _, failure := range failures {
		// One cause may show in several ways.
		if problem := explain(config, failure); !slices.Contains(problems, problem) {
			problems = append(problems, problem)
		}
	}
	return userNamespace, problems
}

const orRoot = ", or run this as root"

// explain finds the cause of a failure and what can be done about it.
func explain(config CheckConfig, failure ProbeFailure) Problem {
	denied := failure.Errno == syscall.EPERM || failure.Errno == syscall.EACCES
	if denied && *config.UID != 0 && readSetting(config.Root, "kernel/apparmor_restrict_unprivileged_userns") == "1" {
		return Problem{"AppArmor keeps unprivileged users from using user namespaces",
			"sudo sysctl -w kernel.apparmor_restrict_unprivileged_userns=0" + orRoot}
	}
	switch failure.Step {
	case StepUserNamespace:
		return explainUserNamespace(config, failure)
	case StepNamespaces:
		if failure.Errno == syscall.ENOSPC {
			return Problem{"no more namespaces are allowed (" + failure.Text + ")",
				"sudo sysctl -w user.max_net_namespaces=1024 user.max_mnt_namespaces=1024 user.max_pid_namespaces=1024 user.max_uts_namespaces=1024 user.max_ipc_namespaces=1024 user.max_cgroup_namespaces=1024"}
		}
		return Problem{"network, mount, PID, UTS, IPC and cgroup namespaces cannot be made (" + failure.Text + ")",
			"use a kernel that has them, and allow them where this is a container"}
	case StepBridge:
		return Problem{"a network bridge cannot be made (" + failure.Text + ")", "sudo modprobe bridge"}
	case StepVeth:
		return Problem{"a virtual network link cannot be made (" + failure.Text + ")", "sudo modprobe veth"}
	case StepForwarding:
		return Problem{"forwarding cannot be switched on in a network namespace (" + failure.Text + ")",
			"where this is a container, give it a writable /proc/sys (for example --privileged or --security-opt systempaths=unconfined)"}
	case StepOverlay:
		return explainOverlay(config, failure)
	case StepProc:
		return Problem{"a fresh /proc cannot be mounted (" + failure.Text + ")",
			"parts of /proc are covered, as in most containers: run this on the host, or with --security-opt systempaths=unconfined"}
	default:
		return Problem{"file systems cannot be mounted in a user namespace (" + failure.Text + ")",
			"allow it in the host's security module or the container's settings" + orRoot}
	}
}

func explainUserNamespace(config CheckConfig, failure ProbeFailure) Problem {
	const missing = "unprivileged user namespaces are forbidden"
	switch {
	case readSetting(config.Root, "user/max_user_namespaces") == "0":
		return Problem{missing + " by user.max_user_namespaces=0", "sudo sysctl -w user.max_user_namespaces=15000" + orRoot}
	case readSetting(config.Root, "kernel/unprivileged_userns_clone") == "0":
		return Problem{missing + " by kernel.unprivileged_userns_clone=0", "sudo sysctl -w kernel.unprivileged_userns_clone=1" + orRoot}
	case failure.Errno == syscall.ENOSPC || failure.Errno == syscall.EUSERS:
		return Problem{"no more user namespaces are allowed (" + failure.Text + ")", "sudo sysctl -w user.max_user_namespaces=15000" + orRoot}
	case failure.Errno == syscall.EINVAL || failure.Errno == syscall.ENOSYS:
		return Problem{"this kernel has no user namespaces (" + failure.Text + ")", "use a kernel with CONFIG_USER_NS" + orRoot}
	case filtered(config.Root):
		return Problem{missing + " by a seccomp filter, as in most containers (" + failure.Text + ")",
			"run this on the host, or with --security-opt seccomp=unconfined"}
	default:
		return Problem{missing + " (" + failure.Text + ")", "allow them in the host's security settings" + orRoot}
	}
}

func explainOverlay(config CheckConfig, failure ProbeFailure) Problem {
	if failure.Errno == syscall.ENODEV {
		return Problem{"this kernel has no overlay file system", "sudo modprobe overlay"}
	}
	return Problem{fmt.Sprintf("an overlay file system cannot be made in %s (%s)", config.Dir, failure.Text),
		"use a directory on ext4, xfs, btrfs or tmpfs, and Linux 5.12 or newer"}
}

// readSetting reads a kernel setting; one that does not exist is empty.
func readSetting(root, name string) string {
	content, err := os.ReadFile(filepath.Join(root, "proc/sys", name))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(content))
}

// filtered tells whether a seccomp filter sits on this process.
func filtered(root string) bool {
	const filterMode = "2"
	return statusField(filepath.Join(root, "proc/self/status"), "Seccomp:") == filterMode
}

// statusField is the value of a line "Name: value" of a file; empty where there is none.
func statusField(path, name string) string {
	content, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(content)) {
		if value, found := strings.CutPrefix(line, name); found {
			return strings.TrimSpace(value)
		}
	}
	return ""
}
