package cri_test

import (
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/packetyard/packetyard/internal/machineos/cri"
	"github.com/packetyard/packetyard/internal/machineos/podnetwork"
)

// networked has pods with networks of their own, on a machine without an uplink.
func networked(t *testing.T) *runtime {
	t.Helper()
	network, err := podnetwork.Open("bond0", func() string { return "" })
	if err != nil {
		t.Fatal(err)
	}
	r := startWith(t, t.TempDir(), network)
	if _, err := r.UpdateRuntimeConfig(t.Context(), &runtimeapi.UpdateRuntimeConfigRequest{RuntimeConfig: &runtimeapi.RuntimeConfig{
		NetworkConfig: &runtimeapi.NetworkConfig{PodCidr: "192.168.7.0/24"},
	}}); err != nil {
		t.Fatal(err)
	}
	return r
}

// pod makes a pod with a container that runs a script.
func (r *runtime) pod(t *testing.T, mode runtimeapi.NamespaceMode, script string) (sandbox, id string) {
	t.Helper()
	sandbox, _ = r.sandbox(t, mode)
	return sandbox, r.container(t, sandbox, script)
}

// container runs a script in a pod.
func (r *runtime) container(t *testing.T, sandbox, script string) string {
	t.Helper()
	id := r.create(t, sandbox, &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: "worker"}, Image: &runtimeapi.ImageSpec{Image: "registry.example/worker:v1"}, Args: []string{script}, LogPath: "worker.log",
	})
	r.startContainer(t, id)
	return id
}

func (r *runtime) run(t *testing.T, id, script string) string {
	t.Helper()
	response, err := r.ExecSync(t.Context(), &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{"/bin/sh", "-c", script}, Timeout: 20})
	if err != nil {
		t.Fatal(err)
	}
	if response.ExitCode != 0 {
		t.Fatalf("%s: exit code %d: %s", script, response.ExitCode, response.Stderr)
	}
	return strings.TrimSpace(string(response.Stdout))
}

// listen listens as a container would.
func (r *runtime) listen(t *testing.T, id, address string) net.Listener {
	t.Helper()
	wanted := r.run(t, id, "readlink /proc/self/ns/net")
	processes, err := filepath.Glob("/proc/[0-9]*/ns/net")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range processes {
		if link, err := os.Readlink(file); err != nil || link != wanted {
			continue
		}
		there, err := netns.GetFromPath(file)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = there.Close() }()
		return listenIn(t, there, address)
	}
	t.Fatalf("no process has the network %s", wanted)
	return nil
}

func listenIn(t *testing.T, namespace netns.NsHandle, address string) net.Listener {
	t.Helper()
	goruntime.LockOSThread()
	defer goruntime.UnlockOSThread()
	before, err := netns.Get()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = before.Close() }()
	if err := netns.Set(namespace); err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", address)
	if back := netns.Set(before); back != nil {
		t.Fatal(back)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener
}

func TestPodsWithProcessesHaveTheirOwnNetworkAndName(t *testing.T) {
	r := networked(t)
	sandbox, id := r.pod(t, runtimeapi.NamespaceMode_POD, "exec sleep 1000")
	if ip := r.podIP(t, sandbox); ip != "192.168.7.2" {
		t.Errorf("the pod's address is %q, want 192.168.7.2", ip)
	}
	if links := r.run(t, id, "ls /sys/class/net | tr '\\n' ' '"); links != "eth0 lo" {
		t.Errorf("the pod's links are %q, want eth0 and lo", links)
	}
	if name := r.run(t, id, "cat /proc/sys/kernel/hostname /etc/hostname | tr '\\n' ' '"); name != "pod pod" {
		t.Errorf("the pod's host name is %q, want pod", name)
	}
	if table := r.run(t, id, "cat /proc/net/fib_trie"); !strings.Contains(table, "192.168.7.2") {
		t.Errorf("the pod's own address is not among\n%s", table)
	}
	if _, err := r.StopPodSandbox(t.Context(), &runtimeapi.StopPodSandboxRequest{PodSandboxId: sandbox}); err != nil {
		t.Fatal(err)
	}
	links, err := netlink.LinkList()
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if strings.HasPrefix(link.Attrs().Name, "pod") {
			t.Errorf("the link %s is left", link.Attrs().Name)
		}
	}
}

