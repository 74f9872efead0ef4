package kubelet

import (
	"crypto/tls"
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	cadvisorv2 "github.com/google/cadvisor/info/v2"
	v1 "k8s.io/api/core/v1"
	"k8s.io/apiserver/pkg/util/feature"
	kubeletconfig "k8s.io/kubernetes/pkg/kubelet/apis/config"
	configvalidation "k8s.io/kubernetes/pkg/kubelet/apis/config/validation"
	"k8s.io/kubernetes/pkg/volume/util/subpath"
)

func write(t *testing.T, name, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestReadHardware(t *testing.T) {
	file := write(t, "hardware.env", "# the plan\nPACKET_CPUS=8\nPACKET_MEMORY_BYTES=\"34359738368\"\n")
	for name, test := range map[string]struct {
		env     map[string]string
		file    string
		want    hardware
		mention string
	}{
		"from the environment":    {env: map[string]string{"PACKET_CPUS": "4", "PACKET_MEMORY_BYTES": "1024"}, file: file, want: hardware{cpus: 4, memoryBytes: 1024}},
		"from the file":           {file: file, want: hardware{cpus: 8, memoryBytes: 34359738368}},
		"from both":               {env: map[string]string{"PACKET_CPUS": "4"}, file: file, want: hardware{cpus: 4, memoryBytes: 34359738368}},
		"CPUs are not a number":   {env: map[string]string{"PACKET_CPUS": "many"}, file: file, mention: "PACKET_CPUS"},
		"no CPU":                  {env: map[string]string{"PACKET_CPUS": "0"}, file: file, mention: "PACKET_CPUS"},
		"memory is not a number":  {env: map[string]string{"PACKET_MEMORY_BYTES": "32Gi"}, file: file, mention: "PACKET_MEMORY_BYTES"},
		"the file is a directory": {file: t.TempDir(), mention: "hardware"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := readHardware(func(n string) string { return test.env[n] }, test.file)
			if test.mention != "" {
				if err == nil || !strings.Contains(err.Error(), test.mention) {
					t.Errorf("error %v, want one that mentions %q", err, test.mention)
				}
				return
			}
			if err != nil || got != test.want {
				t.Errorf("got %+v, error %v; want %+v", got, err, test.want)
			}
		})
	}
	host, err := readHardware(func(string) string { return "" }, filepath.Join(t.TempDir(), "none"))
	if err != nil || host.cpus < 1 || host.memoryBytes < 1<<20 {
		t.Errorf("the host's hardware: %+v, error %v", host, err)
	}
}

