package cri_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/status"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	utilexec "k8s.io/client-go/util/exec"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"

	"github.com/packetyard/packetyard/internal/machineos/cri"
	"github.com/packetyard/packetyard/internal/machineos/podnetwork"
	"github.com/packetyard/packetyard/internal/machineos/process"
	"github.com/packetyard/packetyard/internal/machineos/testmachine"
)

func TestMain(m *testing.M) { testmachine.Main(m) }

const machineAddress = "127.0.0.1"

// runtime is a runtime behind its socket, and what a kubelet knows of it.
type runtime struct {
	runtimeapi.RuntimeServiceClient
	images runtimeapi.ImageServiceClient
	server *cri.Server
	stop   func()

	directory, logs string
}

// start serves a runtime whose image "worker" is a shell script that runs its
// arguments, in a state directory that may have been used before.
func start(t *testing.T, directory string) *runtime {
	t.Helper()
	return startWith(t, directory, nil)
}

// startWith is start with networks for pods.
func startWith(t *testing.T, directory string, network *podnetwork.Network) *runtime {
	t.Helper()
	return startConfigured(t, directory, cri.Config{Network: network, Now: time.Now})
}

// startConfigured is start with part of a configuration.
func startConfigured(t *testing.T, directory string, config cri.Config) *runtime {
	t.Helper()
	imageDirectory := filepath.Join(directory, "image")
	worker := filepath.Join(imageDirectory, "images", "worker")
	if err := os.MkdirAll(filepath.Dir(worker), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(worker, []byte("#!/bin/sh\nif [ $# = 0 ]; then echo idle; exec sleep 1000; fi\nexec /bin/sh -c \"$@\"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	reaper := process.NewReaper()
	reaped := make(chan struct{})
	go func() {
		reaper.Run(ctx)
		close(reaped)
	}()
	config.Reaper, config.ImageDirectory, config.StateDirectory = reaper, imageDirectory, filepath.Join(directory, "state")
	config.Address, config.Warn = func() string { return machineAddress }, t.Logf
	server, err := cri.New(config)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("unix", filepath.Join(t.TempDir(), "cri.sock"))
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan struct{})
	go func() {
		defer close(served)
		if err := server.Serve(ctx, listener); err != nil {
			t.Error(err)
		}
	}()
	connection, err := grpc.NewClient("unix://"+listener.Addr().String(), grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	stopped := false
	r := &runtime{
		RuntimeServiceClient: runtimeapi.NewRuntimeServiceClient(connection), images: runtimeapi.NewImageServiceClient(connection),
		server: server, directory: directory, logs: filepath.Join(directory, "logs"),
	}
	r.stop = func() {
		if stopped {
			return
		}
		stopped = true
		server.Shutdown(time.Second)
		_ = connection.Close()
		cancel()
		<-served
		<-reaped
	}
	t.Cleanup(r.stop)
	return r
}

func (r *runtime) sandbox(t *testing.T, network runtimeapi.NamespaceMode) (string, *runtimeapi.PodSandboxConfig) {
	t.Helper()
	return r.sandboxWith(t, network, nil)
}

// sandboxWith is sandbox with ports of the machine's that lead to the pod.
func (r *runtime) sandboxWith(t *testing.T, network runtimeapi.NamespaceMode, ports []*runtimeapi.PortMapping) (string, *runtimeapi.PodSandboxConfig) {
	t.Helper()
	config := &runtimeapi.PodSandboxConfig{
		PortMappings: ports,
		Metadata:     &runtimeapi.PodSandboxMetadata{Name: strings.ReplaceAll(t.Name(), "/", "-"), Namespace: "default", Uid: "1"},
		Hostname:     "pod",
		LogDirectory: r.logs,
		DnsConfig:    &runtimeapi.DNSConfig{Servers: []string{"10.96.0.10"}, Searches: []string{"svc.cluster.local"}},
		Labels:       map[string]string{"test": t.Name()},
		Linux: &runtimeapi.LinuxPodSandboxConfig{SecurityContext: &runtimeapi.LinuxSandboxSecurityContext{
			NamespaceOptions: &runtimeapi.NamespaceOption{Network: network},
		}},
	}
	response, err := r.RunPodSandbox(t.Context(), &runtimeapi.RunPodSandboxRequest{Config: config})
	if err != nil {
		t.Fatal(err)
	}
	return response.PodSandboxId, config
}

func (r *runtime) podIP(t *testing.T, sandbox string) string {
	t.Helper()
	response, err := r.PodSandboxStatus(t.Context(), &runtimeapi.PodSandboxStatusRequest{PodSandboxId: sandbox})
	if err != nil {
		t.Fatal(err)
	}
	return response.Status.Network.Ip
}

// create pulls the image and creates a container as a kubelet does.
func (r *runtime) create(t *testing.T, sandbox string, config *runtimeapi.ContainerConfig) string {
	t.Helper()
	image := config.Image.Image
	pulled, err := r.images.PullImage(t.Context(), &runtimeapi.PullImageRequest{Image: &runtimeapi.ImageSpec{Image: image}})
	if err != nil {
		t.Fatal(err)
	}
	config.Image = &runtimeapi.ImageSpec{Image: pulled.ImageRef, UserSpecifiedImage: image}
	if config.Metadata == nil {
		config.Metadata = &runtimeapi.ContainerMetadata{Name: "main"}
	}
	config.LogPath = "main/0.log"
	created, err := r.CreateContainer(t.Context(), &runtimeapi.CreateContainerRequest{PodSandboxId: sandbox, Config: config})
	if err != nil {
		t.Fatal(err)
	}
	return created.ContainerId
}

func (r *runtime) startContainer(t *testing.T, id string) {
	t.Helper()
	if _, err := r.StartContainer(t.Context(), &runtimeapi.StartContainerRequest{ContainerId: id}); err != nil {
		t.Fatal(err)
	}
}

// worker starts a script in a container of its own pod.
func (r *runtime) worker(t *testing.T, script string) string {
	t.Helper()
	sandbox, _ := r.sandbox(t, runtimeapi.NamespaceMode_NODE)
	config := &runtimeapi.ContainerConfig{Image: &runtimeapi.ImageSpec{Image: "packetyard/worker:dev"}}
	if script != "" {
		config.Args = []string{script}
	}
	id := r.create(t, sandbox, config)
	r.startContainer(t, id)
	return id
}

func (r *runtime) status(t *testing.T, id string) *runtimeapi.ContainerStatus {
	t.Helper()
	response, err := r.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: id})
	if err != nil {
		t.Fatal(err)
	}
	return response.Status
}

func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !holds(); {
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within 20 s", what)
		}
		<-time.After(5 * time.Millisecond)
	}
}