func TestPodsWithTheHostsNetworkHaveTheMachines(t *testing.T) {
	r := networked(t)
	_, id := r.pod(t, runtimeapi.NamespaceMode_NODE, "exec sleep 1000")
	if links := r.run(t, id, "ls /sys/class/net | tr '\\n' ' '"); strings.Contains(links, "eth0") || !strings.Contains(links, "lo") {
		t.Errorf("the links are %q, want the machine's", links)
	}
}

// A kubelet that is told so looks ten times a second whether its node has a
// range, and runs only pods with the host's network until then.
func TestTheNetworkIsReadyWithTheNodesRange(t *testing.T) {
	now := time.Now()
	r := startConfigured(t, t.TempDir(), cri.Config{RangePatience: 15 * time.Second, Now: func() time.Time { return now }})
	ready := func() bool {
		state, err := r.Status(t.Context(), &runtimeapi.StatusRequest{})
		if err != nil {
			t.Fatal(err)
		}
		return state.Status.Conditions[1].Status
	}
	if ready() {
		t.Error("the network is ready, and the node has no range")
	}
	// A cluster may leave its nodes without ranges.
	now = now.Add(15 * time.Second)
	if !ready() {
		t.Error("the network is not ready, and nobody seems to give the node a range")
	}
	now = now.Add(-15 * time.Second)
	if _, err := r.UpdateRuntimeConfig(t.Context(), &runtimeapi.UpdateRuntimeConfigRequest{RuntimeConfig: &runtimeapi.RuntimeConfig{
		NetworkConfig: &runtimeapi.NetworkConfig{PodCidr: "192.168.7.0/24"},
	}}); err != nil {
		t.Fatal(err)
	}
	if !ready() {
		t.Error("the network is not ready, and the node has a range")
	}
}

// Containers of one pod share its network, and have a name in common.
func TestContainersOfAPodShareItsNetwork(t *testing.T) {
	r := networked(t)
	sandbox, first := r.pod(t, runtimeapi.NamespaceMode_POD, "exec sleep 1000")
	second := r.create(t, sandbox, &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: "second"}, Image: &runtimeapi.ImageSpec{Image: "registry.example/worker:v1"}, Args: []string{"exec sleep 1000"}, LogPath: "second.log",
	})
	r.startContainer(t, second)
	of := "readlink /proc/self/ns/net"
	if one, two := r.run(t, first, of), r.run(t, second, of); one != two {
		t.Errorf("one container has the network %s, another of its pod %s", one, two)
	}
	_, other := r.pod(t, runtimeapi.NamespaceMode_POD, "exec sleep 1000")
	if one, two := r.run(t, first, of), r.run(t, other, of); one == two {
		t.Errorf("two pods share the network %s", one)
	}
}

// A port that a pod listens at is not its machine's.
func TestPortForwardReachesAPodsLoopback(t *testing.T) {
	r := networked(t)
	sandbox, id := r.pod(t, runtimeapi.NamespaceMode_POD, "exec sleep 1000")
	listener := r.listen(t, id, "127.0.0.1:0")
	port := listener.Addr().(*net.TCPAddr).Port
	if _, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
		t.Error("the machine answers at the pod's port")
	}
	r.forwards(t, sandbox, listener)
}

func TestHostPort(t *testing.T) {
	r := networked(t)
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := int32(free.Addr().(*net.TCPAddr).Port)
	_ = free.Close()
	sandbox, _ := r.sandboxWith(t, runtimeapi.NamespaceMode_POD, []*runtimeapi.PortMapping{{ContainerPort: 8080, HostPort: port}})
	id := r.container(t, sandbox, "exec sleep 1000")
	listener := r.listen(t, id, "192.168.7.2:8080")
	go func() {
		if connection, err := listener.Accept(); err == nil {
			_, _ = io.Copy(connection, connection)
			_ = connection.Close()
		}
	}()
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = connection.Write([]byte("hello"))
	_ = connection.(*net.TCPConn).CloseWrite()
	if answer, err := io.ReadAll(connection); err != nil || string(answer) != "hello" {
		t.Errorf("the answer is %q, %v", answer, err)
	}
	if _, err := r.StopPodSandbox(t.Context(), &runtimeapi.StopPodSandboxRequest{PodSandboxId: sandbox}); err != nil {
		t.Fatal(err)
	}
	if _, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port)); err == nil {
		t.Error("the host port is open, and its pod is gone")
	}
}
