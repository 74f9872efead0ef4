package packetmachine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/cluster-api/util/conditions"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// The tests of this file are named after the defects of the provider before this one, which are numbered as in the notes
// about its last version.

const publicKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxYBWGQT2DVdjjUJQwQ3P2xOrAgYgBKhXhxQ+e4Lnrm someone"

// active makes a worker in a ready cluster and waits until its device is active.
func active(t *testing.T, w *capitest.World, change func(*infrav1.PacketMachine)) (*clusterv1.Cluster, *infrav1.PacketMachine) {
	t.Helper()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", UserData: capitest.UserData, Change: change})
	becomesActive(t, w, machine)
	return cluster, machine
}

// Tags of the user were copied into a list without room, and never sent.
func TestDefect1TagsAreSent(t *testing.T) {
	w := newWorld(t)
	w.Run()
	active(t, w, func(m *infrav1.PacketMachine) { m.Spec.Tags = []string{"one", "two"} })
	if tags := the(t, w).Tags; !slices.Contains(tags, "one") || !slices.Contains(tags, "two") {
		t.Errorf("tags are %v, want one and two among them", tags)
	}
}

// SSH keys of the user were never sent, so that every key of the project could log in.
func TestDefect2SSHKeysAreSent(t *testing.T) {
	w := newWorld(t)
	w.Run()
	project, err := w.Packet.CreateProjectSSHKey(t.Context(), w.API.ProjectID, packet.SSHKeyCreate{Label: "project", Key: publicKey})
	if err != nil {
		t.Fatal(err)
	}
	_, machine := active(t, w, func(m *infrav1.PacketMachine) {
		m.Spec.SSHKeys = []string{strings.Replace(publicKey, "4Lnrm", "4Lnrn", 1)}
	})
	device, err := w.Packet.Device(t.Context(), the(t, w).ID, packet.Include("ssh_keys"))
	if err != nil {
		t.Fatal(err)
	}
	if len(device.SSHKeys) != 1 || device.SSHKeys[0].ID == project.ID || !strings.Contains(device.SSHKeys[0].Key, "4Lnrn") {
		t.Errorf("keys are %v, want the listed one", device.SSHKeys)
	}
	// The Packet API made it a key of the project. It does not stay behind.
	if err := w.Client.Delete(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	isGone(t, w, machine)
	if keys, err := w.Packet.ProjectSSHKeys(t.Context(), w.API.ProjectID); err != nil || len(keys) != 1 || keys[0].ID != project.ID {
		t.Errorf("the project is left with %v, %v, want its own key alone", keys, err)
	}
}

// A single reservation and next-available were ignored, and a list crashed where a metro was given.
func TestDefect3ReservationsAreUsed(t *testing.T) {
	for _, wanted := range []string{"one", "list", "next-available"} {
		t.Run(wanted, func(t *testing.T) {
			w := newWorld(t)
			ids, err := w.API.ReserveHardware(t.Context(), apiserver.HardwareReservation{Plan: "c3.small.x86", Metro: "da", Quantity: 2})
			if err != nil {
				t.Fatal(err)
			}
			w.Run()
			active(t, w, func(m *infrav1.PacketMachine) {
				m.Spec.HardwareReservationID = map[string]string{"one": ids[1], "list": strings.Join(ids, ","), "next-available": wanted}[wanted]
				m.Spec.Metro = "da"
			})
			used := the(t, w).HardwareReservation
			if used == nil || wanted == "one" && !strings.HasSuffix(used.Href, ids[1]) {
				t.Errorf("hardware reservation is %+v", used)
			}
		})
	}
}

// All but three errors were the end of a machine, an overloaded API and a proxy's 404 and 403 among them.
func TestDefect6ErrorsOfTheNetworkAreNotTerminal(t *testing.T) {
	for name, verdict := range map[string]capitest.Verdict{
		"429":            {Status: http.StatusTooManyRequests, Body: `{"errors":["slow down"]}`, Header: map[string]string{"Retry-After": "1"}},
		"500":            {Status: http.StatusInternalServerError, Body: `{"errors":["Oh snap"]}`},
		"503":            {Status: http.StatusServiceUnavailable, Body: `{"errors":["down for maintenance"]}`},
		"proxy's 404":    {Status: http.StatusNotFound, Body: `<html>no such site</html>`},
		"proxy's 403":    {Status: http.StatusForbidden, Body: `<html>go away</html>`},
		"lost":           {Lose: true},
		"half an answer": {Status: http.StatusCreated, Body: `{"id":"00000000-0000-4000-`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Run()
			cluster, _ := w.ReadyCluster(w.Namespace, "demo")
			w.Network.Break(capitest.First(3, capitest.IsCreation, verdict))
			_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", UserData: capitest.UserData})
			becomesActive(t, w, machine)
			the(t, w)
			// What works goes on to work while nobody can be asked about it.
			w.Network.Break(func(*http.Request) capitest.Verdict { return verdict })
			w.Touch(machine)
			w.Never(400*time.Millisecond, func() error {
				if err := w.Get(machine); err != nil {
					return err
				}
				if !conditions.IsTrue(machine, infrav1.ReadyCondition) {
					return fmt.Errorf("an outage made the machine not ready: %v", machine.Status.Conditions)
				}
				return nil
			})
		})
	}
}

