package mcm

import (
	"context"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/gardener/machine-controller-manager/pkg/util/provider/driver"
)

// volumeDrivers are the CSI drivers of Packet's block storage, under both of their names.
func volumeDrivers() []string { return []string{"csi.packet.net", "net.packet.csi"} }

// GetVolumeIDs are the handles of volumes of Packet's block storage. For each of them MCM waits, when it drains a node, until
// it is attached to another one. It must not wait for volumes of other CSI drivers: it cannot be told of them whether they are
// attached anywhere at all, and a pod with a local one would hold up the drain until the time is over.
func (d *Driver) GetVolumeIDs(_ context.Context, request *driver.GetVolumeIDsRequest) (*driver.GetVolumeIDsResponse, error) {
	response := &driver.GetVolumeIDsResponse{VolumeIDs: []string{}}
	for _, volume := range request.PVSpecs {
		if source := csiOf(volume); source != nil && slices.Contains(volumeDrivers(), source.Driver) && source.VolumeHandle != "" {
			response.VolumeIDs = append(response.VolumeIDs, source.VolumeHandle)
		}
	}
	return response, nil
}

func csiOf(volume *corev1.PersistentVolumeSpec) *corev1.CSIPersistentVolumeSource {
	if volume == nil {
		return nil
	}
	return volume.CSI
}
