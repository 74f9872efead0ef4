package packetmachine_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/pkg/packet"
)

// The tests of this file are named after the issues that users opened about the provider before this one.

func bootstrap(namespace, name string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, StringData: map[string]string{"value": capitest.UserData},
	}
}

// Machines whose installation failed, or had not ended, could not be deleted: issues 218, 245, 283 and 388.
func TestIssue245FailedAndProvisioningDevicesCanBeDeleted(t *testing.T) {
	for state, options := range map[string]apiservertest.Options{
		"failed": {Driver: broken{}}, "queued": {}, "provisioning": {Profile: "fast"},
	} {
		t.Run(state, func(t *testing.T) {
			w := capitest.NewWorld(t, env, options)
			w.Run()
			cluster, _ := w.ReadyCluster(w.Namespace, "demo")
			_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", UserData: capitest.UserData})
			w.Eventually(func() error {
				if err := w.Get(machine); err != nil {
					return err
				}
				if now := machine.Status.InstanceStatus; now != state && state != "queued" || now == "" {
					return fmt.Errorf("device is %q", now)
				}
				return nil
			})
			if state == "failed" {
				reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.DeviceFailedReason)
				if message := conditions.GetMessage(machine, infrav1.ReadyCondition); !strings.Contains(message, "failed") {
					t.Errorf("message is %q", message)
				}
			}
			if err := w.Client.Delete(t.Context(), machine); err != nil {
				t.Fatal(err)
			}
			isGone(t, w, machine)
			if n := len(w.Devices()); n != 0 {
				t.Errorf("%d devices are left", n)
			}
		})
	}
}

// After a rate limit, all machines with a long list of hardware reservations were failed for good.
func TestIssue425RateLimitingIsNotTerminal(t *testing.T) {
	w := newWorld(t)
	ids, err := w.API.ReserveHardware(t.Context(), apiserver.HardwareReservation{Plan: "c3.small.x86", Metro: "da", Quantity: 20})
	if err != nil {
		t.Fatal(err)
	}
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	w.Network.Break(capitest.First(6, func(r *http.Request) bool { return true }, capitest.Verdict{
		Status: http.StatusTooManyRequests, Body: `{"errors":["rate limit exceeded"]}`, Header: map[string]string{"Retry-After": "1"},
	}))
	var machines []*infrav1.PacketMachine
	for n := range 10 {
		_, machine := w.Machine(cluster, capitest.MachineOptions{Name: fmt.Sprintf("demo-%d", n), UserData: capitest.UserData,
			Change: func(m *infrav1.PacketMachine) { m.Spec.HardwareReservationID = strings.Join(ids, ",") }})
		machines = append(machines, machine)
	}
	for _, machine := range machines {
		becomesActive(t, w, machine)
	}
	// Nobody asked for a reservation that another machine had.
	if asked := len(w.Network.Requests(http.MethodPost, "/devices")); asked > len(machines)+6 {
		t.Errorf("%d devices were asked for, for %d machines", asked, len(machines))
	}
}

// MachineDeployments with reservations wanted to go on without when they were used up: issues 133, 134 and 136.
func TestIssue134ReservedFirstThenOnDemand(t *testing.T) {
	w := newWorld(t)
	ids, err := w.API.ReserveHardware(t.Context(), apiserver.HardwareReservation{Plan: "c3.small.x86", Metro: "da"})
	if err != nil {
		t.Fatal(err)
	}
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	for n, fallback := range []infrav1.ReservationFallback{infrav1.ReservationFallbackNone, infrav1.ReservationFallbackNone, infrav1.ReservationFallbackOnDemand} {
		_, machine := w.Machine(cluster, capitest.MachineOptions{Name: fmt.Sprintf("demo-%d", n), UserData: capitest.UserData,
			Change: func(m *infrav1.PacketMachine) {
				m.Spec.HardwareReservationID, m.Spec.ReservationFallback = ids[0], fallback
			}})
		if n == 1 {
			reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.DeviceReservationUnavailableReason)
			continue
		}
		becomesActive(t, w, machine)
		if n == 2 {
			told(t, w, machine, "OnDemandFallback")
		}
	}
	reserved := 0
	for _, device := range w.Devices() {
		if device.HardwareReservation != nil {
			reserved++
		}
	}
	if n := len(w.Devices()); n != 2 || reserved != 1 {
		t.Errorf("%d devices, %d of them on reserved hardware, want 2 and 1", n, reserved)
	}
}

// Users wanted devices without public addresses: issues 226 and 484.
func TestIssue484PrivateOnly(t *testing.T) {
	w := newWorld(t)
	w.Run()
	_, machine := active(t, w, func(m *infrav1.PacketMachine) { m.Spec.Network.PrivateOnly = ptr.To(true) })
	for _, address := range machine.Status.Addresses {
		if address.Type == clusterv1.MachineExternalIP {
			t.Errorf("addresses are %v, want none that is external", machine.Status.Addresses)
		}
	}
}

