package packetmachine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/pkg/packet"
)

var env *capitest.Environment

func TestMain(m *testing.M) {
	ctrl.SetLogger(klog.Background())
	os.Exit(capitest.Run(m, capitest.DefinitionsOnly, func(e *capitest.Environment) (func(), error) {
		env = e
		return func() {}, nil
	}))
}

func newWorld(t *testing.T) *capitest.World {
	return capitest.NewWorld(t, env, apiservertest.Options{})
}

// reaches waits until a condition of a machine has a status and reason.
func reaches(t *testing.T, w *capitest.World, machine *infrav1.PacketMachine, kind string, status metav1.ConditionStatus, reason string) {
	t.Helper()
	w.Eventually(func() error {
		if err := w.Get(machine); err != nil {
			return err
		}
		condition := conditions.Get(machine, kind)
		if condition == nil || condition.Status != status || condition.Reason != reason {
			return fmt.Errorf("condition %s is %+v, want %s with reason %s", kind, condition, status, reason)
		}
		return nil
	})
}

func becomesActive(t *testing.T, w *capitest.World, machine *infrav1.PacketMachine) {
	t.Helper()
	reaches(t, w, machine, infrav1.DeviceReadyCondition, metav1.ConditionTrue, infrav1.DeviceActiveReason)
}

// isGone waits until an object does not exist.
func isGone(t *testing.T, w *capitest.World, machine *infrav1.PacketMachine) {
	t.Helper()
	w.Eventually(func() error {
		if err := w.Get(machine); !apierrors.IsNotFound(err) {
			return fmt.Errorf("PacketMachine is still there: %w, %v", err, machine.Status.Conditions)
		}
		return nil
	})
}

// the returns the only device of the project.
func the(t *testing.T, w *capitest.World) *packet.Device {
	t.Helper()
	devices := w.Devices()
	if len(devices) != 1 {
		t.Fatalf("%d devices, want 1", len(devices))
	}
	return &devices[0]
}

func TestMachineBecomesADevice(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	_, machine := w.Machine(cluster, capitest.MachineOptions{
		Name: "demo-0", ControlPlane: true, UserData: capitest.UserData,
		Change: func(m *infrav1.PacketMachine) { m.Spec.Tags = []string{"mine"} },
	})
	becomesActive(t, w, machine)

	device := the(t, w)
	if got, want := machine.Spec.ProviderID, packet.ProviderID(device.ID); got != want {
		t.Errorf("provider ID is %s, want %s", got, want)
	}
	if !ptr.Deref(machine.Status.Initialization.Provisioned, false) {
		t.Error("the machine is not provisioned")
	}
	if device.Hostname != "demo-0" || device.Plan.Slug != "c3.small.x86" || device.OperatingSystem.Slug != "ubuntu_24_04" || device.Metro.Code != "da" {
		t.Errorf("device is %s, %s, %s in %s", device.Hostname, device.Plan.Slug, device.OperatingSystem.Slug, device.Metro.Code)
	}
	want := append(packet.MachineTags(w.Namespace, "demo", "demo-0"), packet.TagRoleMaster, "mine")
	if !packet.HasTags(device.Tags, want...) {
		t.Errorf("device has the tags %v, want %v", device.Tags, want)
	}
	if device.Userdata != capitest.UserData {
		t.Errorf("user data is %q, want %q", device.Userdata, capitest.UserData)
	}
	kinds := map[clusterv1.MachineAddressType]int{}
	for _, address := range machine.Status.Addresses {
		kinds[address.Type]++
	}
	if kinds[clusterv1.MachineHostName] != 1 || kinds[clusterv1.MachineExternalIP] != 2 || kinds[clusterv1.MachineInternalIP] != 1 {
		t.Errorf("addresses are %v, want a host name, two external and one internal", machine.Status.Addresses)
	}
	if machine.Status.FailureDomain != "da" {
		t.Errorf("failure domain is %q, want da", machine.Status.FailureDomain)
	}
}

