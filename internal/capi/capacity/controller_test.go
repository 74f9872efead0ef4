package capacity_test

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/capi/capacity"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/internal/capi/credentials"
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

// clock is the system's, moved on by the test.
type clock struct {
	packet.SystemClock

	mutex sync.Mutex
	ahead time.Duration
}

func (c *clock) Now() time.Time {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.SystemClock.Now().Add(c.ahead)
}

func (c *clock) advance(by time.Duration) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.ahead += by
}

// run makes a world in which the controller runs.
func run(t *testing.T, now packet.Clock) *capitest.World {
	t.Helper()
	w := capitest.NewWorld(t, env, apiservertest.Options{})
	w.Add(func(ctx context.Context, mgr ctrl.Manager, accounts *credentials.Resolver) error {
		return (&capacity.Reconciler{Client: mgr.GetClient(), Accounts: accounts, Clock: now}).SetupWithManager(ctx, mgr, controller.Options{})
	})
	return w
}

func template(namespace, name, machineType string) *infrav1.PacketMachineTemplate {
	return &infrav1.PacketMachineTemplate{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: infrav1.PacketMachineTemplateSpec{Template: infrav1.PacketMachineTemplateResource{
			Spec: infrav1.PacketMachineSpec{OS: "ubuntu_24_04", MachineType: machineType},
		}},
	}
}

// has waits until a template's condition has a status and reason.
func has(w *capitest.World, o *infrav1.PacketMachineTemplate, status metav1.ConditionStatus, reason string) {
	w.Eventually(func() error {
		if err := w.Get(o); err != nil {
			return err
		}
		if c := conditions.Get(o, infrav1.CapacityKnownCondition); c == nil || c.Status != status || c.Reason != reason {
			return fmt.Errorf("the condition is %v, want %s %s", c, status, reason)
		}
		return nil
	})
}

func plansListed(w *capitest.World) int { return len(w.Network.Requests(http.MethodGet, "/plans")) }

func TestCapacityFromPlan(t *testing.T) {
	now := &clock{}
	w := run(t, now)
	w.Run()
	small, large := template(w.Namespace, "small", "c3.small.x86"), template(w.Namespace, "large", "c3.large.arm64")
	w.Create(small)
	w.Create(large)
	has(w, small, metav1.ConditionTrue, infrav1.CapacityFromPlanReason)
	has(w, large, metav1.ConditionTrue, infrav1.CapacityFromPlanReason)
	if c := small.Status.Capacity; c.Cpu().String() != "8" || c.Memory().String() != "32Gi" || c.StorageEphemeral().String() != "480G" {
		t.Errorf("the capacity of c3.small.x86 is %v", c)
	}
	if n := large.Status.NodeInfo; n.Architecture != "arm64" || n.OperatingSystem != "linux" {
		t.Errorf("the node of c3.large.arm64 is %v", n)
	}
	if got := plansListed(w); got != 1 {
		t.Errorf("the plans were listed %d times for two templates, want 1", got)
	}

	t.Run("nothing is written when nothing changed", func(t *testing.T) {
		w.Touch(small)
		version := small.ResourceVersion
		// Another template that is done tells that the first one was looked at: one worker does both, in order.
		other := template(w.Namespace, "other", "m3.large.x86")
		w.Create(other)
		has(w, other, metav1.ConditionTrue, infrav1.CapacityFromPlanReason)
		if err := w.Get(small); err != nil {
			t.Fatal(err)
		}
		if small.ResourceVersion != version {
			t.Error("a reconcile that changed nothing wrote the template")
		}
		if got := plansListed(w); got != 1 {
			t.Errorf("the plans were listed %d times, want 1", got)
		}
	})
	t.Run("the listing expires after an hour", func(t *testing.T) {
		now.advance(capacity.PlansTTL)
		other := template(w.Namespace, "later", "m3.large.x86")
		w.Create(other)
		has(w, other, metav1.ConditionTrue, infrav1.CapacityFromPlanReason)
		if got := plansListed(w); got != 2 {
			t.Errorf("the plans were listed %d times, want 2", got)
		}
	})
}

func TestUnknownPlan(t *testing.T) {
	w := run(t, nil)
	w.Run()
	o := template(w.Namespace, "t", "c9.huge.x86")
	w.Create(o)
	has(w, o, metav1.ConditionFalse, infrav1.CapacityPlanNotFoundReason)
	if c := conditions.Get(o, infrav1.CapacityKnownCondition); !strings.Contains(c.Message, `spec.template.spec.machineType`) || !strings.Contains(c.Message, `"c9.huge.x86"`) {
		t.Errorf("the message is %q", c.Message)
	}
	if o.Status.Capacity != nil || o.Status.NodeInfo.Architecture != "" {
		t.Errorf("the status is %v", o.Status)
	}
}

func TestPlanThatDoesNotTell(t *testing.T) {
	w := run(t, nil)
	w.Network.Break(func(r *http.Request) capitest.Verdict {
		if strings.HasSuffix(r.URL.Path, "/plans") {
			return capitest.Verdict{Status: http.StatusOK, Body: `{"plans":[{"id":"x","slug":"odd","specs":{"cpus":[{"count":1,"type":"fast"}]}}]}`}
		}
		return capitest.Verdict{}
	})
	w.Run()
	o := template(w.Namespace, "t", "odd")
	w.Create(o)
	has(w, o, metav1.ConditionFalse, infrav1.CapacityPlanIncompleteReason)
	if c := conditions.Get(o, infrav1.CapacityKnownCondition); !strings.Contains(c.Message, `"fast"`) || !strings.Contains(c.Message, "annotate the MachineDeployment") {
		t.Errorf("the message is %q", c.Message)
	}
}

