package controlplane

import (
	_ "embed"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
)

const (
	dataVolumeService = "lvm-setup.service"
	dataVolumeScript  = v1beta1constants.OperatingSystemConfigFilePathBinaries + "/lvm.sh"

	// containerdVolume is the name of the data volume that images and containers are kept on.
	containerdVolume = "containerd"
	containerdFolder = "/var/lib/containerd"
	kubeletFolder    = "/var/lib/kubelet"
	// kubeletLabel is the label of the file system that gardener-node-agent looks for, before it would format a drive, and that
	// its mount unit for /var/lib/kubelet names.
	kubeletLabel = "KUBEDEV"
)

//go:embed lvm.sh
var dataVolumeText string

// volumeNames are those that are the same in a path, in a unit file and as the name of a logical volume. Gardener allows the same.
var volumeNames = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)

// addDataVolumes adds what makes the data volumes of a worker pool, out of the drives of a server that nothing is on. A pool
// without data volumes has nothing added, whatever other pools have.
//
// A server has no volumes of chosen sizes to attach, it has drives: they become one volume group, and each data volume is a logical
// volume of it. It has to happen before the container runtime and gardener-node-agent start, so it belongs to the user data.
func (m *mutator) addDataVolumes(spec *extensionsv1alpha1.OperatingSystemConfigSpec, pool *gardencorev1beta1.Worker) error {
	if pool == nil || len(pool.DataVolumes) == 0 {
		return nil
	}
	volumes := make([]string, 0, len(pool.DataVolumes))
	for _, volume := range pool.DataVolumes {
		argument, err := volumeArgument(volume, ptr.Deref(pool.KubeletDataVolumeName, ""))
		if err != nil {
			return fmt.Errorf("data volumes of the worker pool %s: %w", pool.Name, err)
		}
		volumes = append(volumes, argument)
	}
	script, err := m.script(dataVolumeScript, dataVolumeText)
	if err != nil {
		return err
	}
	unit := extensionsv1alpha1.Unit{
		Name:    dataVolumeService,
		Enable:  ptr.To(true),
		Command: ptr.To(extensionsv1alpha1.CommandStart),
		// It runs at each boot, not at the first one alone: it mounts what is there, and makes what is missing.
		Content: ptr.To(`[Unit]
Description=Makes and mounts the data volumes of the machine
After=local-fs.target systemd-udev-settle.service
Wants=systemd-udev-settle.service
Before=containerd.service gardener-node-init.service gardener-node-agent.service kubelet.service
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=` + dataVolumeScript + ` ` + strings.Join(volumes, " ") + `
StandardOutput=journal+console
StandardError=journal+console
[Install]
WantedBy=multi-user.target`),
		FilePaths: []string{dataVolumeScript},
	}
	spec.Files = slices.DeleteFunc(spec.Files, func(file extensionsv1alpha1.File) bool { return file.Path == dataVolumeScript })
	spec.Units = slices.DeleteFunc(spec.Units, func(other extensionsv1alpha1.Unit) bool { return other.Name == dataVolumeService })
	spec.Files = append(spec.Files, script)
	// Operating systems whose user data is a script start the units in this order.
	spec.Units = slices.Insert(spec.Units, 0, unit)
	return nil
}

// volumeArgument is how the script is told of a volume: name:bytes:folder, and :label for the kubelet's.
func volumeArgument(volume gardencorev1beta1.DataVolume, kubeletVolume string) (string, error) {
	if !volumeNames.MatchString(volume.Name) {
		return "", fmt.Errorf("name %q must consist of small letters, digits and dashes", volume.Name)
	}
	size, err := resource.ParseQuantity(volume.VolumeSize)
	if err != nil {
		return "", fmt.Errorf("size %q of %s: %w", volume.VolumeSize, volume.Name, err)
	}
	if size.Sign() <= 0 {
		return "", fmt.Errorf("size %q of %s must be more than nothing", volume.VolumeSize, volume.Name)
	}
	if ptr.Deref(volume.Encrypted, false) {
		return "", fmt.Errorf("%s cannot be encrypted: a server has no keys for its drives", volume.Name)
	}
	folder, label := "/mnt/"+volume.Name, ""
	switch volume.Name {
	case kubeletVolume:
		folder, label = kubeletFolder, ":"+kubeletLabel
	case containerdVolume:
		folder = containerdFolder
	}
	return fmt.Sprintf("%s:%d:%s%s", volume.Name, size.Value(), folder, label), nil
}