func TestElasticIPFollowsTheControlPlane(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, infrastructure := w.ReadyCluster(w.Namespace, "demo")
	address := infrastructure.Spec.ControlPlaneEndpoint.Host
	_, first := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", ControlPlane: true, UserData: capitest.UserData})
	reaches(t, w, first, infrav1.ElasticIPAssignedCondition, metav1.ConditionTrue, infrav1.ElasticIPAssignedReason)
	_, second := w.Machine(cluster, capitest.MachineOptions{Name: "demo-1", ControlPlane: true, UserData: capitest.UserData})
	_, worker := w.Machine(cluster, capitest.MachineOptions{Name: "demo-2", UserData: capitest.UserData})

	// It is not taken from a device that lives, and that is no problem of the other one.
	reaches(t, w, second, infrav1.ElasticIPAssignedCondition, metav1.ConditionFalse, infrav1.ElasticIPAssignedElsewhereReason)
	reaches(t, w, second, infrav1.ReadyCondition, metav1.ConditionTrue, infrav1.DeviceActiveReason)
	reaches(t, w, worker, infrav1.ReadyCondition, metav1.ConditionTrue, infrav1.DeviceActiveReason)
	if conditions.Has(worker, infrav1.ElasticIPAssignedCondition) {
		t.Error("a worker has a condition about the elastic IP")
	}
	for _, a := range first.Status.Addresses {
		if a.Address == address {
			t.Error("the elastic IP is among the addresses of the machine")
		}
	}
	if err := w.Client.Delete(t.Context(), first); err != nil {
		t.Fatal(err)
	}
	isGone(t, w, first)
	reaches(t, w, second, infrav1.ElasticIPAssignedCondition, metav1.ConditionTrue, infrav1.ElasticIPAssignedReason)
}

func TestElasticIPIsAssignedOnceTheAPIStopsRefusing(t *testing.T) {
	w := newWorld(t)
	w.Network.Break(capitest.First(3, func(r *http.Request) bool {
		return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/ips") && strings.Contains(r.URL.Path, "/devices/")
	}, capitest.Verdict{Status: http.StatusUnprocessableEntity, Body: `{"errors":["device is not ready for that"]}`}))
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", ControlPlane: true, UserData: capitest.UserData})
	reaches(t, w, machine, infrav1.ElasticIPAssignedCondition, metav1.ConditionTrue, infrav1.ElasticIPAssignedReason)
}

func TestMachinesWaitWithAReason(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, _ := w.Cluster(w.Namespace, "demo")
	_, early := w.Machine(cluster, capitest.MachineOptions{Name: "early", ControlPlane: true, UserData: capitest.UserData})
	reaches(t, w, early, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.DeviceWaitingForClusterInfrastructureReason)
	w.SetStatus(cluster, func() { cluster.Status.Initialization.InfrastructureProvisioned = ptr.To(true) })
	becomesActive(t, w, early)

	_, master := w.Machine(cluster, capitest.MachineOptions{Name: "master", ControlPlane: true})
	reaches(t, w, master, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.DeviceWaitingForBootstrapDataReason)
	_, worker := w.Machine(cluster, capitest.MachineOptions{Name: "worker"})
	reaches(t, w, worker, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.DeviceWaitingForControlPlaneReason)
	w.SetStatus(cluster, func() { cluster.Status.Initialization.ControlPlaneInitialized = ptr.To(true) })
	reaches(t, w, worker, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.DeviceWaitingForBootstrapDataReason)

	// What only waited owns nothing.
	if err := w.Client.Delete(t.Context(), worker); err != nil {
		t.Fatal(err)
	}
	if err := w.Get(worker); !apierrors.IsNotFound(err) {
		t.Errorf("a machine that only waited is still there: %v", err)
	}
}

func TestLostAnswerMakesNoSecondDevice(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	w.Network.Break(capitest.First(1, capitest.IsCreation, capitest.Verdict{Lose: true}))
	_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", UserData: capitest.UserData})
	becomesActive(t, w, machine)
	if device := the(t, w); machine.Spec.ProviderID != packet.ProviderID(device.ID) {
		t.Errorf("provider ID is %s, want that of device %s", machine.Spec.ProviderID, device.ID)
	}
}

func TestCrashBetweenCreateAndRecordMakesNoSecondDevice(t *testing.T) {
	w := newWorld(t)
	stop := w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	created := make(chan struct{})
	w.Network.Break(capitest.First(1, capitest.IsCreation, capitest.Verdict{Lose: true, After: func() { close(created) }}))
	_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", UserData: capitest.UserData})
	<-created
	stop()
	if err := w.Get(machine); err != nil {
		t.Fatal(err)
	}
	if machine.Spec.ProviderID != "" {
		t.Fatal("the device is on record already, so this proves nothing")
	}
	w.Run()
	becomesActive(t, w, machine)
	the(t, w)
}