func TestAdvisorCountsTheMachinesProcesses(t *testing.T) {
	proc := t.TempDir()
	for pid, stat := range map[string]string{
		"1":    "1 (init) S 0 1 1 0 -1 0 0 0 0 0 100 50 0 0 20 0 1 0 5 1000 20 0",
		"42":   "42 (a) b (c)) R 1 1 1 0 -1 0 0 0 0 0 7 3 0 0 20 0 1 0 5 1000 5 0",
		"self": "not a process of its own",
	} {
		if err := os.Mkdir(filepath.Join(proc, pid), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(proc, pid, "stat"), []byte(stat), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	a := &advisor{hardware: hardware{cpus: 2, memoryBytes: 1 << 30}, now: func() time.Time { return time.Unix(1, 0) }, proc: proc}
	info, err := a.ContainerInfoV2(rootContainer, cadvisorv2.RequestOptions{})
	if err != nil {
		t.Fatal(err)
	}
	stats := info[rootContainer].Stats[0]
	if want := uint64(160 * 10 * time.Millisecond); stats.Cpu.Usage.Total != want {
		t.Errorf("CPU time %d, want %d", stats.Cpu.Usage.Total, want)
	}
	if want := uint64(25 * os.Getpagesize()); stats.Memory.WorkingSet != want {
		t.Errorf("memory %d, want %d", stats.Memory.WorkingSet, want)
	}
}

func TestBootIDLastsForOneBoot(t *testing.T) {
	file := filepath.Join(t.TempDir(), "boot-id")
	first, err := readBootID(file)
	if err != nil {
		t.Fatal(err)
	}
	again, err := readBootID(file)
	if err != nil || again != first || first == "" {
		t.Errorf("the kubelet's restart changed the boot id from %q to %q, error %v", first, again, err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if rebooted, err := readBootID(file); err != nil || rebooted == first {
		t.Errorf("after a boot the id is %q as before, error %v", rebooted, err)
	}
}

func TestSettingsLetFlagsWin(t *testing.T) {
	file := write(t, "config.yaml", `
apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
maxPods: 50
clusterDomain: from.file
failCgroupV1: true
cgroupsPerQOS: true
enforceNodeAllocatable: [pods]
featureGates: {EventedPLEG: true}
`)
	line, err := parseCommandLine([]string{"--config", file, "--max-pods=77", "--feature-gates=ImageVolume=true", "--node-ip=198.18.1.1"})
	if err != nil {
		t.Fatal(err)
	}
	settings, err := line.settings(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if settings.MaxPods != 77 || settings.ClusterDomain != "from.file" || settings.NodeIP != "198.18.1.1" {
		t.Errorf("maxPods %d, clusterDomain %q, node IP %q", settings.MaxPods, settings.ClusterDomain, settings.NodeIP)
	}
	if !settings.FeatureGates["EventedPLEG"] || !settings.FeatureGates["ImageVolume"] {
		t.Errorf("feature gates %v, want those of the file and of the flag", settings.FeatureGates)
	}

	applyHardware(&settings.KubeletConfiguration)
	if err := configvalidation.ValidateKubeletConfiguration(&settings.KubeletConfiguration, feature.DefaultFeatureGate); err != nil {
		t.Errorf("what the hardware makes of a usual configuration is not valid: %v", err)
	}
	if settings.CgroupsPerQOS || len(settings.EnforceNodeAllocatable) != 0 || len(settings.EvictionHard) != 0 {
		t.Errorf("the configuration still manages cgroups or evicts: %+v", settings.KubeletConfiguration)
	}
}

func TestBadCommandLines(t *testing.T) {
	for name, test := range map[string]struct {
		args    []string
		mention string
	}{
		"unknown flag":    {args: []string{"--bogus"}, mention: "bogus"},
		"a word too many": {args: []string{"run"}, mention: `"run"`},
		"missing file":    {args: []string{"--config", "/does/not/exist"}, mention: "/does/not/exist"},
		"drop-ins":        {args: []string{"--config-dir", "/etc"}, mention: "--config-dir"},
	} {
		t.Run(name, func(t *testing.T) {
			line, err := parseCommandLine(test.args)
			if err == nil {
				_, err = line.settings(t.Context())
			}
			if err == nil || !strings.Contains(err.Error(), test.mention) {
				t.Errorf("error %v, want one that mentions %q", err, test.mention)
			}
		})
	}
}

func TestServingCert(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "pki")
	now := time.Now()
	if err := ensureServingCert(&kubeletconfig.KubeletConfiguration{}, dir, "node-1", now); err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, servingCertFile), filepath.Join(dir, servingKeyFile))
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(pair.Leaf)
	if _, err := pair.Leaf.Verify(x509.VerifyOptions{DNSName: "node-1", Roots: roots, CurrentTime: now}); err != nil {
		t.Errorf("the certificate does not serve for its host: %v", err)
	}
	if err := ensureServingCert(&kubeletconfig.KubeletConfiguration{}, dir, "node-1", now); err != nil {
		t.Fatal(err)
	}
	again, err := tls.LoadX509KeyPair(filepath.Join(dir, servingCertFile), filepath.Join(dir, servingKeyFile))
	if err != nil || !again.Leaf.Equal(pair.Leaf) {
		t.Errorf("a restart replaced the certificate, error %v", err)
	}

	other := filepath.Join(t.TempDir(), "pki")
	if err := ensureServingCert(&kubeletconfig.KubeletConfiguration{ServerTLSBootstrap: true}, other, "node-1", now); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(other); err == nil {
		t.Error("a certificate was made although the cluster shall sign one")
	}
}

func TestQuickenStartupProbesKeepsTheTimeAllowed(t *testing.T) {
	pod := &v1.Pod{Spec: v1.PodSpec{Containers: []v1.Container{
		{StartupProbe: &v1.Probe{InitialDelaySeconds: 10, PeriodSeconds: 10, FailureThreshold: 24}},
		{},
	}}}
	quickenStartupProbes(pod)
	probe := pod.Spec.Containers[0].StartupProbe
	if probe.InitialDelaySeconds != 0 || probe.PeriodSeconds != 1 || probe.FailureThreshold != 250 {
		t.Errorf("probe %+v", probe)
	}
}

func TestEnsureKernelLog(t *testing.T) {
	name := filepath.Join(t.TempDir(), "kmsg")
	for range 2 { // The second time it is there.
		if err := ensureKernelLog(name); err != nil {
			t.Fatal(err)
		}
		if content, err := os.ReadFile(name); err != nil || len(content) != 0 {
			t.Errorf("kernel log %q, error %v", content, err)
		}
	}
}

func TestSubpather(t *testing.T) {
	volume := t.TempDir()
	s := newSubpather()
	if err := s.SafeMakeDir("a/b", volume, 0o750); err != nil {
		t.Fatal(err)
	}
	path, cleanup, err := s.PrepareSafeSubpath(subpath.Subpath{VolumeName: "v", VolumePath: volume, Path: filepath.Join(volume, "a/b")})
	if err != nil || cleanup != nil || path != filepath.Join(volume, "a/b") {
		t.Errorf("path %q, error %v", path, err)
	}
	if _, _, err := s.PrepareSafeSubpath(subpath.Subpath{VolumeName: "v", Path: filepath.Join(volume, "missing")}); err == nil {
		t.Error("a sub-path that does not exist was handed out")
	}
}
