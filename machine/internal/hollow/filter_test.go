package hollow

import (
	"os"
	"path/filepath"
	"testing"

	v1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/utils/ptr"
)

func known(image string) bool { return Name(image) == "manager" }

func probed(name, image string) v1.Container {
	probe := &v1.Probe{ProbeHandler: v1.ProbeHandler{Exec: &v1.ExecAction{Command: []string{"true"}}}}
	return v1.Container{
		Name: name, Image: image,
		Env:            []v1.EnvVar{{Name: "A", Value: "1"}, {Name: ModeVariable, Value: "by the user"}},
		LivenessProbe:  probe,
		ReadinessProbe: probe,
		StartupProbe:   probe,
		Lifecycle:      &v1.Lifecycle{PreStop: &v1.LifecycleHandler{Exec: &v1.ExecAction{Command: []string{"true"}}}},
	}
}

func mode(c v1.Container) string {
	for _, e := range c.Env {
		if e.Name == ModeVariable {
			return e.Value
		}
	}
	return ""
}

func TestFilterModes(t *testing.T) {
	sidecar := probed("sidecar", "fluentd:1")
	sidecar.RestartPolicy = ptr.To(v1.ContainerRestartPolicyAlways)
	for name, test := range map[string]struct {
		spec v1.PodSpec
		init []string
		main []string
	}{
		"a hollow container runs until it is stopped": {
			spec: v1.PodSpec{RestartPolicy: v1.RestartPolicyAlways, Containers: []v1.Container{probed("c", "nginx:1")}},
			main: []string{ModeRun},
		},
		"a job's hollow container completes": {
			spec: v1.PodSpec{RestartPolicy: v1.RestartPolicyOnFailure, Containers: []v1.Container{probed("c", "busybox")}},
			main: []string{ModeExit},
		},
		"a pod that is never restarted completes": {
			spec: v1.PodSpec{RestartPolicy: v1.RestartPolicyNever, Containers: []v1.Container{probed("c", "busybox")}},
			main: []string{ModeExit},
		},
		"init containers complete and sidecars run": {
			spec: v1.PodSpec{
				RestartPolicy:  v1.RestartPolicyNever,
				InitContainers: []v1.Container{probed("i", "busybox"), sidecar},
				Containers:     []v1.Container{probed("c", "packetyard/manager:dev")},
			},
			init: []string{ModeInit, ModeRun},
			main: []string{""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			got := Filter(&v1.Pod{Spec: test.spec}, known)
			for i, want := range test.init {
				if m := mode(got.Spec.InitContainers[i]); m != want {
					t.Errorf("init container %d: mode %q, want %q", i, m, want)
				}
			}
			for i, want := range test.main {
				if m := mode(got.Spec.Containers[i]); m != want {
					t.Errorf("container %d: mode %q, want %q", i, m, want)
				}
			}
		})
	}
}

func TestFilterKeepsProbesOfProcessesOnly(t *testing.T) {
	pod := &v1.Pod{Spec: v1.PodSpec{Containers: []v1.Container{
		probed("process", "packetyard/manager:dev"),
		probed("hollow", "nginx"),
	}}}
	before := pod.DeepCopy()
	got := Filter(pod, known)
	process, hollow := got.Spec.Containers[0], got.Spec.Containers[1]
	if process.LivenessProbe == nil || process.ReadinessProbe == nil || process.StartupProbe == nil || process.Lifecycle == nil {
		t.Error("the process container lost its probes or hooks")
	}
	if hollow.LivenessProbe != nil || hollow.ReadinessProbe != nil || hollow.StartupProbe != nil || hollow.Lifecycle != nil {
		t.Error("the hollow container kept probes or hooks")
	}
	if !equality.Semantic.DeepEqual(pod, before) {
		t.Error("the given pod was changed")
	}
	if !equality.Semantic.DeepEqual(Filter(got, known), got) {
		t.Error("filtering twice differs from filtering once")
	}
}