// A device that was created, but listed only after it was looked for again, is found by nobody at first.
func TestSurplusDeviceIsDeleted(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", UserData: capitest.UserData})
	becomesActive(t, w, machine)
	kept := the(t, w)
	for _, tags := range [][]string{
		packet.MachineTags(w.Namespace, "demo", "demo-0"),
		packet.MachineTags(w.OtherNamespace, "demo", "demo-0"),
	} {
		if _, err := w.Packet.CreateDevice(t.Context(), w.API.ProjectID, packet.DeviceCreate{
			Hostname: "late", Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da", Tags: tags,
		}); err != nil {
			t.Fatal(err)
		}
	}
	w.Eventually(func() error {
		devices := w.Devices()
		if len(devices) != 2 {
			return fmt.Errorf("%d devices, want that of the machine and that of the other namespace", len(devices))
		}
		if !slices.ContainsFunc(devices, func(d packet.Device) bool { return d.ID == kept.ID }) {
			return errors.New("the machine's own device was deleted")
		}
		return nil
	})
}

// The predecessor read the first page of ten alone, and rented a device anew that was on the second.
func TestMoreThanOnePageOfDevices(t *testing.T) {
	w := newWorld(t)
	for n := range 25 {
		if _, err := w.Packet.CreateDevice(t.Context(), w.API.ProjectID, packet.DeviceCreate{
			Hostname: fmt.Sprintf("other-%d", n), Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da",
		}); err != nil {
			t.Fatal(err)
		}
	}
	// A server with small pages.
	w.Network.Break(func(r *http.Request) capitest.Verdict {
		query := r.URL.Query()
		if query.Has("per_page") {
			query.Set("per_page", "4")
			r.URL.RawQuery = query.Encode()
		}
		return capitest.Verdict{}
	})
	stop := w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", UserData: capitest.UserData})
	becomesActive(t, w, machine)
	stop()

	// As after a restore of a backup, which has no status and an old spec.
	_, again := w.Machine(cluster, capitest.MachineOptions{Name: "demo-1", UserData: capitest.UserData})
	w.Run()
	becomesActive(t, w, again)
	becomesActive(t, w, machine)
	if n := len(w.Devices()); n != 27 {
		t.Errorf("%d devices, want 27", n)
	}
}

func TestRefusalShowsTheAPIsText(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	_, machine := w.Machine(cluster, capitest.MachineOptions{
		Name: "demo-0", UserData: capitest.UserData,
		Change: func(m *infrav1.PacketMachine) { m.Spec.MachineType = "no.such.plan" },
	})
	reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionFalse, string(devices.PlanUnknown))
	if message := conditions.GetMessage(machine, infrav1.ReadyCondition); !strings.Contains(message, "422") || !strings.Contains(message, "no.such.plan") {
		t.Errorf("message is %q, want the API's text about the plan", message)
	}
	before := len(w.Network.Requests(http.MethodPost, "/devices"))
	w.Never(time.Second, func() error {
		if now := len(w.Network.Requests(http.MethodPost, "/devices")); now > before+1 {
			return fmt.Errorf("what the API refuses was asked for %d more times in a second", now-before)
		}
		return nil
	})
	if err := w.Client.Delete(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	isGone(t, w, machine)
}

// The predecessor never sent the user's SSH keys and tags, nor a single hardware reservation.
func TestEveryFieldIsSent(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	const (
		key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJxYBWGQT2DVdjjUJQwQ3P2xOrAgYgBKhXhxQ+e4Lnrm someone"
		id  = "00000000-0000-4000-8000-00000000000a"
	)
	w.Network.Break(capitest.First(1, capitest.IsCreation, capitest.Verdict{Status: http.StatusUnprocessableEntity, Body: `{"errors":["no"]}`}))
	_, machine := w.Machine(cluster, capitest.MachineOptions{
		Name: "demo-0", UserData: capitest.UserData,
		Change: func(m *infrav1.PacketMachine) {
			m.Spec = infrav1.PacketMachineSpec{
				OS: infrav1.OSCustomIPXE, IPXEURL: "http://example.com/boot.ipxe", MachineType: "c3.small.x86", BillingCycle: "monthly",
				SSHKeys: []string{key, id}, Tags: []string{"mine"}, HardwareReservationID: "next-available", Facility: "da11",
			}
		},
	})
	reaches(t, w, machine, infrav1.DeviceReadyCondition, metav1.ConditionFalse, infrav1.DeviceCreateFailedReason)
	var sent packet.DeviceCreate
	if err := json.Unmarshal([]byte(w.Network.Requests(http.MethodPost, "/devices")[0].Body), &sent); err != nil {
		t.Fatal(err)
	}
	if len(sent.SSHKeys) != 1 || sent.SSHKeys[0].Key != key || !slices.Equal(sent.ProjectSSHKeys, []string{id}) {
		t.Errorf("SSH keys are %v and %v", sent.SSHKeys, sent.ProjectSSHKeys)
	}
	if !slices.Contains(sent.Tags, "mine") || !slices.Contains(sent.Tags, packet.TagRoleNode) {
		t.Errorf("tags are %v", sent.Tags)
	}
	if sent.HardwareReservationID != "next-available" || sent.BillingCycle != "monthly" || sent.IPXEScriptURL != "http://example.com/boot.ipxe" ||
		!slices.Equal(sent.Facility, []string{"da11"}) || sent.Metro != "" {
		t.Errorf("request is %+v", sent)
	}
}

