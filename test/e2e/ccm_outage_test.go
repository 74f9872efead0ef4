//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/packetyard/packetyard/internal/machines/namespaces"
	"github.com/packetyard/packetyard/internal/yard/statedir"
	"github.com/packetyard/packetyard/pkg/packet"
)

// outageEnvironment shortens the outage for whoever works on the test.
const outageEnvironment = "PACKETYARD_E2E_OUTAGE"

// outage is how long the Packet API is away.
func outage(t *testing.T) time.Duration {
	t.Helper()
	text := os.Getenv(outageEnvironment)
	if text == "" {
		return 10 * time.Minute
	}
	length, err := time.ParseDuration(text)
	if err != nil || length <= 0 {
		t.Fatalf("%s is %q, want a time such as 90s", outageEnvironment, text)
	}
	return length
}

// TestPacketAPIOutage takes the Packet API away for ten minutes: no node is
// deleted or tainted as shut down, and everything goes on afterwards.
//
// It is worst for nodes that are not ready, because it is those that the cloud
// controller manager asks the API about, every five seconds: one kubelet is
// stopped meanwhile, and one device was off before.
func TestPacketAPIOutage(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	file := withCCM(t, exampleCluster(t), ccmManifest(t, "{loadBalancer: 'kube-vip://', extraArgs: [--packet-metro=da]}"))
	step(t, "up", func(t *testing.T) { y.must(t, "up", "-f", file, "--workers", "3") })
	kubeconfig := y.kubeconfig(t, "")
	s := &services{y: y, kubeconfig: kubeconfig, kube: y.kubernetes(t, kubeconfig)}
	s.client, s.project = y.api(t)

	var workers []corev1.Node
	for _, node := range mustNodes(t, s.kube) {
		if !isControlPlane(node) {
			workers = append(workers, node)
		}
	}
	silent, off, well := workers[0], workers[1], workers[2]
	step(t, "before", func(t *testing.T) {
		s.create(t, "before", nil)
		s.kept = s.await(t, "before")
		y.power(t, off, packet.ActionPowerOff)
		eventually(t, "the node of the device that is off is tainted", func(ctx context.Context) error {
			return checkShutDown(ctx, s.kube, off, true)
		})
	})

	step(t, "during", func(t *testing.T) { duringOutage(t, s, silent, off) })

	step(t, "after", func(t *testing.T) {
		y.must(t, "exec", silent.Name, "--", "systemctl", "start", "kubelet")
		y.power(t, off, packet.ActionPowerOn)
		y.power(t, well, packet.ActionPowerOff)
		y.kubectl(t, y.kubeconfig(t, "bootstrap"), "scale", "machinedeployment", "demo-workers", "--replicas=4")
		during := s.await(t, "during")
		if got := s.await(t, "before"); got != s.kept {
			t.Errorf("the Service of before has %s, want %s", got, s.kept)
		}
		eventually(t, "each Service has one reservation", func(ctx context.Context) error { return s.reserved(ctx, s.kept, during) })
		eventually(t, "a new node is initialised, and each node is what its device is", func(ctx context.Context) error {
			nodes, err := nodesByName(ctx, s.kube)
			if err == nil && len(nodes) != 5 {
				err = fmt.Errorf("%d nodes, want 5", len(nodes))
			}
			for name, node := range nodes {
				if name != well.Name {
					err = errors.Join(err, checkNode(node))
				}
			}
			return errors.Join(err, checkShutDown(ctx, s.kube, well, true), checkShutDown(ctx, s.kube, off, false), checkShutDown(ctx, s.kube, silent, false))
		})
		s.remove(t, "before")
		s.remove(t, "during")
		eventually(t, "the addresses are released", func(ctx context.Context) error { return s.reserved(ctx) })
		y.checkRights(t, kubeconfig, s.kube)
	})
}

// duringOutage is the outage itself, under watch.
func duringOutage(t *testing.T, s *services, silent, off corev1.Node) {
	kube := s.y.kubernetesPastSupervisor(t, s.kubeconfig)
	pod, before := theCCMPod(t, kube), mustNodes(t, kube)
	length := outage(t)
	resume := s.y.stopAPI(t)
	began := time.Now()
	calls := s.y.packetCalls(t, pod)
	watched := watchNodes(t, kube)

	s.y.must(t, "exec", silent.Name, "--", "systemctl", "stop", "kubelet")
	meanwhile := *s
	meanwhile.kube = kube
	meanwhile.create(t, "during", nil)
	eventually(t, "the node whose kubelet is stopped is not Ready", func(ctx context.Context) error {
		node, err := kube.CoreV1().Nodes().Get(ctx, silent.Name, metav1.GetOptions{})
		if err == nil && isReady(*node) {
			err = errors.New("it is")
		}
		return err
	})
	select {
	case <-time.After(length - time.Since(began)):
	case <-t.Context().Done():
		t.Fatal("the test was ended during the outage")
	}

	failed := difference(calls, s.y.packetCalls(t, pod))
	seen := watched()
	t.Logf("%s without the API: %d changes of nodes were seen; the cloud controller manager's calls: %v", length, len(seen), failed)
	after := mustNodes(t, kube)
	if now := theCCMPod(t, kube); now.UID != pod.UID || restarts(now) != restarts(pod) {
		t.Errorf("the cloud controller manager's pod was replaced, or started again %d times", restarts(now)-restarts(pod))
	}
	resume()

	asked := 0
	for kind, count := range failed {
		if !strings.Contains(kind, `code="transport_error"`) {
			t.Errorf("the API, which was away, answered: %d times %s", count, kind)
		}
		asked += count
	}
	if asked == 0 || len(seen) == 0 {
		t.Errorf("%d calls failed and %d changes were seen: an outage that nobody noticed proves nothing", asked, len(seen))
	}
	for name, node := range before {
		if after[name].UID != node.UID {
			t.Errorf("node %s was deleted", name)
		}
	}
	for _, event := range seen {
		if node, ok := event.Object.(*corev1.Node); !ok || event.Type == watch.Deleted || isShutDown(*node) != (node.Name == off.Name) {
			t.Errorf("%s: %+v", event.Type, event.Object)
		}
	}
}

