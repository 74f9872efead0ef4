package mcm_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/gardener/machine-controller-manager/pkg/util/provider/driver"
	"github.com/gardener/machine-controller-manager/pkg/util/provider/machinecodes/codes"
	"github.com/google/uuid"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// These are the mistakes of the driver before this one, each of which cost somebody servers.

// All failures to read a device were NotFound, upon which MCM made a second one.
func TestFailedReadIsNeverNotFound(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	class := r.class(nil)
	providerID := r.mustCreate(class, "node-0").ProviderID
	for name, test := range map[string]struct {
		fault fault
		code  codes.Code
	}{
		"401":            {fault{status: 401, body: `{"error":"Invalid authentication token"}`}, codes.Unauthenticated},
		"403":            {fault{status: 403, body: `{"errors":["You are not authorized"]}`}, codes.PermissionDenied},
		"404 of a proxy": {fault{status: 404, body: `<html>Not found [nginx]</html>`}, codes.Unavailable},
		"404 of project": {fault{status: 404, body: `{"errors":["Not found"]}`}, codes.FailedPrecondition},
		"429":            {fault{status: 429, body: `{"errors":["Too many requests"]}`}, codes.Unavailable},
		"500":            {fault{status: 500, body: `{"errors":["Oh snap [500"]}`}, codes.Unavailable},
		"503":            {fault{status: 503, body: ``}, codes.Unavailable},
		"504":            {fault{status: 504, body: `{"errors":["Time is up"]}`}, codes.DeadlineExceeded},
		"no answer":      {fault{drop: true}, codes.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			defer r.wire.mend()
			for _, m := range []string{"", providerID} {
				r.restart()
				r.wire.breaks(listDevices, -1, test.fault)
				_, err := r.status(class, of("node-0", m))
				r.wants(err, test.code)
				_, err = r.create(class, machine("node-0"))
				r.wants(err, test.code)
				_, err = r.driver.ListMachines(t.Context(), &driver.ListMachinesRequest{MachineClass: class, Secret: r.secret()})
				r.wants(err, test.code)
			}
		})
	}
	r.device()

	// A device that is in no listing any more, and cannot be read by itself either.
	r.restart()
	r.wire.breaks(readDevice, -1, fault{status: 500, body: `{"errors":["Oh snap"]}`})
	_, err := r.status(class, of("node-0", "packet://"+uuid.NewString()))
	r.wants(err, codes.Unavailable)
	r.wire.mend()
	_, err = r.status(class, of("node-0", "packet://"+uuid.NewString()))
	r.wants(err, codes.NotFound, "node-0")
	_, err = r.status(class, of("node-0", "aws:///eu-west-1/i-0123"))
	r.wants(err, codes.InvalidArgument, "aws:///eu-west-1/i-0123", "packet://")
}

// A Machine without a provider ID was NotFound without anybody being asked.
func TestMachineWithoutProviderIDIsSearchedByTags(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	class := r.class(nil)
	made := r.mustCreate(class, "node-0")
	r.restart()
	if status, err := r.status(class, machine("node-0")); err != nil || status.ProviderID != made.ProviderID || status.NodeName != "node-0" {
		t.Errorf("the status is %+v, %v", status, err)
	}
	_, err := r.status(class, machine("node-1"))
	r.wants(err, codes.NotFound, "node-1", clusterTag)
	// The same name in another cluster is another Machine.
	_, err = r.status(r.class(map[string]any{"tags": []string{"kubernetes.io/cluster/other", roleTag}}), machine("node-0"))
	r.wants(err, codes.NotFound)
	r.deleteLikeMCM(class, machine("node-0"))
	if left := r.devices(); len(left) != 0 {
		t.Errorf("%d devices are left", len(left))
	}
}

// Only the first page was listed, and orphans on the others were rented for ever.
func TestListMachinesReadsTheLastPage(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	const machines = packet.MaxPerPage + 1
	for n := range machines {
		name := fmt.Sprintf("node-%d", n)
		if _, err := r.client.CreateDevice(t.Context(), r.api.ProjectID, packet.DeviceCreate{
			Hostname: name, Plan: plan, OperatingSystem: "ubuntu_24_04", Metro: "ny", Tags: []string{clusterTag, roleTag, "machine.sapcloud.io/name:" + name},
		}); err != nil {
			t.Fatal(err)
		}
	}
	if listed := r.list(r.class(nil)); len(listed) != machines {
		t.Errorf("listed are %d machines, want %d", len(listed), machines)
	}
	if pages := r.wire.count(listDevices); pages != 2 {
		t.Errorf("that took %d requests, want 2", pages)
	}
}

// A bastion, another cluster's machine, and what somebody rented by hand must not be taken for orphans.
func TestListMachinesHasNothingOfOthers(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	class := r.class(nil)
	made := r.mustCreate(class, "node-0")
	for hostname, tags := range map[string][]string{
		"bastion": {clusterTag, "kubernetes.io/bastion/cli"}, "by-hand": nil, "role-only": {roleTag},
		"other-cluster": {"kubernetes.io/cluster/other", roleTag, "machine.sapcloud.io/name:node-9"}, "similar": {clusterTag + "-2", roleTag},
	} {
		if _, err := r.client.CreateDevice(t.Context(), r.api.ProjectID, packet.DeviceCreate{Hostname: hostname, Plan: plan, OperatingSystem: "ubuntu_24_04", Metro: "ny", Tags: tags}); err != nil {
			t.Fatal(err)
		}
	}
	if listed := r.list(class); len(listed) != 1 || listed[made.ProviderID] != "node-0" {
		t.Errorf("listed are %v, want %s alone", listed, made.ProviderID)
	}
}