func TestBootstrapFailureCarriesTheConsole(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", UserData: capitest.UserData})
	becomesActive(t, w, machine)
	device := the(t, w)
	w.Report(device, "running", "", 1000)
	reaches(t, w, machine, infrav1.BootstrapSucceededCondition, metav1.ConditionUnknown, infrav1.BootstrapRunningReason)
	reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionTrue, infrav1.DeviceActiveReason)
	w.Report(device, "failed", "line one\nkubeadm: command not found", 1002)
	reaches(t, w, machine, infrav1.BootstrapSucceededCondition, metav1.ConditionFalse, infrav1.BootstrapFailedReason)
	reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.BootstrapFailedReason)
	if message := conditions.GetMessage(machine, infrav1.ReadyCondition); !strings.Contains(message, "line one\nkubeadm: command not found") {
		t.Errorf("message is %q, want the lines of the console", message)
	}
}

func TestBootstrapSuccessEndsTheQuestions(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", UserData: capitest.UserData})
	becomesActive(t, w, machine)
	w.Report(the(t, w), "succeeded", "", 1001)
	reaches(t, w, machine, infrav1.BootstrapSucceededCondition, metav1.ConditionTrue, infrav1.BootstrapSucceededReason)
	version, asked := machine.ResourceVersion, len(w.Network.Requests(http.MethodGet, "/events"))
	w.Never(time.Second, func() error {
		if err := w.Get(machine); err != nil {
			return err
		}
		if machine.ResourceVersion != version {
			return errors.New("the PacketMachine was written though nothing changed")
		}
		if n := len(w.Network.Requests(http.MethodGet, "/events")); n != asked {
			return fmt.Errorf("events were read %d more times", n-asked)
		}
		return nil
	})
}

// The predecessor dropped the finalizer when it had asked for the deletion, also if the API had refused it.
func TestDeletionWaitsUntilTheDeviceIsGone(t *testing.T) {
	for name, verdict := range map[string]capitest.Verdict{
		"forbidden":    {Status: http.StatusForbidden, Body: `{"errors":["You are not authorized to view this device"]}`},
		"unavailable":  {Status: http.StatusServiceUnavailable, Body: `{"errors":["down"]}`},
		"provisioning": {Status: http.StatusUnprocessableEntity, Body: `{"errors":["Cannot delete a device while it is provisioning"]}`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Run()
			cluster, _ := w.ReadyCluster(w.Namespace, "demo")
			_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", UserData: capitest.UserData})
			becomesActive(t, w, machine)
			w.Network.Break(func(r *http.Request) capitest.Verdict {
				if r.Method == http.MethodDelete {
					return verdict
				}
				return capitest.Verdict{}
			})
			if err := w.Client.Delete(t.Context(), machine); err != nil {
				t.Fatal(err)
			}
			w.Never(700*time.Millisecond, func() error {
				the(t, w)
				return w.Get(machine)
			})
			if verdict.Status == http.StatusForbidden {
				// It comes back later by itself; the test does not wait for that.
				reaches(t, w, machine, infrav1.CredentialsAvailableCondition, metav1.ConditionFalse, infrav1.CredentialsRejectedReason)
			}
			w.Network.Break(nil)
			w.Touch(machine)
			isGone(t, w, machine)
			if n := len(w.Devices()); n != 0 {
				t.Errorf("%d devices are left", n)
			}
		})
	}
}

