package packetremediation_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/internal/capi/credentials"
	"github.com/packetyard/packetyard/internal/capi/packetremediation"
	"github.com/packetyard/packetyard/pkg/packet"
)

var env *capitest.Environment

func TestMain(m *testing.M) {
	ctrl.SetLogger(klog.Background())
	os.Exit(capitest.Run(m, capitest.DefinitionsOnly, func(e *capitest.Environment) (func(), error) {
		env = e
		return e.RunCore()
	}))
}

// newWorld makes a world with a Cluster and a number of control plane machines that are nodes.
func newWorld(t *testing.T, masters int) (w *capitest.World, cluster *clusterv1.Cluster, stop func()) {
	t.Helper()
	w = capitest.NewWorld(t, env, apiservertest.Options{})
	w.Add(func(ctx context.Context, mgr ctrl.Manager, accounts *credentials.Resolver) error {
		return (&packetremediation.Reconciler{
			Client: mgr.GetClient(), Reader: mgr.GetAPIReader(), Accounts: accounts,
			Recorder: mgr.GetEventRecorder("packetremediation"), PollInterval: 50 * time.Millisecond,
		}).SetupWithManager(ctx, mgr, controller.Options{MaxConcurrentReconciles: 4})
	})
	cluster = w.HostingItself("demo")
	w.Join()
	stop = w.Run()
	for n := range masters {
		becomesNode(t, w, bare(w, cluster, fmt.Sprint("master-", n), true))
	}
	w.Eventually(func() error {
		if err := w.Get(cluster); err != nil {
			return err
		}
		if !conditions.IsTrue(cluster, clusterv1.ClusterControlPlaneInitializedCondition) {
			return fmt.Errorf("conditions are %v", cluster.Status.Conditions)
		}
		return nil
	})
	return w, cluster, stop
}

// bare makes a Machine that nobody replaces. Its name is one of all tests, since they share Nodes.
func bare(w *capitest.World, cluster *clusterv1.Cluster, name string, controlPlane bool) *clusterv1.Machine {
	machine, _ := w.Bare(cluster, w.Namespace+"-"+name, controlPlane, map[string]string{"role": map[bool]string{true: "master", false: "worker"}[controlPlane]})
	return machine
}

func becomesNode(t *testing.T, w *capitest.World, machine *clusterv1.Machine) {
	t.Helper()
	w.Eventually(func() error {
		if err := w.Get(machine); err != nil {
			return err
		}
		if !conditions.IsTrue(machine, clusterv1.MachineNodeReadyCondition) || machine.Spec.ProviderID == "" {
			return fmt.Errorf("Machine %s has the conditions %v", machine.Name, machine.Status.Conditions)
		}
		return nil
	})
}

// healthCheck has workers checked, and healed by a strategy.
func healthCheck(w *capitest.World, cluster *clusterv1.Cluster, strategy infrav1.PacketRemediationStrategy) {
	w.Create(&infrav1.PacketRemediationTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "heal"},
		Spec:       infrav1.PacketRemediationTemplateSpec{Template: infrav1.PacketRemediationTemplateResource{Spec: infrav1.PacketRemediationSpec{Strategy: strategy}}},
	})
	w.Create(&clusterv1.MachineHealthCheck{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "workers"},
		Spec: clusterv1.MachineHealthCheckSpec{
			ClusterName: cluster.Name,
			Selector:    metav1.LabelSelector{MatchLabels: map[string]string{"role": "worker"}},
			Checks: clusterv1.MachineHealthCheckChecks{UnhealthyNodeConditions: []clusterv1.UnhealthyNodeCondition{
				{Type: corev1.NodeReady, Status: corev1.ConditionUnknown, TimeoutSeconds: ptr.To[int32](0)},
			}},
			Remediation: clusterv1.MachineHealthCheckRemediation{TemplateRef: clusterv1.MachineHealthCheckRemediationTemplateReference{
				APIVersion: infrav1.GroupVersion.String(), Kind: "PacketRemediationTemplate", Name: "heal",
			}},
		},
	})
}

