package service

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/packetyard/packetyard/internal/machineos/kubelet"
)

// Exit codes of systemctl, which are those of init scripts.
const (
	exitOK           = 0
	exitFailure      = 1
	exitNotActive    = 3
	exitNoSuchUnit   = 4
	exitNotInstalled = 5
)

// The units there are. The container runtime is part of init and always runs.
const (
	kubeletUnit    = "kubelet.service"
	containerdUnit = "containerd.service"
)

// Systemctl is the command systemctl.
type Systemctl struct {
	// Socket is the first process's.
	Socket         string
	Stdout, Stderr io.Writer
	Now            func() time.Time
}

// options that matter; all others of systemctl are accepted and change nothing.
type options struct {
	now, quiet bool
}

// Run carries the command out and returns its exit code.
func (s Systemctl) Run(ctx context.Context, arguments []string) int {
	var given options
	var words []string
	for _, argument := range arguments {
		switch {
		case argument == "--now":
			given.now = true
		case argument == "-q" || argument == "--quiet":
			given.quiet = true
		case argument == "--version":
			s.print("systemd 255 (packetyard)\n")
			return exitOK
		case !strings.HasPrefix(argument, "-"):
			words = append(words, argument)
		}
	}
	if len(words) == 0 {
		words = []string{"status"}
	}
	verb, names := words[0], words[1:]
	units := make([]string, len(names))
	for i, name := range names {
		if units[i] = name; !strings.Contains(name, ".") {
			units[i] = name + ".service"
		}
	}
	client := newClient(s.Socket)
	switch verb {
	case "daemon-reload", "daemon-reexec", "reset-failed":
		return exitOK
	case "is-system-running":
		s.print("running\n")
		return exitOK
	case "poweroff", "halt", "reboot":
		path := map[string]string{"poweroff": "/power-off", "halt": "/power-off", "reboot": "/reboot"}[verb]
		return s.report(client.post(ctx, path), "Failed to %s the machine", verb)
	}
	run, known := verbs[verb]
	if !known {
		s.complain("Unknown command verb %s.\n", verb)
		return exitFailure
	}
	if len(units) == 0 {
		if verb == "status" {
			units = []string{kubeletUnit, containerdUnit}
		} else {
			s.complain("Too few arguments.\n")
			return exitFailure
		}
	}
	return run(s, ctx, client, verb, units, given)
}

type verbFunc func(s Systemctl, ctx context.Context, client client, verb string, units []string, given options) int

var verbs = map[string]verbFunc{
	"start": Systemctl.operate, "stop": Systemctl.operate, "restart": Systemctl.operate,
	"reload-or-restart": Systemctl.operate, "try-restart": Systemctl.operate, "condrestart": Systemctl.operate,
	"enable": Systemctl.install, "disable": Systemctl.install, "reenable": Systemctl.install,
	"mask": Systemctl.install, "unmask": Systemctl.install,
	"is-active": Systemctl.isActive, "is-failed": Systemctl.isFailed, "is-enabled": Systemctl.isEnabled,
	"status": Systemctl.status, "show": Systemctl.show,
}

// isOwn tells of the machine's own units; people's are asked for.
func isOwn(unit string) bool { return unit == kubeletUnit || unit == containerdUnit }

func (s Systemctl) exists(ctx context.Context, client client, unit string) bool {
	if isOwn(unit) {
		return true
	}
	_, err := client.unit(ctx, unit)
	return err == nil
}

// unitPath is where the machine's first process takes actions on a unit.
func unitPath(unit string) string {
	if unit == kubeletUnit {
		return "/kubelet/"
	}
	return "/units/" + url.PathEscape(unit) + "/"
}

// operate starts and stops.
func (s Systemctl) operate(ctx context.Context, client client, verb string, units []string, _ options) int {
	code := exitOK
	for _, unit := range units {
		if !s.exists(ctx, client, unit) {
			state := "not found"
			if verb == "stop" {
				state = "not loaded"
			}
			s.complain("Failed to %s %s: Unit %s %s.\n", verb, unit, unit, state)
			code = exitNotInstalled
			continue
		}
		if unit == containerdUnit {
			if verb == "stop" {
				s.complain("Failed to stop %s: the container runtime is part of the machine's init.\n", unit)
				code = exitFailure
			}
			continue
		}
		action := verb
		switch verb {
		case "reload-or-restart":
			action = "restart"
		case "try-restart", "condrestart":
			if s.active(ctx, client, unit).Active == kubelet.Inactive {
				continue
			}
			action = "restart"
		}
		if result := s.report(client.post(ctx, unitPath(unit)+action), "Failed to %s %s", verb, unit); result != exitOK {
			code = result
		}
	}
	return code
}

