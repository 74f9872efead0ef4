package ccm

import (
	"context"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
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

// What only the API can know is checked before a controller starts, and what
// it refuses is final. That it does not answer is not.
func TestTheAPIIsAskedWhetherTheConfigurationIsRight(t *testing.T) {
	a := newAPI(t)
	tokenFile := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(tokenFile, []byte(testToken+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const otherProject = "00000000-0000-4000-8000-000000000001"
	for _, test := range []struct {
		name   string
		change map[string]string
		outage http.HandlerFunc
		// wrong is what the error must mention, none if there must be none.
		wrong []string
	}{
		{name: "right"},
		{name: "right, with a metro", change: map[string]string{"METAL_METRO_NAME": "DA"}},
		{name: "wrong token", change: map[string]string{"PACKET_API_TOKEN": "wrong"}, wrong: []string{"does not know the token", "PACKET_API_TOKEN"}},
		{name: "wrong project", change: map[string]string{"PACKET_PROJECT_ID": otherProject}, wrong: []string{otherProject, "PACKET_PROJECT_ID"}},
		{name: "wrong project and wrong metro", change: map[string]string{"PACKET_PROJECT_ID": otherProject, "METAL_METRO_NAME": "atlantis"},
			wrong: []string{otherProject, "atlantis"}},
		{name: "token file", change: map[string]string{"PACKET_API_TOKEN": "", "METAL_API_KEY_FILE": tokenFile}},
		{name: "token file that is absent, and a metro", change: map[string]string{"PACKET_API_TOKEN": "", "METAL_API_KEY_FILE": tokenFile + ".absent", "PACKET_METRO_NAME": "-"},
			wrong: []string{tokenFile + ".absent", "METAL_API_KEY_FILE", "PACKET_METRO_NAME"}},
		{name: "wrong metro", change: map[string]string{"METAL_METRO_NAME": "atlantis"}, wrong: []string{"atlantis", "METAL_METRO_NAME", "[am da]"}},
		{name: "wrong facility", change: map[string]string{"METAL_FACILITY_NAME": "da99"}, wrong: []string{"da99", "[da11]"}},
		{name: "nothing", change: map[string]string{"PACKET_API_TOKEN": "", "PACKET_PROJECT_ID": "", "PACKET_API_URL": ""},
			wrong: []string{"PACKET_API_TOKEN", "PACKET_PROJECT_ID", "PACKET_API_URL"}},
		{name: "outage", outage: func(w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusBadRequest, "maintenance") }},
		{name: "a proxy's 404", outage: func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "default backend - 404", http.StatusNotFound)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a.fail(test.outage)
			env := map[string]string{"PACKET_API_TOKEN": testToken, "PACKET_PROJECT_ID": testProject, "PACKET_API_URL": a.URL + "/metal/v1"}
			maps.Copy(env, test.change)
			_, err := newCloud(t.Context(), nil, func(name string) string { return env[name] }, prometheus.NewPedanticRegistry())
			if len(test.wrong) == 0 {
				if err != nil {
					t.Error(err)
				}
				return
			}
			if err == nil {
				t.Fatal("it was taken")
			}
			for _, text := range test.wrong {
				if !strings.Contains(err.Error(), text) {
					t.Errorf("error %q does not mention %q", err, text)
				}
			}
			if strings.Contains(err.Error(), testToken) {
				t.Errorf("error %q shows the token", err)
			}
		})
	}
}

// Finding 10 of upstream's: an unknown scheme gave a load balancer that was nil
// and claimed to be there.
func TestWithoutASettingThereIsNoLoadBalancer(t *testing.T) {
	client, err := packet.NewClient(packet.Config{BaseURL: testURL, Token: testToken})
	if err != nil {
		t.Fatal(err)
	}
	provider := newCloudForClient(client, testConfig(testProject), packet.SystemClock{})
	if balancer, supported := provider.LoadBalancer(); supported || balancer != nil {
		t.Errorf("got %v, %v", balancer, supported)
	}
	if balancers, err := provider.newLoadBalancers(); err != nil || balancers != nil {
		t.Errorf("got %v, %v", balancers, err)
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
	provider := newCloudForClient(client, testConfig(testProject), clock)

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
