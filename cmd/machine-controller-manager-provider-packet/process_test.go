package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	mcmapp "github.com/gardener/machine-controller-manager/cmd/machine-controller-manager/app"
	mcmoptions "github.com/gardener/machine-controller-manager/cmd/machine-controller-manager/app/options"
	"github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	"github.com/spf13/pflag"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/packetyard/packetyard/internal/controlplanetest"
	"github.com/packetyard/packetyard/internal/processtest"
)

// childVariable makes this test program run a command instead of the tests, so that tests have it as a process of its own.
const childVariable = "PACKET_MCM_TEST_RUN_COMMAND"

// The commands.
const (
	theDriver = "driver"
	// theManager is machine-controller-manager itself, which makes Machines of MachineDeployments.
	theManager = "manager"
)

func TestMain(m *testing.M) {
	switch os.Getenv(childVariable) {
	case theDriver:
		main()
		return
	case theManager:
		server := mcmoptions.NewMCMServer()
		flags := pflag.NewFlagSet("machine-controller-manager", pflag.ExitOnError)
		server.AddFlags(flags)
		_ = flags.Parse(os.Args[1:])
		fmt.Fprintln(os.Stderr, mcmapp.Run(server))
		os.Exit(1)
	}
	code := m.Run()
	if started != nil {
		if err := started.stop(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = max(code, 1)
		}
	}
	os.Exit(code)
}

// start runs a command until the test ends.
func start(t testing.TB, command string, arguments ...string) *processtest.Process {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return processtest.Start(t, command, program, []string{childVariable + "=" + command}, arguments...)
}

// cluster is the one kube-apiserver of all tests of this package, where Machines are and where nodes join.
type cluster struct {
	stop       func() error
	kubeconfig []byte
	client     client.Client
}

var (
	startOnce sync.Once
	started   *cluster
	startErr  error
)

// kubernetes starts the kube-apiserver the first time. A test that cannot have it fails: to skip it would be to say that it
// passed.
func kubernetes(t testing.TB) *cluster {
	t.Helper()
	startOnce.Do(func() { started, startErr = startKubernetes() })
	if startErr != nil {
		t.Fatalf("starting a kube-apiserver: %v", startErr)
	}
	return started
}

func startKubernetes() (*cluster, error) {
	module, err := controlplanetest.ModuleFolder("github.com/gardener/machine-controller-manager")
	if err != nil {
		return nil, err
	}
	server := controlplanetest.New(filepath.Join(module, "kubernetes", "crds"))
	config, stop, err := controlplanetest.Start(server)
	if err != nil {
		return nil, err
	}
	c := &cluster{stop: stop}
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return c, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return c, err
	}
	if c.client, err = client.New(config, client.Options{Scheme: scheme}); err != nil {
		return c, err
	}
	// The service account of the documentation, with the rights that it has there and no more.
	user, err := server.AddUser(envtest.User{Name: "system:serviceaccount:machines:machine-controller-manager",
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:machines"}}, nil)
	if err != nil {
		return c, err
	}
	c.kubeconfig, err = user.KubeConfig()
	return c, err
}

func TestVersionAndHelp(t *testing.T) {
	var out, problems bytes.Buffer
	if code := run([]string{"--version"}, &out, &problems); code != 0 || !strings.HasPrefix(out.String(), "machine-controller-manager-provider-packet ") || problems.Len() > 0 {
		t.Errorf("--version: %d, %q, %q", code, out.String(), problems.String())
	}
	out.Reset()
	if code := run([]string{"--help"}, &out, &problems); code != 0 || problems.Len() > 0 {
		t.Errorf("--help: %d, %q", code, problems.String())
	}
	for _, flag := range []string{"--target-kubeconfig", "--machine-creation-timeout", "--packet-api-qps", "--leader-elect", "--v "} {
		if !strings.Contains(out.String(), flag) {
			t.Errorf("--help does not mention %s", flag)
		}
	}
}

func TestBadFlagsAreNamed(t *testing.T) {
	for _, test := range []struct {
		arguments []string
		want      []string
	}{
		{[]string{"--no-such-flag"}, []string{"no-such-flag", "--help"}},
		{[]string{"run"}, []string{`"run"`, "--help"}},
		{[]string{"--packet-api-qps=0"}, []string{"--packet-api-qps", "0"}},
		{[]string{"--packet-api-burst=0"}, []string{"--packet-api-burst", "0"}},
		{[]string{"--port=0"}, []string{"port", "0"}},
	} {
		var out, problems bytes.Buffer
		if code := run(test.arguments, &out, &problems); code != exitUsage {
			t.Errorf("%q: exit code %d, want %d", test.arguments, code, exitUsage)
		}
		for _, want := range test.want {
			if !strings.Contains(problems.String(), want) {
				t.Errorf("%q: %q does not mention %q", test.arguments, problems.String(), want)
			}
		}
	}
}
