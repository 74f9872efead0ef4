package mcm_test

import (
	"testing"

	"github.com/gardener/machine-controller-manager/pkg/util/provider/driver"
	"github.com/gardener/machine-controller-manager/pkg/util/provider/machinecodes/codes"
	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
)

func TestDeleteOfNothingIsSuccess(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	class := r.class(nil)
	if err := r.delete(class, machine("node-0")); err != nil {
		t.Errorf("without a provider ID: %v", err)
	}
	if err := r.delete(class, of("node-0", "packet://"+uuid.NewString())); err != nil {
		t.Errorf("with one: %v", err)
	}
	r.wants(r.delete(class, of("node-0", "packet://node-0")), codes.InvalidArgument, "packet://node-0")
}

func TestLockedDeviceIsAClearError(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	class := r.class(nil)
	providerID := r.mustCreate(class, "node-0").ProviderID
	device := r.device()
	locked := true
	if _, err := r.client.UpdateDevice(t.Context(), device.ID, packet.DeviceUpdate{Locked: &locked}); err != nil {
		t.Fatal(err)
	}
	r.wants(r.delete(class, of("node-0", providerID)), codes.FailedPrecondition, device.ID, "locked", "unlocks")
	locked = false
	if _, err := r.client.UpdateDevice(t.Context(), device.ID, packet.DeviceUpdate{Locked: &locked}); err != nil {
		t.Fatal(err)
	}
	r.deleteLikeMCM(class, of("node-0", providerID))
}

// The node must not go before the machine, nor a reservation be counted on that is still in use.
func TestDeletionEndsWhenTheDeviceIsGone(t *testing.T) {
	machinery := &hardware{hold: make(chan struct{})}
	r := newRig(t, apiservertest.Options{Driver: machinery})
	class := r.class(nil)
	providerID := r.mustCreate(class, "node-0").ProviderID
	// It is still being installed, which the API takes for a reason not to delete it unless it is told to.
	r.wants(r.delete(class, of("node-0", providerID)), codes.Aborted, "deprovisioned")
	r.until(packet.StateDeprovisioning)
	r.wants(r.delete(class, of("node-0", providerID)), codes.Aborted)
	// It is nobody's orphan, and no new machine's device.
	if listed := r.list(class); len(listed) != 0 {
		t.Errorf("listed are %v", listed)
	}
	_, err := r.status(class, machine("node-0"))
	r.wants(err, codes.NotFound)
	close(machinery.hold)
	r.deleteLikeMCM(class, of("node-0", providerID))
	if left := r.devices(); len(left) != 0 {
		t.Errorf("%d devices are left", len(left))
	}
}

func TestGetVolumeIDs(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	response, err := r.driver.GetVolumeIDs(t.Context(), &driver.GetVolumeIDsRequest{PVSpecs: []*corev1.PersistentVolumeSpec{
		{PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "csi.packet.net", VolumeHandle: "volume-1"}}},
		{PersistentVolumeSource: corev1.PersistentVolumeSource{CSI: &corev1.CSIPersistentVolumeSource{Driver: "local.csi.openebs.io", VolumeHandle: "pvc-1"}}},
		{PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/mnt"}}},
		nil,
	}})
	if err != nil || len(response.VolumeIDs) != 1 || response.VolumeIDs[0] != "volume-1" {
		t.Errorf("the volumes are %v, %v", response, err)
	}
}
