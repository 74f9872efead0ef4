package ccm

import (
	"context"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	cloudprovider "k8s.io/cloud-provider"
	nodecontroller "k8s.io/cloud-provider/controllers/node"
	"k8s.io/cloud-provider/controllers/nodelifecycle"
	controllersmetrics "k8s.io/component-base/metrics/prometheus/controllers"

	"github.com/packetyard/packetyard/pkg/packet"
)

// Finding 1 of upstream's: base-url was read and never used.
func TestBaseURLIsUsed(t *testing.T) {
	a := newAPI(t, deviceNumber(1))
	file := filepath.Join(t.TempDir(), "cloud-sa.json")
	if err := os.WriteFile(file, []byte(`{"apiKey":"`+testToken+`","projectId":"`+testProject+`","base-url":"`+a.URL+`/metal/v1"}`), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"PACKET_API_URL", "PACKET_API_TOKEN", "PACKET_API_KEY", "PACKET_PROJECT_ID", "METAL_API_KEY", "METAL_PROJECT_ID"} {
		t.Setenv(name, "")
	}
	for _, name := range []string{"packet", "equinixmetal"} {
		provider, err := cloudprovider.InitCloudProvider(name, file)
		if err != nil {
			t.Fatal(err)
		}
		instances, _ := provider.InstancesV2()
		got, err := instances.InstanceMetadata(t.Context(), node("node-1", "", uninitialised))
		if err != nil || got.ProviderID != packet.ProviderID(deviceNumber(1).ID) {
			t.Errorf("%s: got %+v, %v", name, got, err)
		}
		if provider.ProviderName() != "packet" || !provider.HasClusterID() {
			t.Errorf("%s: name is %q, cluster ID %v", name, provider.ProviderName(), provider.HasClusterID())
		}
	}
	if a.asked(listDevices) != 2 {
		t.Errorf("the API was asked %d times", a.asked(listDevices))
	}
}

func TestAConfigurationThatIsWrongFailsAtOnce(t *testing.T) {
	var file io.Reader
	if _, err := newCloud(file, func(string) string { return "" }, prometheus.NewPedanticRegistry()); err == nil {
		t.Error("a provider without credentials was made")
	}
}

func TestCheckProject(t *testing.T) {
	a := newAPI(t)
	for _, test := range []struct {
		name, token string
		fails       bool
	}{{"right token", testToken, false}, {"wrong token", "wrong", true}} {
		client, err := packet.NewClient(packet.Config{BaseURL: a.URL + "/metal/v1", Token: test.token})
		if err != nil {
			t.Fatal(err)
		}
		if err := newCloudForClient(client, testProject, packet.SystemClock{}).checkProject(t.Context()); (err != nil) != test.fails {
			t.Errorf("%s: %v", test.name, err)
		}
	}
}

// The framework's own controllers over this provider: nodes are initialised,
// nodes of another cloud are neither touched nor the cause of a panic, and a
// node goes when its device is gone, but not when the API is.
func TestTheFrameworksControllers(t *testing.T) {
	a := newAPI(t, deviceNumbers(12)...)
	client, err := packet.NewClient(packet.Config{BaseURL: a.URL + "/metal/v1", Token: testToken, Retries: -1})
	if err != nil {
		t.Fatal(err)
	}
	clock := &steppedClock{now: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	provider := newCloudForClient(client, testProject, clock)

	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	kube := fake.NewClientset(
		node("node-11", "", uninitialised),
		node("node-3", packet.ProviderID(deviceNumber(3).ID)),
		node("gone", packet.ProviderID(deviceNumber(99).ID)),
		node("foreign", "aws:///eu-west-1a/i-0123"),
		node("foreign-new", "aws:///eu-west-1a/i-4567", uninitialised),
	)
	factory := informers.NewSharedInformerFactory(kube, 0)
	nodes := factory.Core().V1().Nodes()
	controller, err := nodecontroller.NewCloudNodeController(nodes, kube, provider, time.Hour, 1, 2)
	if err != nil {
		t.Fatal(err)
	}
	lifecycle, err := nodelifecycle.NewCloudNodeLifecycleController(nodes, kube, provider, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	changes, err := kube.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer changes.Stop()
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	runCtx, stop := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { controller.RunWithContext(runCtx, controllersmetrics.NewControllerManagerMetrics("test")) })
	// Run makes what the two loops below it use, so their own first rounds are
	// waited for by what they do.
	running.Go(func() { lifecycle.Run(runCtx, controllersmetrics.NewControllerManagerMetrics("test")) })
	defer running.Wait()
	defer stop()

	initialised, deleted := waitForNodes(ctx, t, changes)
	if initialised.Spec.ProviderID != packet.ProviderID(deviceNumber(11).ID) {
		t.Errorf("provider ID is %q", initialised.Spec.ProviderID)
	}
	for label, want := range map[string]string{
		corev1.LabelInstanceTypeStable: "c3.small.x86", corev1.LabelTopologyRegion: "da", corev1.LabelTopologyZone: "da11",
	} {
		if got := initialised.Labels[label]; got != want {
			t.Errorf("label %s is %q, want %q", label, got, want)
		}
	}
	if want := []string{"Hostname=node-11", "InternalIP=10.0.0.23", "ExternalIP=198.18.1.23"}; !slices.Equal(addressTexts(initialised.Status.Addresses), want) {
		t.Errorf("addresses are %v, want %v", addressTexts(initialised.Status.Addresses), want)
	}
	if deleted != "gone" {
		t.Errorf("node %q was deleted", deleted)
	}

	// The status loop over all nodes, those of another cloud among them.
	if err := controller.UpdateNodeStatus(ctx); err != nil {
		t.Fatal(err)
	}
	// Every node is not ready, and the API fails: nothing goes.
	a.fail(func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, "Not found") })
	clock.advance(listingTTL)
	lifecycle.MonitorNodes(ctx)
	list, err := kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var left []string
	for _, n := range list.Items {
		left = append(left, n.Name)
	}
	slices.Sort(left)
	if want := []string{"foreign", "foreign-new", "node-11", "node-3"}; !slices.Equal(left, want) {
		t.Errorf("nodes left are %q, want %q", left, want)
	}
	foreign, err := kube.CoreV1().Nodes().Get(ctx, "foreign-new", metav1.GetOptions{})
	if err != nil || !awaitsInitialisation(foreign) {
		t.Errorf("a node of another cloud was initialised: %v", err)
	}
}

// waitForNodes returns when node-11 has its addresses and one node is deleted.
func waitForNodes(ctx context.Context, t *testing.T, changes watch.Interface) (initialised *corev1.Node, deleted string) {
	t.Helper()
	for initialised == nil || deleted == "" {
		select {
		case <-ctx.Done():
			t.Fatalf("node-11 initialised: %v, deleted: %q", initialised != nil, deleted)
		case change := <-changes.ResultChan():
			n, isNode := change.Object.(*corev1.Node)
			switch {
			case !isNode:
				t.Fatalf("the watch gave %v", change)
			case change.Type == watch.Deleted:
				deleted = n.Name
			case n.Name == "node-11" && !awaitsInitialisation(n) && len(n.Status.Addresses) > 0:
				initialised = n
			}
		}
	}
	return initialised, deleted
}