// install enables and disables.
func (s Systemctl) install(ctx context.Context, client client, verb string, units []string, given options) int {
	on := verb == "enable" || verb == "reenable" || verb == "unmask"
	for _, unit := range units {
		masking := verb == "mask" || verb == "unmask"
		if !masking && !s.exists(ctx, client, unit) {
			s.complain("Failed to %s unit: Unit file %s does not exist.\n", verb, unit)
			return exitFailure
		}
		if unit == containerdUnit {
			continue
		}
		action, then := "enable", "start"
		if !on {
			action, then = "disable", "stop"
		}
		if masking && !isOwn(unit) {
			action = verb
		}
		if code := s.report(client.post(ctx, unitPath(unit)+action), "Failed to %s %s", verb, unit); code != exitOK {
			return code
		}
		if given.now {
			if code := s.report(client.post(ctx, unitPath(unit)+then), "Failed to %s %s", then, unit); code != exitOK {
				return code
			}
		}
	}
	return exitOK
}

// active is a unit's state; a unit that does not exist is inactive.
func (s Systemctl) active(ctx context.Context, client client, unit string) kubelet.Status {
	switch unit {
	case containerdUnit:
		return kubelet.Status{Active: kubelet.Running, Enabled: true, PID: 1}
	case kubeletUnit:
		if status, err := client.status(ctx); err == nil {
			return status.Kubelet
		}
	default:
		if status, err := client.unit(ctx, unit); err == nil {
			return kubelet.Status{
				Active: kubelet.Active(status.Active), Enabled: status.Enabled, Since: status.Since, Restarts: status.Restarts, LastExit: status.Failure,
			}
		}
	}
	return kubelet.Status{Active: kubelet.Inactive}
}

// isActive succeeds where any of the units is active.
func (s Systemctl) isActive(ctx context.Context, client client, _ string, units []string, given options) int {
	code := exitNoSuchUnit
	for _, unit := range units {
		state := s.active(ctx, client, unit).Active
		if !given.quiet {
			s.print("%s\n", state)
		}
		if state == kubelet.Running {
			code = exitOK
		} else if code == exitNoSuchUnit && s.exists(ctx, client, unit) {
			code = exitNotActive
		}
	}
	return code
}

// isFailed finds none of the machine's own: the kubelet is always started again.
func (s Systemctl) isFailed(ctx context.Context, client client, _ string, units []string, given options) int {
	code := exitFailure
	for _, unit := range units {
		state := s.active(ctx, client, unit).Active
		if state == kubelet.Failed {
			code = exitOK
		}
		if !given.quiet {
			s.print("%s\n", state)
		}
	}
	return code
}

func (s Systemctl) isEnabled(ctx context.Context, client client, _ string, units []string, given options) int {
	code := exitFailure
	for _, unit := range units {
		state := "not-found"
		switch {
		case !s.exists(ctx, client, unit):
			if code == exitFailure {
				code = exitNoSuchUnit
			}
		case s.active(ctx, client, unit).Enabled:
			state, code = "enabled", exitOK
		default:
			state = "disabled"
		}
		if !given.quiet {
			s.print("%s\n", state)
		}
	}
	return code
}

func (s Systemctl) status(ctx context.Context, client client, _ string, units []string, _ options) int {
	code := exitOK
	for _, unit := range units {
		if !s.exists(ctx, client, unit) {
			s.print("Unit %s could not be found.\n", unit)
			code = exitNoSuchUnit
			continue
		}
		status := s.active(ctx, client, unit)
		enabled := "disabled"
		if status.Enabled {
			enabled = "enabled"
		}
		s.print("● %s\n     Loaded: loaded (/usr/lib/systemd/system/%s; %s; preset: enabled)\n", unit, unit, enabled)
		detail := map[kubelet.Active]string{kubelet.Running: "running", kubelet.Inactive: "dead", kubelet.Activating: "auto-restart", kubelet.Failed: "failed"}[status.Active]
		s.print("     Active: %s (%s)", status.Active, detail)
		if !status.Since.IsZero() {
			s.print(" since %s; %s ago", status.Since.UTC().Format("Mon 2006-01-02 15:04:05 MST"), s.Now().Sub(status.Since).Round(time.Second))
		}
		s.print("\n")
		if status.PID > 0 {
			s.print("   Main PID: %d\n", status.PID)
		}
		if status.LastExit != "" {
			s.print("  Last exit: %s (restarted %d times)\n", status.LastExit, status.Restarts)
		}
		if status.Active != kubelet.Running && code == exitOK {
			code = exitNotActive
		}
	}
	return code
}

// show prints what scripts ask for most.
func (s Systemctl) show(ctx context.Context, client client, _ string, units []string, _ options) int {
	for _, unit := range units {
		load := "loaded"
		if !s.exists(ctx, client, unit) {
			load = "not-found"
		}
		s.print("Id=%s\nLoadState=%s\nActiveState=%s\n", unit, load, s.active(ctx, client, unit).Active)
	}
	return exitOK
}

func (s Systemctl) report(err error, format string, args ...any) int {
	if err == nil {
		return exitOK
	}
	s.complain(format+": %v\n", append(slices.Clone(args), err)...)
	return exitFailure
}

func (s Systemctl) print(format string, args ...any) { _, _ = fmt.Fprintf(s.Stdout, format, args...) }
func (s Systemctl) complain(format string, args ...any) {
	_, _ = fmt.Fprintf(s.Stderr, format, args...)
}