// A broken answer went on as if there were a device, and crashed.
func TestDefect7BrokenAnswerIsNoDevice(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	w.Network.Break(func(r *http.Request) capitest.Verdict {
		if capitest.IsCreation(r) {
			return capitest.Verdict{Status: http.StatusCreated, Body: `{}`}
		}
		return capitest.Verdict{}
	})
	_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", UserData: capitest.UserData})
	reaches(t, w, machine, infrav1.DeviceReadyCondition, metav1.ConditionFalse, infrav1.DeviceAPIErrorReason)
	if machine.Spec.ProviderID != "" {
		t.Errorf("provider ID is %s, and there is no device", machine.Spec.ProviderID)
	}
	w.Network.Break(nil)
	becomesActive(t, w, machine)
}

// A device without facility or metro crashed the controller.
func TestDefect11DeviceWithoutPlace(t *testing.T) {
	w := newWorld(t)
	w.Run()
	_, machine := active(t, w, nil)
	device := *the(t, w)
	device.Metro, device.Facility = nil, nil
	listing, err := json.Marshal(packet.DeviceList{Devices: []packet.Device{device}, Meta: &packet.Meta{Total: 1, CurrentPage: 1, LastPage: 1}})
	if err != nil {
		t.Fatal(err)
	}
	w.Network.Break(func(r *http.Request) capitest.Verdict {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/devices") {
			return capitest.Verdict{Status: http.StatusOK, Body: string(listing)}
		}
		return capitest.Verdict{}
	})
	w.Eventually(func() error {
		if err := w.Get(machine); err != nil {
			return err
		}
		if machine.Status.FailureDomain != "" || !conditions.IsTrue(machine, infrav1.ReadyCondition) {
			return fmt.Errorf("failure domain is %q, conditions are %v", machine.Status.FailureDomain, machine.Status.Conditions)
		}
		return nil
	})
}

// Changes of a cluster were passed on under the names of Machines, which need not be those of their PacketMachines.
func TestDefect12MachineOfAnotherName(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, _ := w.Cluster(w.Namespace, "demo")
	owner, _ := w.Machine(cluster, capitest.MachineOptions{Name: "machine", UserData: capitest.UserData})
	infrastructure := &infrav1.PacketMachine{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.Namespace, Name: "infrastructure", Labels: map[string]string{clusterv1.ClusterNameLabel: "demo"},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(owner, clusterv1.GroupVersion.WithKind("Machine"))},
		},
		Spec: infrav1.PacketMachineSpec{OS: "ubuntu_24_04", MachineType: "c3.small.x86"},
	}
	w.Create(infrastructure)
	reaches(t, w, infrastructure, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.DeviceWaitingForClusterInfrastructureReason)
	provisioned := true
	w.SetStatus(cluster, func() { cluster.Status.Initialization.InfrastructureProvisioned = &provisioned })
	becomesActive(t, w, infrastructure)
}