func TestFilterRemovesWhatOneUserCannotDo(t *testing.T) {
	pod := &v1.Pod{Spec: v1.PodSpec{
		HostUsers:       ptr.To(false),
		SecurityContext: &v1.PodSecurityContext{FSGroup: ptr.To(int64(65532)), RunAsUser: ptr.To(int64(65532)), RunAsNonRoot: ptr.To(true)},
		Containers: []v1.Container{{
			Image:           "manager",
			SecurityContext: &v1.SecurityContext{RunAsUser: ptr.To(int64(1)), RunAsNonRoot: ptr.To(true), Privileged: ptr.To(true)},
		}},
	}}
	spec := Filter(pod, known).Spec
	if s := spec.SecurityContext; spec.HostUsers != nil || s.FSGroup != nil || s.RunAsUser != nil || s.RunAsNonRoot != nil {
		t.Errorf("pod security context still names users: %+v", s)
	}
	if s := spec.Containers[0].SecurityContext; s.RunAsUser != nil || s.RunAsNonRoot != nil || s.Privileged == nil {
		t.Errorf("container security context: %+v", s)
	}
}

func TestFilterVolumes(t *testing.T) {
	socket := v1.HostPathSocket
	volumes := []v1.Volume{
		{Name: "claim", VolumeSource: v1.VolumeSource{PersistentVolumeClaim: &v1.PersistentVolumeClaimVolumeSource{ClaimName: "c"}}},
		{Name: "memory", VolumeSource: v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{Medium: v1.StorageMediumMemory}}},
		{Name: "secret", VolumeSource: v1.VolumeSource{Secret: &v1.SecretVolumeSource{SecretName: "s"}}},
		{Name: "host", VolumeSource: v1.VolumeSource{HostPath: &v1.HostPathVolumeSource{Path: "/run/x.sock", Type: &socket}}},
	}
	for name, test := range map[string]struct {
		image    string
		keepType bool
	}{
		"hollow pod":  {image: "nginx"},
		"process pod": {image: "manager", keepType: true},
	} {
		t.Run(name, func(t *testing.T) {
			pod := &v1.Pod{Spec: v1.PodSpec{Volumes: volumes, Containers: []v1.Container{{Image: test.image}}}}
			got := Filter(pod, known).Spec.Volumes
			if got[0].EmptyDir == nil || got[0].PersistentVolumeClaim != nil {
				t.Errorf("claim became %+v, want an empty directory", got[0].VolumeSource)
			}
			if got[1].EmptyDir == nil || got[1].EmptyDir.Medium != v1.StorageMediumDefault {
				t.Errorf("memory volume became %+v", got[1].VolumeSource)
			}
			if got[2].Secret == nil {
				t.Errorf("secret became %+v", got[2].VolumeSource)
			}
			if (got[3].HostPath.Type != nil) != test.keepType {
				t.Errorf("host path type kept: %v, want %v", got[3].HostPath.Type != nil, test.keepType)
			}
		})
	}
}

func TestName(t *testing.T) {
	for image, want := range map[string]string{
		"etcd":                           "etcd",
		"registry.k8s.io/etcd:3.6.6-0":   "etcd",
		"localhost:5000/packetyard/a:b":  "a",
		"localhost:5000/a":               "a",
		"x/manager:dev@sha256:0123":      "manager",
		"manager@sha256:0123":            "manager",
		"":                               "",
		"x/..":                           "",
		"registry.k8s.io/kube-proxy:v1a": "kube-proxy",
	} {
		if got := Name(image); got != want {
			t.Errorf("Name(%q) = %q, want %q", image, got, want)
		}
	}
}

func TestKnown(t *testing.T) {
	dir := t.TempDir()
	for name, mode := range map[string]os.FileMode{"manager": 0o755, "notes": 0o644} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o755); err != nil {
		t.Fatal(err)
	}
	images := Images{Dir: dir}
	for image, want := range map[string]bool{
		"packetyard/manager:dev":                 true,
		"notes":                                  false,
		"folder":                                 false,
		"nginx":                                  false,
		"registry.k8s.io/kube-apiserver:v1.36.4": true,
		"":                                       false,
	} {
		if got := images.Known(image); got != want {
			t.Errorf("Known(%q) = %v, want %v", image, got, want)
		}
	}
}
