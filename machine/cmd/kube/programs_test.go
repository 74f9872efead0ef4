package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// runAsKube makes the test binary behave as the executable that it tests.
const runAsKube = "PACKETYARD_TEST_RUN_AS_KUBE"

func TestMain(m *testing.M) {
	if os.Getenv(runAsKube) != "" {
		main()
	}
	os.Exit(m.Run())
}

// kube returns a command that runs one of the programs, ended with the test.
func kube(ctx context.Context, t *testing.T, program string, args ...string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(ctx, self, args...)
	cmd.Args[0] = program
	cmd.Env = append(os.Environ(), runAsKube+"=1", "HOME="+t.TempDir())
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	return cmd
}

// start runs a program in the background. What it wrote is shown if the test fails.
func start(t *testing.T, program string, args ...string) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	cmd := kube(ctx, t, program, args...)
	var output bytes.Buffer
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stop()
		_ = cmd.Wait() // It was told to stop.
		if t.Failed() {
			t.Logf("%s wrote:\n%s", program, output.String())
		}
	})
}

func TestProgramsAcceptTheirDefaults(t *testing.T) {
	for program, wants := range map[string]string{
		"etcd":                    "etcd Version: 3.6",
		"kube-apiserver":          "Kubernetes v",
		"kube-controller-manager": "Kubernetes v",
		"kube-proxy":              "Kubernetes v",
		"kube-scheduler":          "Kubernetes v",
		"kubelet":                 "Kubernetes v",
	} {
		t.Run(program, func(t *testing.T) {
			output, err := kube(t.Context(), t, program, "--version").CombinedOutput()
			if err != nil || !strings.Contains(string(output), wants) {
				t.Errorf("%s --version: %v\n%s", program, err, output)
			}
		})
	}
	for program, args := range map[string][]string{
		"kubeadm": {"version", "--output=short"},
		"kubectl": {"version", "--client"},
	} {
		t.Run(program, func(t *testing.T) {
			output, err := kube(t.Context(), t, program, args...).CombinedOutput()
			if err != nil || !strings.Contains(string(output), "v") {
				t.Errorf("%s %v: %v\n%s", program, args, err, output)
			}
			// Flags of the other programs must not show up.
			help, err := kube(t.Context(), t, program, "--help").CombinedOutput()
			if err != nil || strings.Contains(string(help), "cadvisor") {
				t.Errorf("%s --help: %v\n%s", program, err, help)
			}
		})
	}
}

// TestControlPlane starts a real control plane: certificates by kubeadm, etcd and
// kube-apiserver, and looks at it with kubectl.
func TestControlPlane(t *testing.T) {
	dir := t.TempDir()
	pki := filepath.Join(dir, "pki")
	config := filepath.Join(dir, "kubeadm.yaml")
	content := "apiVersion: kubeadm.k8s.io/v1beta4\nkind: InitConfiguration\nlocalAPIEndpoint: {advertiseAddress: 192.0.2.1}\n---\n" +
		"apiVersion: kubeadm.k8s.io/v1beta4\nkind: ClusterConfiguration\nkubernetesVersion: v1.36.4\nencryptionAlgorithm: ECDSA-P256\n" +
		"certificatesDir: " + pki + "\napiServer: {certSANs: [127.0.0.1]}\n"
	if err := os.WriteFile(config, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "kubeadm", "init", "phase", "certs", "all", "--config", config)
	run(t, "kubeadm", "init", "phase", "kubeconfig", "super-admin", "--config", config, "--kubeconfig-dir", dir)

	client, peer, secure := freePort(t), freePort(t), freePort(t)
	start(t, "etcd",
		"--data-dir="+filepath.Join(dir, "etcd"),
		"--listen-client-urls="+url("http", client), "--advertise-client-urls="+url("http", client),
		"--listen-peer-urls="+url("http", peer), "--initial-advertise-peer-urls="+url("http", peer),
		"--initial-cluster=default="+url("http", peer),
	)
	started := time.Now()
	start(t, "kube-apiserver",
		"--etcd-servers="+url("http", client),
		"--bind-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", secure),
		"--tls-cert-file="+filepath.Join(pki, "apiserver.crt"), "--tls-private-key-file="+filepath.Join(pki, "apiserver.key"),
		"--client-ca-file="+filepath.Join(pki, "ca.crt"),
		"--service-account-issuer=https://kubernetes.default.svc",
		"--service-account-key-file="+filepath.Join(pki, "sa.pub"), "--service-account-signing-key-file="+filepath.Join(pki, "sa.key"),
		"--authorization-mode=Node,RBAC", "--service-cluster-ip-range=10.96.0.0/16",
	)
	kubectl := func(args ...string) (string, error) {
		args = append([]string{"--kubeconfig", filepath.Join(dir, "super-admin.conf"), "--server", url("https", secure)}, args...)
		output, err := kube(t.Context(), t, "kubectl", args...).CombinedOutput()
		return string(output), err
	}
	deadline := time.NewTimer(2 * time.Minute)
	defer deadline.Stop()
	poll := time.NewTicker(250 * time.Millisecond)
	defer poll.Stop()
	for {
		output, err := kubectl("get", "--raw", "/readyz")
		if err == nil && output == "ok" {
			break
		}
		select {
		case <-poll.C:
		case <-deadline.C:
			t.Fatalf("kube-apiserver is not ready: %v\n%s", err, output)
		}
	}
	t.Logf("kube-apiserver was ready after %s", time.Since(started).Round(100*time.Millisecond))
	if output, err := kubectl("create", "configmap", "greeting", "--from-literal=hello=yard"); err != nil {
		t.Fatalf("creating a ConfigMap: %v\n%s", err, output)
	}
	if output, err := kubectl("get", "configmap", "greeting", "-o", "jsonpath={.data.hello}"); err != nil || output != "yard" {
		t.Errorf("reading it back: %q, %v", output, err)
	}
}

func run(t *testing.T, program string, args ...string) {
	t.Helper()
	if output, err := kube(t.Context(), t, program, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %v: %v\n%s", program, args, err, output)
	}
}

func url(scheme string, port int) string { return fmt.Sprintf("%s://127.0.0.1:%d", scheme, port) }

func freePort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	return listener.Addr().(*net.TCPAddr).Port
}