func (r *runtime) awaitExit(t *testing.T, id string) *runtimeapi.ContainerStatus {
	t.Helper()
	eventually(t, "the container ends", func() bool { return r.status(t, id).State == runtimeapi.ContainerState_CONTAINER_EXITED })
	return r.status(t, id)
}

var logLine = regexp.MustCompile(`^(\S+) (stdout|stderr) ([FP]) (.*)$`)

// log returns the container's log without the times, which are checked.
func log(t *testing.T, path string) string {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for line := range strings.Lines(string(content)) {
		match := logLine.FindStringSubmatch(strings.TrimSuffix(line, "\n"))
		if match == nil {
			t.Fatalf("log line %.80q is not in the kubelet's format", line)
		}
		if _, err := time.Parse(time.RFC3339Nano, match[1]); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&text, "%s %s %s\n", match[2], match[3], match[4])
	}
	return text.String()
}

func TestProcessContainer(t *testing.T) {
	r := start(t, t.TempDir())
	id := r.worker(t, "echo hello; echo problem >&2; printf unfinished; exit 7")
	ended := r.awaitExit(t, id)
	if ended.ExitCode != 7 || ended.Reason != "Error" || ended.StartedAt == 0 || ended.FinishedAt < ended.StartedAt {
		t.Errorf("status is %v", ended)
	}
	text := log(t, ended.LogPath)
	for _, want := range []string{"stdout F hello\n", "stderr F problem\n", "stdout F unfinished\n"} {
		if !strings.Contains(text, want) {
			t.Errorf("log is %q, want %q in it", text, want)
		}
	}
	if ended.LogPath != filepath.Join(r.logs, "main/0.log") {
		t.Errorf("log path is %s", ended.LogPath)
	}
}

