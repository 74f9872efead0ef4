//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/go-logr/logr"
	"k8s.io/component-base/version"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	ctrllog "sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	metricsserver "sigs.k8s.io/controller-runtime/pkg/metrics/server"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	extensionsoperatingsystem "github.com/gardener/gardener/extensions/pkg/controller/operatingsystemconfig"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"github.com/gardener/gardener/pkg/client/kubernetes"
	gardenletfeatures "github.com/gardener/gardener/pkg/gardenlet/features"
	localoperatingsystem "github.com/gardener/gardener/pkg/provider-local/controller/operatingsystemconfig"
)

// machineSetUp makes an operating system that Gardener supports out of a simulated machine, whose container runtime is part of its
// init, and whose kernel settings and SSH server are the host's: there is a client of containerd to ask for images, containerd's
// configuration is there to be changed, services that Gardener restarts do nothing, and the version of the machine image is found
// where Gardener looks for it.
const machineSetUp = `cat > /usr/local/bin/ctr <<'CTR'
#!/bin/sh
# The images of a machine are the programs of its machine image, by the last part of their name.
case "$1 $2" in
"version ") printf 'Client:\n  Version: v2.2.0\n' ;;
"images pull" | "images unmount") ;;
"images mount")
	name=${3##*/} name=${name%%%%[:@]*}
	cp "/opt/packetyard/images/$name" "$4/gardener-$name"
	;;
*)
	echo "ctr: $*: not in a simulated machine" >&2
	exit 1
	;;
esac
CTR
chmod +x /usr/local/bin/ctr
mkdir -p /etc/containerd
echo 'version = 3' > /etc/containerd/config.toml
touch /etc/environment
sed -i 's/^PRETTY_NAME=.*/PRETTY_NAME="%s %s"/' /etc/os-release
for service in systemd-sysctl sshd; do
	printf '[Service]\nType=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n[Install]\nWantedBy=multi-user.target\n' > "/etc/systemd/system/$service.service"
done
`

// operatingSystem is the extension for the operating system of the machines: Gardener's own for local development, which writes the
// user data as a shell script. Packet's machines have no operating system of our own, so we have no such extension.
type operatingSystem struct {
	extensionsoperatingsystem.Actuator
	reader client.Reader
}

// Reconcile implements Actuator.
func (o operatingSystem) Reconcile(ctx context.Context, log logr.Logger, config *extensionsv1alpha1.OperatingSystemConfig) ([]byte, []extensionsv1alpha1.Unit, []extensionsv1alpha1.File, *extensionsv1alpha1.InPlaceUpdatesStatus, error) {
	// The units that it adds are for machines that are pods of kind.
	userData, _, files, update, err := o.Actuator.Reconcile(ctx, log, config)
	if update != nil && update.OSUpdate != nil {
		// The new version of an operating system begins with a reboot.
		arguments := append([]string{"-c", `"$0" "$@" && systemctl reboot`, update.OSUpdate.Command}, update.OSUpdate.Args...)
		update.OSUpdate = &extensionsv1alpha1.OSUpdate{Command: "/bin/sh", Args: arguments}
	}
	if err != nil || config.Spec.Purpose != extensionsv1alpha1.OperatingSystemConfigPurposeProvision {
		return userData, nil, files, update, err
	}
	shebang, script, found := strings.Cut(string(userData), "\n")
	if !found {
		return nil, nil, nil, nil, fmt.Errorf("the user data has one line")
	}
	version, err := o.imageVersion(ctx, config)
	if err != nil {
		return nil, nil, nil, nil, err
	}
	return []byte(shebang + "\n" + fmt.Sprintf(machineSetUp, config.Spec.Type, version) + script), nil, files, update, nil
}

// imageVersion is the version of the machine image of the worker pool that a configuration is for. A real image knows its own.
func (o operatingSystem) imageVersion(ctx context.Context, config *extensionsv1alpha1.OperatingSystemConfig) (string, error) {
	cluster, err := extensionscontroller.GetCluster(ctx, o.reader, config.Namespace)
	if err != nil {
		return "", fmt.Errorf("reading the Cluster of %s: %w", config.Name, err)
	}
	pool := config.Labels[v1beta1constants.LabelWorkerPool]
	for _, worker := range cluster.Shoot.Spec.Provider.Workers {
		if worker.Name == pool {
			return *worker.Machine.Image.Version, nil
		}
	}
	return "", fmt.Errorf("the Shoot has no worker pool %q, which %s is for", pool, config.Name)
}

// asGardenlet has this process be the gardenlet that Gardener's component for OperatingSystemConfigs looks for.
var asGardenlet = sync.OnceValue(func() error {
	ctrllog.SetLogger(logr.Discard())
	gardenletfeatures.RegisterFeatureGates()
	// Of the same release is the node agent, which finds its configuration by it. A build without one has a name that a shell changes.
	return version.SetDynamicVersion("v0.0.0-e2e")
})

// startOperatingSystem runs the operating system's extension, of one type, on a seed until the test ends.
func (s *seed) startOperatingSystem(t *testing.T, kind string) {
	t.Helper()
	if err := asGardenlet(); err != nil {
		t.Fatal(err)
	}
	mgr, err := manager.New(restConfig(t, s.kubeconfig), manager.Options{
		Scheme: kubernetes.SeedScheme, Logger: logr.Discard(), Metrics: metricsserver.Options{BindAddress: "0"},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	err = extensionsoperatingsystem.Add(mgr, extensionsoperatingsystem.AddArgs{
		Actuator: operatingSystem{localoperatingsystem.NewActuator(mgr), mgr.GetClient()},
		// There may be several seeds in this process.
		ControllerOptions: controller.Options{SkipNameValidation: ptr.To(true)},
		Predicates:        extensionsoperatingsystem.DefaultPredicates(ctx, mgr, false),
		Types:             []string{kind},
		ExtensionClasses:  []extensionsv1alpha1.ExtensionClass{extensionsv1alpha1.ExtensionClassShoot},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- mgr.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the operating system's extension ended with %v", err)
		}
	})
}
