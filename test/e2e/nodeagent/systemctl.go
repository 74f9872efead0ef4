//go:build e2e

package main

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"reflect"
	"strings"
	"time"

	"github.com/coreos/go-systemd/v22/dbus"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/tools/events"

	gardenerdbus "github.com/gardener/gardener/pkg/nodeagent/dbus"
)

// systemctl is systemd as the machine's own command line offers it.
type systemctl struct{}

var _ gardenerdbus.DBus = systemctl{}

// errNoDBus is what only the bus would tell, to controllers that do not run here.
var errNoDBus = errors.New("the machine has no D-Bus")

func call(ctx context.Context, arguments ...string) error {
	output, err := exec.CommandContext(ctx, "systemctl", arguments...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("systemctl %s: %w: %s", strings.Join(arguments, " "), err, strings.TrimSpace(string(output)))
	}
	return nil
}

// operate does something to a unit and, as Gardener's does, tells of it by an event of the Node.
func operate(ctx context.Context, recorder events.EventRecorder, node runtime.Object, verb, reason, unit string) error {
	err := call(ctx, verb, unit)
	// Where there is no Node yet, the reconciler has a nil of its type.
	if recorder == nil || node == nil || reflect.ValueOf(node).IsNil() {
		return err
	}
	kind, note := corev1.EventTypeNormal, "processed "+verb+" of unit "+unit
	if err != nil {
		kind, note = corev1.EventTypeWarning, err.Error()
	}
	recorder.Eventf(node, nil, kind, reason, verb, "%s", note)
	return err
}

func (systemctl) DaemonReload(ctx context.Context) error { return call(ctx, "daemon-reload") }

func (systemctl) Enable(ctx context.Context, units ...string) error {
	return call(ctx, append([]string{"enable"}, units...)...)
}

func (systemctl) Disable(ctx context.Context, units ...string) error {
	return call(ctx, append([]string{"disable"}, units...)...)
}

func (systemctl) Start(ctx context.Context, recorder events.EventRecorder, node runtime.Object, unit string) error {
	return operate(ctx, recorder, node, "start", "SystemDUnitStart", unit)
}

func (systemctl) Stop(ctx context.Context, recorder events.EventRecorder, node runtime.Object, unit string) error {
	return operate(ctx, recorder, node, "stop", "SystemDUnitStop", unit)
}

func (systemctl) Restart(ctx context.Context, recorder events.EventRecorder, node runtime.Object, unit string) error {
	return operate(ctx, recorder, node, "restart", "SystemDUnitRestart", unit)
}

func (systemctl) Reboot() error { return call(context.Background(), "reboot") }

func (systemctl) List(context.Context) ([]dbus.UnitStatus, error) { return nil, errNoDBus }

func (systemctl) ListByNames(context.Context, []string) ([]dbus.UnitStatus, error) {
	return nil, errNoDBus
}

func (systemctl) GetUnitStateChangeTimestamp(context.Context, string) (time.Time, error) {
	return time.Time{}, errNoDBus
}

func (systemctl) GetTriggeredBy(context.Context, string) ([]string, error) { return nil, errNoDBus }

func (systemctl) GetServiceType(context.Context, string) (string, error) { return "", errNoDBus }