// heal makes the remediation of a Machine, as a MachineHealthCheck does.
func heal(w *capitest.World, machine *clusterv1.Machine, strategy infrav1.PacketRemediationStrategy) *infrav1.PacketRemediation {
	remediation := &infrav1.PacketRemediation{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: machine.Namespace, Name: machine.Name, Labels: map[string]string{clusterv1.ClusterNameLabel: machine.Spec.ClusterName},
			OwnerReferences: []metav1.OwnerReference{{APIVersion: clusterv1.GroupVersion.String(), Kind: "Machine", Name: machine.Name, UID: machine.UID}},
		},
		Spec: infrav1.PacketRemediationSpec{Strategy: strategy},
	}
	w.Create(remediation)
	return remediation
}

// workers makes a MachineSet of one machine and returns the Machine when it is a node.
func workers(t *testing.T, w *capitest.World, cluster *clusterv1.Cluster) *clusterv1.Machine {
	t.Helper()
	w.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "workers"}, StringData: map[string]string{"value": capitest.UserData}})
	w.Create(&infrav1.PacketMachineTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "workers"},
		Spec: infrav1.PacketMachineTemplateSpec{Template: infrav1.PacketMachineTemplateResource{
			Spec: infrav1.PacketMachineSpec{OS: "ubuntu_24_04", MachineType: "c3.small.x86"},
		}},
	})
	labels := map[string]string{"role": "worker", clusterv1.ClusterNameLabel: cluster.Name}
	w.Create(&clusterv1.MachineSet{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: w.Namespace + "-workers", Labels: labels},
		Spec: clusterv1.MachineSetSpec{
			ClusterName: cluster.Name, Replicas: ptr.To[int32](1), Selector: metav1.LabelSelector{MatchLabels: labels},
			Template: clusterv1.MachineTemplateSpec{
				ObjectMeta: clusterv1.ObjectMeta{Labels: labels},
				Spec: clusterv1.MachineSpec{
					ClusterName: cluster.Name, Bootstrap: clusterv1.Bootstrap{DataSecretName: ptr.To("workers")},
					InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: infrav1.GroupVersion.Group, Kind: "PacketMachineTemplate", Name: "workers"},
				},
			},
		},
	})
	machine := worker(t, w, "")
	becomesNode(t, w, machine)
	return machine
}

// worker waits for the only worker, which is not a former one.
func worker(t *testing.T, w *capitest.World, former string) *clusterv1.Machine {
	t.Helper()
	var machine *clusterv1.Machine
	w.Eventually(func() error {
		machines := &clusterv1.MachineList{}
		if err := w.Client.List(t.Context(), machines, client.InNamespace(w.Namespace), client.MatchingLabels{"role": "worker"}); err != nil {
			return err
		}
		if len(machines.Items) != 1 || machines.Items[0].Name == former {
			return fmt.Errorf("%d workers", len(machines.Items))
		}
		machine = &machines.Items[0]
		return nil
	})
	return machine
}

// actions are what was asked of devices, in order, once per try of the client.
func actions(t *testing.T, w *capitest.World) []string {
	t.Helper()
	var found []string
	for _, request := range w.Network.Requests(http.MethodPost, "/actions") {
		action := packet.DeviceAction{}
		if err := json.Unmarshal([]byte(request.Body), &action); err != nil {
			t.Fatal(err)
		}
		found = append(found, action.Type)
	}
	return found
}

func asked(t *testing.T, w *capitest.World, want ...string) {
	t.Helper()
	w.Eventually(func() error {
		if got := actions(t, w); !slices.Equal(got, want) {
			return fmt.Errorf("the API was asked for %v, want %v", got, want)
		}
		return nil
	})
}

func isGone(w *capitest.World, object client.Object) {
	w.Eventually(func() error {
		if err := w.Get(object); !apierrors.IsNotFound(err) {
			return fmt.Errorf("%T %s is still there: %w", object, object.GetName(), err)
		}
		return nil
	})
}

// says waits until the Ready condition of a remediation has a reason.
func says(w *capitest.World, remediation *infrav1.PacketRemediation, reason string) {
	w.Eventually(func() error {
		if err := w.Get(remediation); err != nil {
			return err
		}
		if condition := conditions.Get(remediation, infrav1.ReadyCondition); condition == nil || condition.Reason != reason {
			return fmt.Errorf("condition is %+v, want reason %s; status %+v", condition, reason, remediation.Status)
		}
		return nil
	})
}