func TestEntryPoint(t *testing.T) {
	r := start(t, t.TempDir())
	for name, test := range map[string]struct {
		command, args []string
		log           string
	}{
		"image's own":          {nil, []string{"echo own"}, "stdout F own\n"},
		"by name":              {[]string{"worker", "echo name"}, nil, "stdout F name\n"},
		"by path":              {[]string{"/worker"}, []string{"echo path"}, "stdout F path\n"},
		"by the usual path":    {[]string{"/usr/local/bin/worker"}, []string{"echo usual"}, "stdout F usual\n"},
		"only in a real image": {[]string{"/usr/bin/entrypoint-of-worker", "echo real"}, nil, "stdout F real\n"},
		"another program":      {[]string{"sh", "-c", "command -v worker"}, nil, "stdout F /usr/local/bin/worker\n"},
	} {
		t.Run(name, func(t *testing.T) {
			sandbox, _ := r.sandbox(t, runtimeapi.NamespaceMode_NODE)
			id := r.create(t, sandbox, &runtimeapi.ContainerConfig{Image: &runtimeapi.ImageSpec{Image: "packetyard/worker:dev"}, Command: test.command, Args: test.args})
			_ = os.Remove(filepath.Join(r.logs, "main/0.log"))
			r.startContainer(t, id)
			ended := r.awaitExit(t, id)
			if text := log(t, ended.LogPath); ended.ExitCode != 0 || text != test.log {
				t.Errorf("exit code %d, log %q, want %q", ended.ExitCode, text, test.log)
			}
		})
	}
}