// MCM's safety sweep deletes a device whose provider ID is not its Machine's. A driver before this one wrote another form.
func TestDevicesOfTheDriverBeforeKeepTheirProviderIDs(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	class := r.class(nil)
	device, err := r.client.CreateDevice(t.Context(), r.api.ProjectID, packet.DeviceCreate{Hostname: "node-0", Plan: plan, OperatingSystem: "ubuntu_24_04", Metro: "ny", Tags: []string{clusterTag, roleTag}})
	if err != nil {
		t.Fatal(err)
	}
	old := "equinixmetal://ny/" + device.ID
	if listed := r.list(class); listed[old] != "node-0" {
		t.Errorf("listed are %v, want %s", listed, old)
	}
	for _, providerID := range []string{"", old, "packet://" + device.ID, "packet:///ny5/" + device.ID, device.ID} {
		status, err := r.status(class, of("node-0", providerID))
		if want := map[bool]string{true: old, false: providerID}[providerID == ""]; err != nil || status.ProviderID != want {
			t.Errorf("for %q the status is %+v, %v", providerID, status, err)
		}
	}
	r.deleteLikeMCM(class, of("node-0", old))
	if left := r.devices(); len(left) != 0 {
		t.Errorf("%d devices are left", len(left))
	}
}

// A deletion without an answer crashed the driver.
func TestTransportErrorOnDeleteIsNoPanic(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	class := r.class(nil)
	providerID := r.mustCreate(class, "node-0").ProviderID
	r.wire.breaks(deleteDevice, -1, fault{drop: true})
	r.wants(r.delete(class, of("node-0", providerID)), codes.Unavailable)
	r.wire.breaks(deleteDevice, -1, fault{status: 502, body: "<html>"})
	r.wants(r.delete(class, of("node-0", providerID)), codes.Unavailable)
	r.wire.mend()
	r.deleteLikeMCM(class, of("node-0", providerID))
}

// The reservation that was tried last was asked for again when a device on demand was meant.
func TestFailedReservationDoesNotLeakIntoTheRequestOnDemand(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	class := r.class(map[string]any{"reservationIDs": []string{uuid.NewString(), "next-available"}})
	r.mustCreate(class, "node-0")
	if sent := r.lastCreate(); sent.HardwareReservationID != "" {
		t.Errorf("the request on demand is for reservation %q", sent.HardwareReservationID)
	}
	if device := r.device(); device.HardwareReservation != nil {
		t.Error("the device is on a reservation")
	}
}

// Nothing told the cluster-autoscaler to turn elsewhere.
func TestNoServersIsResourceExhausted(t *testing.T) {
	r := newRig(t, apiservertest.Options{Configure: func(c *apiserver.Config) {
		c.Capacity = []apiserver.Capacity{{Plan: plan, Metro: "ny", Servers: 1}}
	}})
	r.mustCreate(r.class(nil), "node-0")
	_, err := r.create(r.class(nil), machine("node-1"))
	r.wants(err, codes.ResourceExhausted, "node-1", "no provisionable c3.small.x86 servers")
	_, err = r.create(r.class(map[string]any{"reservationIDs": []string{"next-available"}, "reservedDevicesOnly": true}), machine("node-1"))
	r.wants(err, codes.ResourceExhausted, "no available hardware reservations")
}

// A device that could not be installed was waited for until the creation timed out, without a word.
func TestFailedProvisioningIsToldAndCanBeDeleted(t *testing.T) {
	r := newRig(t, apiservertest.Options{Driver: &hardware{fail: fmt.Errorf("the disk is broken [sda")}})
	class := r.class(nil)
	r.mustCreate(class, "node-0")
	r.until(packet.StateFailed)
	r.restart()
	_, err := r.status(class, machine("node-0"))
	r.wants(err, codes.Internal, "node-0", "the disk is broken")
	// It exists: no second one is made.
	r.mustCreate(class, "node-0")
	r.device()
	// MCM asks for the status before it deletes a Machine of which it does not know the node, and stops at other errors.
	gone := machine("node-0")
	gone.DeletionTimestamp = &metav1.Time{}
	if status, err := r.status(class, gone); err != nil || status.NodeName != "node-0" {
		t.Errorf("the status of a Machine that is deleted is %+v, %v", status, err)
	}
	r.deleteLikeMCM(class, gone)
	if left := r.devices(); len(left) != 0 {
		t.Errorf("%d devices are left", len(left))
	}
}

// MCM finds code and text of an error by square brackets. With one that is not closed, it found neither.
func TestBracketsDoNotHideTheCode(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	for _, text := range []string{"[", "]", "][", "[[]", "a [b] c]"} {
		r.wire.breaks(createDevice, 1, fault{status: http.StatusUnprocessableEntity, body: fmt.Sprintf(`{"errors":["quota %s"]}`, text)})
		_, err := r.create(r.class(nil), machine("node-0"))
		r.wants(err, codes.ResourceExhausted, "quota")
	}
}

// The token and the user data were in the log. An API that repeats them must not put them into a status either.
func TestSecretsAreInNoError(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	repeats := fmt.Sprintf(`{"errors":["bad token %s with userdata %s"]}`, r.api.Token, strings.ReplaceAll(bootstrap, "\n", `\n`))
	for _, status := range []int{400, 401, 403, 404, 409, 422, 500} {
		r.restart()
		r.wire.breaks(createDevice, 1, fault{status: status, body: repeats})
		_, err := r.create(r.class(nil), machine("node-0"))
		r.wants(err, codeOf(err), "bad token")
		r.clock.advance(r.options.SettleTime)
	}
	// Nor may they be shown of a MachineClass that cannot be read.
	class := r.class(map[string]any{"userdata": bootstrap, "metro": 7})
	_, err := r.create(class, machine("node-0"))
	r.wants(err, codes.InvalidArgument, "providerSpec")
}