func remediationOf(machine *clusterv1.Machine) *infrav1.PacketRemediation {
	return &infrav1.PacketRemediation{ObjectMeta: metav1.ObjectMeta{Namespace: machine.Namespace, Name: machine.Name}}
}

func seconds(n int) *metav1.Duration {
	return &metav1.Duration{Duration: time.Duration(n) * time.Second}
}

func TestRebootHealsAMachine(t *testing.T) {
	w, cluster, _ := newWorld(t, 1)
	machine := workers(t, w, cluster)
	healthCheck(w, cluster, infrav1.PacketRemediationStrategy{RetryLimit: ptr.To[int32](3)})
	w.SetNodeReady(machine.Name, corev1.ConditionUnknown)
	asked(t, w, packet.ActionReboot)
	says(w, remediationOf(machine), infrav1.RemediationWaitingReason)
	w.SetNodeReady(machine.Name, corev1.ConditionTrue)
	isGone(w, remediationOf(machine))
	asked(t, w, packet.ActionReboot)
	// The MachineHealthCheck deletes the remediation before it writes that the Machine is healthy.
	w.Eventually(func() error {
		if err := w.Get(machine); err != nil {
			return err
		}
		if !conditions.IsTrue(machine, clusterv1.MachineHealthCheckSucceededCondition) || conditions.Has(machine, clusterv1.MachineOwnerRemediatedCondition) {
			return fmt.Errorf("conditions of the Machine are %v", machine.Status.Conditions)
		}
		return nil
	})
	if devices := w.Devices(); len(devices) != 2 {
		t.Errorf("%d devices, want the master's and the worker's", len(devices))
	}
}

func TestAMachineIsReplacedWhenNothingHelped(t *testing.T) {
	w, cluster, _ := newWorld(t, 1)
	machine := workers(t, w, cluster)
	healthCheck(w, cluster, infrav1.PacketRemediationStrategy{
		Steps:      []infrav1.PacketRemediationStep{infrav1.RemediationReboot, infrav1.RemediationPowerCycle},
		RetryLimit: ptr.To[int32](2), Timeout: seconds(1),
	})
	w.SetNodeReady(machine.Name, corev1.ConditionUnknown)
	isGone(w, machine)
	becomesNode(t, w, worker(t, w, machine.Name))
	asked(t, w, packet.ActionReboot, packet.ActionReboot, packet.ActionPowerOff, packet.ActionPowerOn, packet.ActionPowerOff, packet.ActionPowerOn)
	w.Eventually(func() error {
		if devices := w.Devices(); len(devices) != 2 {
			return fmt.Errorf("%d devices, want the master's and the new worker's", len(devices))
		}
		return nil
	})
}

func TestReinstallWithTheBootstrapDataOfToday(t *testing.T) {
	w, cluster, _ := newWorld(t, 1)
	machine := workers(t, w, cluster)
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "workers"}}
	if err := w.Get(secret); err != nil {
		t.Fatal(err)
	}
	secret.Data["value"] = []byte("#cloud-config\nruncmd: [\"echo\", \"today\"]\n")
	if err := w.Client.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	remediation := heal(w, machine, infrav1.PacketRemediationStrategy{Steps: []infrav1.PacketRemediationStep{infrav1.RemediationReinstall}})
	says(w, remediation, infrav1.RemediationWaitingReason)
	asked(t, w, packet.ActionReinstall)
	for _, device := range w.Devices() {
		if device.Hostname == machine.Name && !strings.Contains(device.Userdata, "today") {
			t.Errorf("user data is %q", device.Userdata)
		}
	}
}

func TestAMachineWithoutDeviceIsReplacedAtOnce(t *testing.T) {
	w, cluster, _ := newWorld(t, 1)
	machine := workers(t, w, cluster)
	healthCheck(w, cluster, infrav1.PacketRemediationStrategy{RetryLimit: ptr.To[int32](1)})
	id, err := packet.DeviceID(machine.Spec.ProviderID)
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Packet.DeleteDevice(t.Context(), id, true); err != nil {
		t.Fatal(err)
	}
	w.Eventually(func() error {
		if _, err := w.Packet.Device(t.Context(), id); !packet.IsNotFound(err) {
			return fmt.Errorf("the device is still there: %w", err)
		}
		return nil
	})
	w.SetNodeReady(machine.Name, corev1.ConditionUnknown)
	isGone(w, machine)
	asked(t, w)
}