func TestContainerRoot(t *testing.T) {
	r := start(t, t.TempDir())
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.MkdirAll(secret, 0o755); err != nil {
		t.Fatal(err)
	}
	token := filepath.Join(secret, "token")
	if err := os.WriteFile(token, []byte("t0ken\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "made", "by", "the", "runtime")
	sandbox, _ := r.sandbox(t, runtimeapi.NamespaceMode_POD)
	id := r.create(t, sandbox, &runtimeapi.ContainerConfig{
		Image:      &runtimeapi.ImageSpec{Image: "packetyard/worker"},
		WorkingDir: "/data",
		Envs:       []*runtimeapi.KeyValue{{Key: "COLOUR", Value: []byte("blue green")}, {Key: "POD_IP", Value: []byte(r.podIP(t, sandbox))}},
		Mounts: []*runtimeapi.Mount{
			{ContainerPath: "/data/inner.txt", HostPath: token, Readonly: true},
			{ContainerPath: "/var/run/secrets/kubernetes.io/serviceaccount", HostPath: secret, Readonly: true},
			{ContainerPath: "/data", HostPath: data},
			{ContainerPath: "/dev/termination-log", HostPath: filepath.Join(t.TempDir(), "termination")},
		},
		Args: []string{strings.Join([]string{
			"echo $COLOUR $HOSTNAME $POD_IP; pwd; cat inner.txt; cat /var/run/secrets/kubernetes.io/serviceaccount/token",
			"cat /etc/resolv.conf", "echo written > /data/file", "echo scratch > /tmp/file && cat /tmp/file",
			"echo no > inner.txt || echo file is read only", "touch /var/run/secrets/kubernetes.io/serviceaccount/x || echo directory is read only",
			"touch /usr/packetyard-test || echo programs are read only",
			"test -e " + secret + " || echo the machine is out of sight", "test -c /dev/null && test -d /proc/self && ls /bin/sh",
		}, "\n")},
	})
	r.startContainer(t, id)
	ended := r.awaitExit(t, id)
	text := log(t, ended.LogPath)
	want := []string{
		"blue green pod " + machineAddress, "/data", "t0ken", "t0ken", "search svc.cluster.local", "nameserver 10.96.0.10", "scratch",
		"file is read only", "directory is read only", "programs are read only", "the machine is out of sight", "/bin/sh",
	}
	var got []string
	for line := range strings.Lines(text) {
		if output, found := strings.CutPrefix(line, "stdout F "); found {
			got = append(got, strings.TrimSuffix(output, "\n"))
		}
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || ended.ExitCode != 0 {
		t.Errorf("exit code %d, output\n%s\nwant\n%s\nall:\n%s", ended.ExitCode, strings.Join(got, "\n"), strings.Join(want, "\n"), text)
	}
	if content, err := os.ReadFile(filepath.Join(data, "file")); err != nil || string(content) != "written\n" {
		t.Errorf("the mounted directory's file has %q, %v", content, err)
	}
	if r.podIP(t, sandbox) != machineAddress {
		t.Errorf("the pod's address is %s, want the machine's: it has a process", r.podIP(t, sandbox))
	}
}

func TestReadOnlyRoot(t *testing.T) {
	r := start(t, t.TempDir())
	sandbox, _ := r.sandbox(t, runtimeapi.NamespaceMode_NODE)
	id := r.create(t, sandbox, &runtimeapi.ContainerConfig{
		Image: &runtimeapi.ImageSpec{Image: "worker"}, Args: []string{"touch /tmp/x 2>/dev/null && exit 1; touch /writable/x"},
		Mounts: []*runtimeapi.Mount{{ContainerPath: "/writable", HostPath: t.TempDir()}},
		Linux:  &runtimeapi.LinuxContainerConfig{SecurityContext: &runtimeapi.LinuxContainerSecurityContext{ReadonlyRootfs: true}},
	})
	r.startContainer(t, id)
	if ended := r.awaitExit(t, id); ended.ExitCode != 0 {
		t.Errorf("exit code is %d: the root can be written to or the mount cannot", ended.ExitCode)
	}
}

func TestStopContainer(t *testing.T) {
	r := start(t, t.TempDir())
	for name, test := range map[string]struct {
		script  string
		timeout int64
		code    int32
	}{
		"obeys":    {"trap 'exit 0' TERM; echo ready; while :; do sleep 0.01; done", 60, 0},
		"does not": {"trap '' TERM; echo ready; while :; do sleep 0.01; done", 1, 137},
	} {
		t.Run(name, func(t *testing.T) {
			id := r.worker(t, test.script)
			eventually(t, "the script runs", func() bool { return strings.Contains(log(t, r.status(t, id).LogPath), "ready") })
			for range 2 {
				if _, err := r.StopContainer(t.Context(), &runtimeapi.StopContainerRequest{ContainerId: id, Timeout: test.timeout}); err != nil {
					t.Fatal(err)
				}
			}
			if ended := r.status(t, id); ended.State != runtimeapi.ContainerState_CONTAINER_EXITED || ended.ExitCode != test.code {
				t.Errorf("state %s, exit code %d, want %d", ended.State, ended.ExitCode, test.code)
			}
			_ = os.Remove(filepath.Join(r.logs, "main/0.log"))
		})
	}
}

func TestStartFails(t *testing.T) {
	r := start(t, t.TempDir())
	sandbox, _ := r.sandbox(t, runtimeapi.NamespaceMode_NODE)
	id := r.create(t, sandbox, &runtimeapi.ContainerConfig{Image: &runtimeapi.ImageSpec{Image: "worker"}, WorkingDir: "/nowhere"})
	_, err := r.StartContainer(t.Context(), &runtimeapi.StartContainerRequest{ContainerId: id})
	if err == nil || !strings.Contains(err.Error(), "/nowhere") {
		t.Fatalf("error is %v, want one that names /nowhere", err)
	}
	if ended := r.status(t, id); ended.State != runtimeapi.ContainerState_CONTAINER_EXITED || ended.ExitCode != 128 || ended.Reason != "StartError" {
		t.Errorf("status is %v", ended)
	}
	if _, err := r.StartContainer(t.Context(), &runtimeapi.StartContainerRequest{ContainerId: id}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("second start: %v", err)
	}
}

func TestHollow(t *testing.T) {
	r := start(t, t.TempDir())
	if _, err := r.UpdateRuntimeConfig(t.Context(), &runtimeapi.UpdateRuntimeConfigRequest{
		RuntimeConfig: &runtimeapi.RuntimeConfig{NetworkConfig: &runtimeapi.NetworkConfig{PodCidr: "192.168.7.0/24"}},
	}); err != nil {
		t.Fatal(err)
	}
	sandbox, _ := r.sandbox(t, runtimeapi.NamespaceMode_POD)
	if address := r.podIP(t, sandbox); address != "192.168.7.2" {
		t.Errorf("the pod's address is %s, want 192.168.7.2", address)
	}
	for mode, want := range map[string]runtimeapi.ContainerState{
		"": runtimeapi.ContainerState_CONTAINER_RUNNING, "run": runtimeapi.ContainerState_CONTAINER_RUNNING,
		"init": runtimeapi.ContainerState_CONTAINER_EXITED, "exit": runtimeapi.ContainerState_CONTAINER_EXITED,
	} {
		t.Run("mode "+mode, func(t *testing.T) {
			config := &runtimeapi.ContainerConfig{Image: &runtimeapi.ImageSpec{Image: "nginx:1.29"}}
			if mode != "" {
				config.Envs = []*runtimeapi.KeyValue{{Key: "PACKETYARD_HOLLOW", Value: []byte(mode)}}
			}
			id := r.create(t, sandbox, config)
			r.startContainer(t, id)
			got := r.status(t, id)
			if got.State != want || got.ExitCode != 0 || got.Image.Image != "docker.io/library/nginx:1.29" {
				t.Errorf("status is %v", got)
			}
			if text := log(t, got.LogPath); !strings.Contains(text, "docker.io/library/nginx:1.29 is hollow") {
				t.Errorf("log is %q", text)
			}
			if want == runtimeapi.ContainerState_CONTAINER_EXITED {
				if got.Reason != "Completed" {
					t.Errorf("reason is %s", got.Reason)
				}
				return
			}
			_, err := r.ExecSync(t.Context(), &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{"true"}})
			if err == nil || !strings.Contains(err.Error(), "is hollow") {
				t.Errorf("exec: %v", err)
			}
			if _, err := r.StopContainer(t.Context(), &runtimeapi.StopContainerRequest{ContainerId: id, Timeout: 30}); err != nil {
				t.Fatal(err)
			}
			if got := r.status(t, id); got.State != runtimeapi.ContainerState_CONTAINER_EXITED || got.ExitCode != 0 {
				t.Errorf("after stop: %v", got)
			}
		})
	}
	_, err := r.PortForward(t.Context(), &runtimeapi.PortForwardRequest{PodSandboxId: sandbox, Port: []int32{80}})
	if err == nil || !strings.Contains(err.Error(), "is hollow") {
		t.Errorf("port-forward: %v", err)
	}
}

func TestExecSync(t *testing.T) {
	r := start(t, t.TempDir())
	id := r.worker(t, "")
	for name, test := range map[string]struct {
		command        []string
		stdout, stderr string
		code           int32
		failure        codes.Code
		timeout        int64
	}{
		"output and code": {command: []string{"sh", "-c", "echo out; echo err >&2; exit 5"}, stdout: "out\n", stderr: "err\n", code: 5},
		"in its root":     {command: []string{"ls", "/worker"}, stdout: "/worker\n"},
		"not there":       {command: []string{"no-such-program"}, failure: codes.Unknown},
		"too slow":        {command: []string{"sleep", "1000"}, timeout: 1, failure: codes.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			response, err := r.ExecSync(t.Context(), &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: test.command, Timeout: test.timeout})
			if status.Code(err) != test.failure {
				t.Fatal(err)
			}
			if string(response.GetStdout()) != test.stdout || string(response.GetStderr()) != test.stderr || response.GetExitCode() != test.code {
				t.Errorf("answer is %v", response)
			}
		})
	}
}