func TestDeletionFindsADeviceThatWasNeverRecorded(t *testing.T) {
	w := newWorld(t)
	stop := w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	created := make(chan struct{})
	w.Network.Break(capitest.First(1, capitest.IsCreation, capitest.Verdict{Lose: true, After: func() { close(created) }}))
	_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", UserData: capitest.UserData})
	<-created
	stop()
	if err := w.Client.Delete(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	w.Run()
	isGone(t, w, machine)
	if n := len(w.Devices()); n != 0 {
		t.Errorf("%d devices are left", n)
	}
}

// The finalizer was dropped, and the device left behind, when the project of the credentials had changed meanwhile: the list
// of another project's devices was taken for a proof that there was none.
func TestDeletionFindsTheDeviceInAnotherProject(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", UserData: capitest.UserData})
	becomesActive(t, w, machine)
	w.Network.Break(func(r *http.Request) capitest.Verdict {
		if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/devices") {
			return capitest.Verdict{Status: http.StatusOK, Body: `{"devices":[],"meta":{"total":0,"current_page":1,"last_page":1}}`}
		}
		return capitest.Verdict{}
	})
	if err := w.Client.Delete(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	isGone(t, w, machine)
	if n := len(w.Devices()); n != 0 {
		t.Errorf("%d devices are left", n)
	}
}

func TestDeviceThatVanishedIsReportedAndNotReplaced(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", UserData: capitest.UserData})
	becomesActive(t, w, machine)
	if err := w.Packet.DeleteDevice(t.Context(), the(t, w).ID, true); err != nil {
		t.Fatal(err)
	}
	reaches(t, w, machine, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.DeviceNotFoundReason)
	w.Never(500*time.Millisecond, func() error {
		if n := len(w.Devices()); n != 0 {
			return fmt.Errorf("%d devices: it was replaced", n)
		}
		return nil
	})
	if err := w.Client.Delete(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	isGone(t, w, machine)
}

func TestValidation(t *testing.T) {
	namespace := env.Namespace(t)
	good := infrav1.PacketMachineSpec{OS: "ubuntu_24_04", MachineType: "c3.small.x86"}
	for name, test := range map[string]struct {
		change func(*infrav1.PacketMachineSpec)
		want   []string
	}{
		"no plan":               {func(s *infrav1.PacketMachineSpec) { s.MachineType = "" }, []string{"spec.machineType"}},
		"no os":                 {func(s *infrav1.PacketMachineSpec) { s.OS = "" }, []string{"spec.os"}},
		"unknown billing cycle": {func(s *infrav1.PacketMachineSpec) { s.BillingCycle = "weekly" }, []string{"spec.billingCycle", "weekly", "hourly"}},
		"metro and facility":    {func(s *infrav1.PacketMachineSpec) { s.Metro, s.Facility = "da", "da11" }, []string{"mutually exclusive"}},
		"script without ipxe":   {func(s *infrav1.PacketMachineSpec) { s.IPXEURL = "http://example.com" }, []string{"custom_ipxe"}},
		"ipxe without script":   {func(s *infrav1.PacketMachineSpec) { s.OS = "custom_ipxe" }, []string{"ipxeURL"}},
		"odd reservation":       {func(s *infrav1.PacketMachineSpec) { s.HardwareReservationID = "any" }, []string{"spec.hardwareReservationID", "any", "next-available"}},
	} {
		t.Run(name, func(t *testing.T) {
			spec := good
			test.change(&spec)
			err := env.Client.Create(t.Context(), &infrav1.PacketMachine{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "bad-"}, Spec: spec,
			})
			if !apierrors.IsInvalid(err) || slices.ContainsFunc(test.want, func(part string) bool { return !strings.Contains(err.Error(), part) }) {
				t.Errorf("creating it: %v, want a refusal that mentions %v", err, test.want)
			}
		})
	}
	machine := &infrav1.PacketMachine{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "good"}, Spec: good}
	if err := env.Client.Create(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	machine.Spec.ProviderID = packet.ProviderID("00000000-0000-4000-8000-000000000001")
	if err := env.Client.Update(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		change func(*infrav1.PacketMachineSpec)
		want   string
	}{
		"os":          {func(s *infrav1.PacketMachineSpec) { s.OS = "debian_12" }, "os cannot be changed"},
		"plan":        {func(s *infrav1.PacketMachineSpec) { s.MachineType = "m3.large.x86" }, "machineType cannot be changed"},
		"keys":        {func(s *infrav1.PacketMachineSpec) { s.SSHKeys = []string{"k"} }, "sshKeys cannot be changed"},
		"provider ID": {func(s *infrav1.PacketMachineSpec) { s.ProviderID = packet.ProviderID("x") }, "providerID cannot be changed"},
		"metro":       {func(s *infrav1.PacketMachineSpec) { s.Metro = "ny" }, "once the device exists"},
	} {
		t.Run("changing "+name, func(t *testing.T) {
			changed := machine.DeepCopy()
			test.change(&changed.Spec)
			if err := env.Client.Update(t.Context(), changed); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), test.want) {
				t.Errorf("changing it: %v, want %q", err, test.want)
			}
		})
	}
}