func TestAPIThatFails(t *testing.T) {
	w := run(t, nil)
	w.Network.Break(func(r *http.Request) capitest.Verdict {
		if strings.HasSuffix(r.URL.Path, "/plans") {
			return capitest.Verdict{Status: http.StatusServiceUnavailable}
		}
		return capitest.Verdict{}
	})
	w.Run()
	o := template(w.Namespace, "t", "c3.small.x86")
	w.Create(o)
	has(w, o, metav1.ConditionFalse, infrav1.APIErrorReason)
	w.Network.Break(nil)
	has(w, o, metav1.ConditionTrue, infrav1.CapacityFromPlanReason)
}

func TestCredentialsThatAreRefused(t *testing.T) {
	w := run(t, nil)
	w.SetCredentials("wrong")
	w.Run()
	o := template(w.Namespace, "t", "c3.small.x86")
	w.Create(o)
	has(w, o, metav1.ConditionFalse, infrav1.CredentialsRejectedReason)
	if c := conditions.Get(o, infrav1.CapacityKnownCondition); strings.Contains(c.Message, "wrong") {
		t.Errorf("the message has the token: %q", c.Message)
	}
}

// A template that is used asks with the credentials of its cluster.
func TestCredentialsOfTheCluster(t *testing.T) {
	w := run(t, nil)
	w.SetCredentials("wrong")
	cluster, _ := w.Cluster(w.Namespace, "c", func(c *infrav1.PacketCluster) {
		c.Spec.CredentialsRef.Name = "own"
	})
	w.Create(credentialsSecret(w, "own"))
	w.Run()
	o := template(w.Namespace, "t", "c3.small.x86")
	o.OwnerReferences = []metav1.OwnerReference{{APIVersion: clusterv1.GroupVersion.String(), Kind: "Cluster", Name: cluster.Name, UID: cluster.UID}}
	w.Create(o)
	has(w, o, metav1.ConditionTrue, infrav1.CapacityFromPlanReason)
}

func TestPausedTemplate(t *testing.T) {
	w := run(t, nil)
	cluster, _ := w.Cluster(w.Namespace, "c")
	cluster.Spec.Paused = ptr.To(true)
	if err := w.Client.Update(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	w.Run()
	o := template(w.Namespace, "t", "c3.small.x86")
	o.OwnerReferences = []metav1.OwnerReference{{APIVersion: clusterv1.GroupVersion.String(), Kind: "Cluster", Name: cluster.Name, UID: cluster.UID}}
	w.Create(o)
	w.Eventually(func() error {
		if err := w.Get(o); err != nil {
			return err
		}
		if !conditions.IsTrue(o, clusterv1.PausedCondition) {
			return fmt.Errorf("the template is not paused: %v", o.Status.Conditions)
		}
		return nil
	})
	if conditions.Has(o, infrav1.CapacityKnownCondition) || plansListed(w) != 0 {
		t.Error("a paused template is worked on")
	}
	w.Eventually(func() error {
		if err := w.Get(cluster); err != nil {
			return err
		}
		cluster.Spec.Paused = nil
		return w.Client.Update(t.Context(), cluster)
	})
	has(w, o, metav1.ConditionTrue, infrav1.CapacityFromPlanReason)
}

func credentialsSecret(w *capitest.World, name string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: name},
		StringData: map[string]string{credentials.KeyAPIURL: w.Network.URL, credentials.KeyAPIToken: w.API.Token, credentials.KeyProjectID: w.API.ProjectID},
	}
}

func TestCapacityOfPools(t *testing.T) {
	now := &clock{}
	w := run(t, now)
	cluster, _ := w.Cluster(w.Namespace, "c")
	w.Run()
	pool := &infrav1.PacketMachinePool{
		ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "p", Labels: map[string]string{clusterv1.ClusterNameLabel: cluster.Name}},
		Spec: infrav1.PacketMachinePoolSpec{Template: infrav1.PacketMachinePoolMachineTemplate{
			Spec: infrav1.PacketMachineSpec{OS: "ubuntu_24_04", MachineType: "c3.small.x86"},
		}},
	}
	w.Create(pool)
	cpus := func(want int64, architecture infrav1.Architecture) {
		t.Helper()
		w.Eventually(func() error {
			if err := w.Get(pool); err != nil {
				return err
			}
			if s := pool.Status; s.Capacity.Cpu().Value() != want || s.NodeInfo.Architecture != architecture {
				return fmt.Errorf("the status is %v, want %d cores of %q", s, want, architecture)
			}
			return nil
		})
	}
	cpus(8, infrav1.ArchitectureAMD64)
	for machineType, want := range map[string]struct {
		cores        int64
		architecture infrav1.Architecture
	}{"c3.large.arm64": {80, infrav1.ArchitectureARM64}, "c9.huge.x86": {}} {
		w.Eventually(func() error {
			if err := w.Get(pool); err != nil {
				return err
			}
			pool.Spec.Template.Spec.MachineType = machineType
			return w.Client.Update(t.Context(), pool)
		})
		cpus(want.cores, want.architecture)
	}
	if got := plansListed(w); got != 1 {
		t.Errorf("the plans were listed %d times, want 1", got)
	}
}