// client makes a client of the streaming server, as the kubelet's proxy is one.
func client(t *testing.T, address string) remotecommand.Executor {
	t.Helper()
	target, err := url.Parse(address)
	if err != nil {
		t.Fatal(err)
	}
	executor, err := remotecommand.NewSPDYExecutor(&rest.Config{Host: target.Host}, http.MethodPost, target)
	if err != nil {
		t.Fatal(err)
	}
	return executor
}

func TestExecStreams(t *testing.T) {
	r := start(t, t.TempDir())
	id := r.worker(t, "")
	response, err := r.Exec(t.Context(), &runtimeapi.ExecRequest{ContainerId: id, Cmd: []string{"sh", "-c", "cat; exit 9"}, Stdin: true, Stdout: true, Stderr: true})
	if err != nil {
		t.Fatal(err)
	}
	var stdout, stderr bytes.Buffer
	err = client(t, response.Url).StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: strings.NewReader("through and through"), Stdout: &stdout, Stderr: &stderr})
	var exit utilexec.CodeExitError
	if !errors.As(err, &exit) || exit.Code != 9 || stdout.String() != "through and through" {
		t.Errorf("error %v, stdout %q, stderr %q", err, stdout.String(), stderr.String())
	}
}

func TestExecTerminal(t *testing.T) {
	r := start(t, t.TempDir())
	id := r.worker(t, "")
	response, err := r.Exec(t.Context(), &runtimeapi.ExecRequest{ContainerId: id, Cmd: []string{"sh", "-c", "test -t 0 && echo terminal"}, Tty: true, Stdin: true, Stdout: true})
	if err != nil {
		t.Fatal(err)
	}
	var stdout bytes.Buffer
	reader, writer := io.Pipe()
	defer func() { _ = writer.Close() }()
	if err := client(t, response.Url).StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: reader, Stdout: &stdout, Tty: true}); err != nil {
		t.Fatal(err)
	}
	if stdout.String() != "terminal\r\n" {
		t.Errorf("stdout is %q", stdout.String())
	}
}