func restarts(pod corev1.Pod) (count int32) {
	for _, container := range pod.Status.ContainerStatuses {
		count += container.RestartCount
	}
	return count
}

// stopAPI kills the API server, and holds the supervisor, which would start
// it again, until the function that it returns is called.
func (y *yard) stopAPI(t *testing.T) (resume func()) {
	t.Helper()
	report := y.report(t)
	if err := syscall.Kill(report.PID, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	// `packetyard down` needs a supervisor that ends when it is told to.
	t.Cleanup(func() { _ = syscall.Kill(report.PID, syscall.SIGCONT) })
	if err := syscall.Kill(report.APIServer.PID, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	client, project := y.api(t)
	if _, err := client.Project(t.Context(), project); !packet.IsTransient(err) {
		t.Fatalf("the API does not fail: %v", err)
	}
	return func() {
		t.Helper()
		if err := syscall.Kill(report.PID, syscall.SIGCONT); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the Packet API is back", func(ctx context.Context) error {
			_, err := client.Project(ctx, project)
			return err
		})
	}
}

// kubernetesPastSupervisor is a client of a cluster that does not need the
// supervisor's proxy: it dials through the rack, as that does.
func (y *yard) kubernetesPastSupervisor(t *testing.T, kubeconfig string) kubernetes.Interface {
	t.Helper()
	dir, err := statedir.Open(y.state)
	if err != nil {
		t.Fatal(err)
	}
	rack, err := namespaces.Dial(t.Context(), dir.API())
	if err != nil {
		t.Fatal(err)
	}
	config, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	config.Proxy, config.Dial = nil, rack.DialContext
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// packetCalls are the cloud controller manager's calls of the Packet API by
// operation and code, as it counts them itself. Its metrics are served on its
// machine alone.
func (y *yard) packetCalls(t *testing.T, pod corev1.Pod) map[string]int {
	t.Helper()
	output := y.must(t, "exec", pod.Spec.NodeName, "--", "kubectl", "--kubeconfig", "/etc/kubernetes/admin.conf",
		"--server", "https://127.0.0.1:10258", "--insecure-skip-tls-verify", "get", "--raw", "/metrics")
	calls := map[string]int{}
	for line := range strings.Lines(output) {
		kind, number, found := strings.Cut(strings.TrimSpace(line), "} ")
		if kind, ours := strings.CutPrefix(kind, "packet_api_requests_total{"); found && ours {
			count, err := strconv.Atoi(number)
			if err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			calls[kind] = count
		}
	}
	return calls
}

func difference(before, after map[string]int) map[string]int {
	calls := map[string]int{}
	for _, kind := range slices.Sorted(maps.Keys(after)) {
		if after[kind] > before[kind] {
			calls[kind] = after[kind] - before[kind]
		}
	}
	return calls
}

// watchNodes notes what happens to nodes until the function that it returns is
// called, which returns all of it.
func watchNodes(t *testing.T, kube kubernetes.Interface) (stop func() []watch.Event) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	list, err := kube.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var events []watch.Event
	var problem error
	var done sync.WaitGroup
	done.Go(func() {
		version := list.ResourceVersion
		for ctx.Err() == nil {
			watcher, err := kube.CoreV1().Nodes().Watch(ctx, metav1.ListOptions{ResourceVersion: version, AllowWatchBookmarks: true})
			if err != nil {
				if ctx.Err() == nil {
					problem = errors.Join(problem, err)
				}
				return
			}
			// A watch ends after some minutes, and goes on with the next.
			for event := range watcher.ResultChan() {
				if node, ok := event.Object.(*corev1.Node); ok {
					version = node.ResourceVersion
				}
				// The end of the watch is an error to its decoder.
				ended := event.Type == watch.Error && ctx.Err() != nil
				if event.Type != watch.Bookmark && !ended {
					events = append(events, event)
				}
			}
		}
	})
	return func() []watch.Event {
		t.Helper()
		cancel()
		done.Wait()
		if problem != nil {
			t.Errorf("nodes were not watched all the time: %v", problem)
		}
		return events
	}
}
