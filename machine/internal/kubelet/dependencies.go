package kubelet

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.opentelemetry.io/otel/trace/noop"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/util/feature"
	nodeutil "k8s.io/component-helpers/node/util"
	"k8s.io/kubernetes/cmd/kubelet/app"
	"k8s.io/kubernetes/cmd/kubelet/app/options"
	upstream "k8s.io/kubernetes/pkg/kubelet"
	"k8s.io/kubernetes/pkg/kubelet/container"
	"k8s.io/kubernetes/pkg/kubelet/util"
	"k8s.io/kubernetes/pkg/util/oom"
	"k8s.io/mount-utils"

	"github.com/packetyard/packetyard/machine/internal/hollow"
)

// newDependencies returns what the kubelet is given instead of building it
// itself. What is nil stays the kubelet's business: API clients with their TLS
// bootstrap, authentication, events and the connection to the container runtime.
func newDependencies(ctx context.Context, settings *options.KubeletServer) (*upstream.Dependencies, error) {
	hostname, err := nodeutil.GetHostname(settings.HostnameOverride)
	if err != nil {
		return nil, fmt.Errorf("finding the node's name: %w", err)
	}
	if err := ensureServingCert(&settings.KubeletConfiguration, settings.CertDirectory, hostname, time.Now()); err != nil {
		return nil, err
	}
	tls, err := app.InitializeTLS(ctx, &settings.KubeletFlags, &settings.KubeletConfiguration)
	if err != nil {
		return nil, fmt.Errorf("setting up the kubelet's serving certificate: %w", err)
	}
	plugins, err := app.ProbeVolumePlugins(ctx, feature.DefaultFeatureGate)
	if err != nil {
		return nil, fmt.Errorf("listing volume plugins: %w", err)
	}
	machine, err := newAdvisor()
	if err != nil {
		return nil, err
	}
	if err := ensureKernelLog(kernelLog); err != nil {
		return nil, err
	}

	d := &upstream.Dependencies{
		CAdvisorInterface:         machine,
		ContainerManager:          newContainerManager(),
		OOMAdjuster:               oom.NewFakeOOMAdjuster(),
		OSInterface:               container.RealOS{},
		Mounter:                   mount.NewFakeMounter(nil),
		HostUtil:                  newHostUtil(),
		Subpather:                 newSubpather(),
		VolumePlugins:             plugins,
		TLSOptions:                tls,
		TracerProvider:            noop.NewTracerProvider(),
		PodStartupLatencyTracker:  util.NewPodStartupLatencyTracker(),
		NodeStartupLatencyTracker: util.NewNodeStartupLatencyTracker(),
	}
	images := hollow.Images{Dir: hollow.ImagesDir}
	addPodSources(ctx, d, settings, types.NodeName(hostname), images.Known)
	return d, nil
}

func newAdvisor() (*advisor, error) {
	h, err := readHardware(os.Getenv, hardwareFile)
	if err != nil {
		return nil, err
	}
	boot, err := readBootID(bootIDFile)
	if err != nil {
		return nil, err
	}
	id := readFirstLine("/etc/machine-id")
	return &advisor{
		hardware:   h,
		now:        time.Now,
		proc:       "/proc",
		machineID:  id,
		systemUUID: id,
		bootID:     boot,
		osName:     readOSName("/etc/os-release"),
	}, nil
}