func TestAttach(t *testing.T) {
	r := start(t, t.TempDir())
	sandbox, _ := r.sandbox(t, runtimeapi.NamespaceMode_NODE)
	id := r.create(t, sandbox, &runtimeapi.ContainerConfig{Image: &runtimeapi.ImageSpec{Image: "worker"}, Args: []string{"read line; echo got $line"}, Stdin: true})
	r.startContainer(t, id)
	response, err := r.Attach(t.Context(), &runtimeapi.AttachRequest{ContainerId: id, Stdin: true, Stdout: true})
	if err != nil {
		t.Fatal(err)
	}
	var stdout bytes.Buffer
	if err := client(t, response.Url).StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: strings.NewReader("a line\n"), Stdout: &stdout}); err != nil {
		t.Fatal(err)
	}
	if stdout.String() != "got a line\n" {
		t.Errorf("stdout is %q", stdout.String())
	}
}

func TestPortForward(t *testing.T) {
	r := start(t, t.TempDir())
	id := r.worker(t, "")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	containers, err := r.ListContainers(t.Context(), &runtimeapi.ListContainersRequest{Filter: &runtimeapi.ContainerFilter{Id: id}})
	if err != nil || len(containers.Containers) != 1 {
		t.Fatalf("%v, %v", containers, err)
	}
	r.forwards(t, containers.Containers[0].PodSandboxId, listener)
}