// User data went through a template of the provider's own, which broke on every {{ in it.
func TestDefect14UserDataIsNoTemplate(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	const userData = "## template: jinja\n#cloud-config\nhostname: '{{ ds.meta_data.hostname }}'\n"
	_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", UserData: userData})
	becomesActive(t, w, machine)
	if got := the(t, w).Userdata; got != userData {
		t.Errorf("user data is %q, want %q", got, userData)
	}
}

// A device that was switched off was given up, and one that died while it was active was noticed by chance.
func TestDefect15DeadDevicesAreNoticedAndMayComeBack(t *testing.T) {
	w := newWorld(t)
	w.Run()
	_, machine := active(t, w, nil)
	device := the(t, w)
	w.Report(device, "succeeded", "", 1001)
	reaches(t, w, machine, infrav1.BootstrapSucceededCondition, metav1.ConditionTrue, infrav1.BootstrapSucceededReason)
	for _, test := range []struct {
		action string
		status metav1.ConditionStatus
		reason string
	}{
		{packet.ActionPowerOff, metav1.ConditionFalse, infrav1.DeviceNotActiveReason},
		{packet.ActionPowerOn, metav1.ConditionTrue, infrav1.DeviceActiveReason},
		{packet.ActionReboot, metav1.ConditionTrue, infrav1.DeviceActiveReason},
	} {
		if err := w.Packet.DeviceAction(t.Context(), device.ID, packet.DeviceAction{Type: test.action}); err != nil {
			t.Fatal(err)
		}
		reaches(t, w, machine, infrav1.ReadyCondition, test.status, test.reason)
	}
	if err := w.Packet.DeleteDevice(t.Context(), device.ID, true); err != nil {
		t.Fatal(err)
	}
	reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.DeviceNotFoundReason)
}

// A BGP session was asked for at every look, and the refusal of all but the first ignored.
func TestDefect16BGPSessionIsMadeOnce(t *testing.T) {
	w := newWorld(t)
	stop := w.Run()
	cluster, infrastructure := w.Cluster(w.Namespace, "demo", func(c *infrav1.PacketCluster) { c.Spec.VIPManager = infrav1.VIPManagerKubeVIP })
	w.Eventually(func() error {
		if err := w.Get(infrastructure); err != nil {
			return err
		}
		if p := infrastructure.Status.Initialization.Provisioned; p == nil || !*p {
			return fmt.Errorf("PacketCluster is not provisioned: %v", infrastructure.Status.Conditions)
		}
		return nil
	})
	provisioned := true
	w.SetStatus(cluster, func() { cluster.Status.Initialization.InfrastructureProvisioned = &provisioned })
	_, worker := w.Machine(cluster, capitest.MachineOptions{Name: "worker", UserData: capitest.UserData})
	_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", ControlPlane: true, UserData: capitest.UserData})
	reaches(t, w, machine, infrav1.BGPReadyCondition, metav1.ConditionTrue, infrav1.BGPSessionCreatedReason)
	becomesActive(t, w, worker)
	count := func() error {
		if n := len(w.Network.Requests(http.MethodPost, "/bgp/sessions")); n != 1 {
			return fmt.Errorf("%d sessions were asked for, want 1", n)
		}
		return nil
	}
	w.Never(700*time.Millisecond, count)
	// Another process finds the session in the project's listing.
	stop()
	w.Run()
	w.Touch(machine)
	w.Never(700*time.Millisecond, count)
	if n := len(w.Network.Requests(http.MethodGet, "/bgp/sessions")); n > 4 {
		t.Errorf("sessions were listed %d times", n)
	}
	if err := w.Get(machine); err != nil {
		t.Fatal(err)
	}
	// The address is kube-vip's to announce.
	if err := assigned(w); err != nil {
		t.Error(err)
	}
	if reason := conditions.GetReason(machine, infrav1.ElasticIPAssignedCondition); reason != infrav1.ElasticIPNotNeededReason {
		t.Errorf("the elastic IP is %s", reason)
	}
}

func assigned(w *capitest.World) error {
	for _, device := range w.Devices() {
		for _, ip := range device.IPAddresses {
			if !ip.Management {
				return errors.New("elastic IP " + ip.Address + " is assigned to device " + device.ID)
			}
		}
	}
	return nil
}