func TestBadInputIsReportedByItsKind(t *testing.T) {
	w := newWorld(t)
	if err := w.API.SetMaxDevices(t.Context(), w.API.ProjectID, map[string]int{"m3.small.x86": 0}); err != nil {
		t.Fatal(err)
	}
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	n := 0
	for reason, change := range map[devices.Refusal]func(*infrav1.PacketMachineSpec){
		devices.OperatingSystemUnknown: func(s *infrav1.PacketMachineSpec) { s.OS = "no_such_os" },
		devices.MetroUnknown:           func(s *infrav1.PacketMachineSpec) { s.Metro = "zz" },
		devices.SSHKeyUnknown:          func(s *infrav1.PacketMachineSpec) { s.SSHKeys = []string{"00000000-0000-4000-8000-000000000001"} },
		devices.QuotaExceeded:          func(s *infrav1.PacketMachineSpec) { s.MachineType = "m3.small.x86" },
		devices.SpotPriceTooLow:        func(s *infrav1.PacketMachineSpec) { s.Spot.MaxPrice = "0.000001" },
		devices.UserDataTooLong:        nil,
	} {
		n++
		options := capitest.MachineOptions{Name: fmt.Sprintf("demo-%d", n), UserData: capitest.UserData}
		if change == nil {
			options.UserData += strings.Repeat("# long\n", 10<<10)
		} else {
			options.Change = func(m *infrav1.PacketMachine) { change(&m.Spec) }
		}
		_, machine := w.Machine(cluster, options)
		reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionFalse, string(reason))
		if message := conditions.GetMessage(machine, infrav1.ReadyCondition); !strings.Contains(message, "422") || !strings.Contains(message, reason.Advice()) {
			t.Errorf("message is %q, want the API's words and what to do", message)
		}
		told(t, w, machine, string(reason))
	}
	if n := len(w.Devices()); n != 0 {
		t.Errorf("%d devices", n)
	}
}

func TestWrongCredentialsAreReported(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	w.SetCredentials("a-wrong-token-that-nobody-must-see")
	_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", UserData: capitest.UserData})
	reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.CredentialsRejectedReason)
	if message := conditions.GetMessage(machine, infrav1.ReadyCondition); !strings.Contains(message, capitest.CredentialsSecret) || strings.Contains(message, "nobody-must-see") {
		t.Errorf("message is %q, want the Secret, and never the token", message)
	}
}

// The Machines of a MachinePool have no bootstrap data of their own.
func TestMachineOfAMachinePoolUsesThePoolsBootstrapData(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	w.Create(bootstrap(w.Namespace, "pool"))
	pool := &clusterv1.MachinePool{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "pool"},
		Spec: clusterv1.MachinePoolSpec{ClusterName: "demo", Template: clusterv1.MachineTemplateSpec{Spec: clusterv1.MachineSpec{
			ClusterName: "demo", Bootstrap: clusterv1.Bootstrap{DataSecretName: ptr.To("pool")},
			InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: infrav1.GroupVersion.Group, Kind: "PacketMachinePool", Name: "pool"},
		}}},
	}
	w.Create(pool)
	owner := &clusterv1.Machine{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.Namespace, Name: "pool-0", Labels: map[string]string{clusterv1.ClusterNameLabel: "demo", clusterv1.MachinePoolNameLabel: "pool"},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(pool, clusterv1.GroupVersion.WithKind("MachinePool"))},
		},
		Spec: clusterv1.MachineSpec{
			ClusterName: cluster.Name, Bootstrap: clusterv1.Bootstrap{DataSecretName: ptr.To("")},
			InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: infrav1.GroupVersion.Group, Kind: "PacketMachine", Name: "pool-0"},
		},
	}
	w.Create(owner)
	controlled := true
	machine := &infrav1.PacketMachine{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: w.Namespace, Name: "pool-0", Labels: map[string]string{clusterv1.ClusterNameLabel: "demo"},
			OwnerReferences: []metav1.OwnerReference{
				{APIVersion: infrav1.GroupVersion.String(), Kind: "PacketMachinePool", Name: "pool", UID: "00000000-0000-4000-8000-000000000001", Controller: &controlled},
				{APIVersion: clusterv1.GroupVersion.String(), Kind: "Machine", Name: "pool-0", UID: owner.UID},
			},
		},
		Spec: infrav1.PacketMachineSpec{OS: "ubuntu_24_04", MachineType: "c3.small.x86"},
	}
	w.Create(machine)
	becomesActive(t, w, machine)
	if device := the(t, w); device.Userdata != capitest.UserData || !packet.HasTags(device.Tags, packet.TagRoleNode) {
		t.Errorf("user data is %q, tags are %v", device.Userdata, device.Tags)
	}
}