// forwards sees that a connection to a port of a pod reaches a listener.
func (r *runtime) forwards(t *testing.T, sandbox string, listener net.Listener) {
	t.Helper()
	go func() {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		request, _ := io.ReadAll(connection)
		_, _ = connection.Write(append([]byte("echo: "), request...))
		_ = connection.Close()
	}()
	port := listener.Addr().(*net.TCPAddr).Port
	response, err := r.PortForward(t.Context(), &runtimeapi.PortForwardRequest{PodSandboxId: sandbox, Port: []int32{int32(port)}})
	if err != nil {
		t.Fatal(err)
	}
	target, err := url.Parse(response.Url)
	if err != nil {
		t.Fatal(err)
	}
	transport, upgrader, err := spdy.RoundTripperFor(&rest.Config{Host: target.Host})
	if err != nil {
		t.Fatal(err)
	}
	stop, ready := make(chan struct{}), make(chan struct{})
	defer close(stop)
	forwarder, err := portforward.NewOnAddresses(spdy.NewDialer(upgrader, &http.Client{Transport: transport}, http.MethodPost, target),
		[]string{"127.0.0.1"}, []string{fmt.Sprintf("0:%d", port)}, stop, ready, io.Discard, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = forwarder.ForwardPorts() }()
	select {
	case <-ready:
	case <-time.After(20 * time.Second):
		t.Fatal("port-forward did not become ready")
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		t.Fatal(err)
	}
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", ports[0].Local))
	if err != nil {
		t.Fatal(err)
	}
	_, _ = connection.Write([]byte("hello"))
	_ = connection.(*net.TCPConn).CloseWrite()
	answer, err := io.ReadAll(connection)
	if err != nil || string(answer) != "echo: hello" {
		t.Errorf("answer is %q, %v", answer, err)
	}
}

func TestLog(t *testing.T) {
	r := start(t, t.TempDir())
	id := r.worker(t, "head -c 20000 /dev/zero | tr '\\0' x; echo; echo before; while ! test -e /tmp/go; do sleep 0.01; done; echo after")
	path := r.status(t, id).LogPath
	eventually(t, "the first lines come", func() bool { return strings.Contains(log(t, path), "before") })
	lines := strings.Split(log(t, path), "\n")
	if !strings.HasPrefix(lines[0], "stdout P xxx") || !strings.HasPrefix(lines[1], "stdout F xxx") {
		t.Errorf("a long line is not parted: %.40q %.40q", lines[0], lines[1])
	}
	if total := strings.Count(lines[0]+lines[1], "x"); total != 20000 {
		t.Errorf("%d of 20000 characters are in the log", total)
	}
	if err := os.Rename(path, path+".old"); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ReopenContainerLog(t.Context(), &runtimeapi.ReopenContainerLogRequest{ContainerId: id}); err != nil {
		t.Fatal(err)
	}
	if _, err := r.ExecSync(t.Context(), &runtimeapi.ExecSyncRequest{ContainerId: id, Cmd: []string{"touch", "/tmp/go"}}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the new log has the later lines", func() bool { return log(t, path) == "stdout F after\n" })
}

func TestRebootedMachineReportsItsContainersAsEnded(t *testing.T) {
	directory := t.TempDir()
	first := start(t, directory)
	sandbox, _ := first.sandbox(t, runtimeapi.NamespaceMode_POD)
	hollow := first.create(t, sandbox, &runtimeapi.ContainerConfig{Image: &runtimeapi.ImageSpec{Image: "nginx"}, Metadata: &runtimeapi.ContainerMetadata{Name: "web", Attempt: 3}})
	first.startContainer(t, hollow)
	// Power is lost: nothing of the first runtime's end is written.
	saved := t.TempDir()
	if err := os.CopyFS(saved, os.DirFS(directory)); err != nil {
		t.Fatal(err)
	}
	first.stop()

	second := start(t, saved)
	got := second.status(t, hollow)
	if got.State != runtimeapi.ContainerState_CONTAINER_EXITED || got.ExitCode != 255 || got.Metadata.Attempt != 3 {
		t.Errorf("container is %v", got)
	}
	pods, err := second.ListPodSandbox(t.Context(), &runtimeapi.ListPodSandboxRequest{})
	if err != nil || len(pods.Items) != 1 || pods.Items[0].State != runtimeapi.PodSandboxState_SANDBOX_NOTREADY {
		t.Fatalf("sandboxes are %v, %v", pods, err)
	}
	if _, err := second.RemovePodSandbox(t.Context(), &runtimeapi.RemovePodSandboxRequest{PodSandboxId: sandbox}); err != nil {
		t.Fatal(err)
	}
	containers, err := second.ListContainers(t.Context(), &runtimeapi.ListContainersRequest{})
	if err != nil || len(containers.Containers) != 0 {
		t.Errorf("containers are %v, %v", containers, err)
	}
}

func TestStopAndRemoveSandbox(t *testing.T) {
	r := start(t, t.TempDir())
	id := r.worker(t, "")
	containers, err := r.ListContainers(t.Context(), &runtimeapi.ListContainersRequest{})
	if err != nil {
		t.Fatal(err)
	}
	sandbox := containers.Containers[0].PodSandboxId
	for range 2 {
		if _, err := r.StopPodSandbox(t.Context(), &runtimeapi.StopPodSandboxRequest{PodSandboxId: sandbox}); err != nil {
			t.Fatal(err)
		}
	}
	if got := r.status(t, id); got.State != runtimeapi.ContainerState_CONTAINER_EXITED {
		t.Errorf("container is %s", got.State)
	}
	_, err = r.CreateContainer(t.Context(), &runtimeapi.CreateContainerRequest{PodSandboxId: sandbox, Config: &runtimeapi.ContainerConfig{
		Metadata: &runtimeapi.ContainerMetadata{Name: "late"}, Image: &runtimeapi.ImageSpec{Image: "worker"},
	}})
	if status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a container in a stopped sandbox: %v", err)
	}
	for range 2 {
		if _, err := r.RemovePodSandbox(t.Context(), &runtimeapi.RemovePodSandboxRequest{PodSandboxId: sandbox}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := r.ContainerStatus(t.Context(), &runtimeapi.ContainerStatusRequest{ContainerId: id}); status.Code(err) != codes.NotFound {
		t.Errorf("removed container: %v", err)
	}
}

func TestStatusForTheKubelet(t *testing.T) {
	r := start(t, t.TempDir())
	version, err := r.Version(t.Context(), &runtimeapi.VersionRequest{})
	if err != nil || version.RuntimeApiVersion != "v1" {
		t.Errorf("%v, %v", version, err)
	}
	state, err := r.Status(t.Context(), &runtimeapi.StatusRequest{Verbose: true})
	if err != nil || len(state.Status.Conditions) != 2 || !state.Status.Conditions[0].Status || !state.Status.Conditions[1].Status {
		t.Errorf("%v, %v", state, err)
	}
	config, err := r.RuntimeConfig(t.Context(), &runtimeapi.RuntimeConfigRequest{})
	if err != nil || config.Linux.CgroupDriver != runtimeapi.CgroupDriver_CGROUPFS {
		t.Errorf("%v, %v", config, err)
	}
	disk, err := r.images.ImageFsInfo(t.Context(), &runtimeapi.ImageFsInfoRequest{})
	if err != nil || len(disk.ImageFilesystems) != 1 || len(disk.ContainerFilesystems) != 1 {
		t.Fatalf("%v, %v", disk, err)
	}
	if _, err := os.Stat(disk.ImageFilesystems[0].FsId.Mountpoint); err != nil {
		t.Error(err)
	}
	id := r.worker(t, "")
	eventually(t, "memory is counted", func() bool {
		stats, err := r.ContainerStats(t.Context(), &runtimeapi.ContainerStatsRequest{ContainerId: id})
		return err == nil && stats.Stats.Memory.RssBytes.Value > 0
	})
	all, err := r.ListPodSandboxStats(t.Context(), &runtimeapi.ListPodSandboxStatsRequest{})
	if err != nil || len(all.Stats) != 1 || all.Stats[0].Linux.Process.ProcessCount.Value != 1 {
		t.Errorf("%v, %v", all, err)
	}
}
