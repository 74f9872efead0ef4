// Package hollow prepares pods for a simulated machine. A container whose image
// the machine knows runs as a process; every other container is hollow: it
// starts, reports ready, and does nothing. The kubelet is the real one and knows
// of no such thing, so what a hollow container cannot do is taken out of the pod
// between the kubelet's pod sources and its sync loop. The API server's copy of
// the pod stays as the user wrote it.
package hollow

import (
	v1 "k8s.io/api/core/v1"
)

// ModeVariable is the environment variable by which the container runtime
// learns that a container is hollow, and how it shall end. It is part of the
// contract with the machine's container runtime (machine/README.md).
const ModeVariable = "PACKETYARD_HOLLOW"

// The values of ModeVariable.
const (
	// ModeRun is a container that runs until it is stopped, and then exits with 0.
	ModeRun = "run"
	// ModeInit is an init container: it exits with 0 as soon as it has started.
	ModeInit = "init"
	// ModeExit is a container of a pod that shall complete, such as a Job's: it
	// exits with 0 as soon as it has started.
	ModeExit = "exit"
)

// Filter returns a copy of the pod as the machine can run it. known reports
// whether an image is run as a process. The result depends on nothing but the
// arguments: the kubelet compares pods to find out what changed.
func Filter(pod *v1.Pod, known func(image string) bool) *v1.Pod {
	pod = pod.DeepCopy()
	spec := &pod.Spec

	filterPodSecurity(spec)
	ends := spec.RestartPolicy == v1.RestartPolicyNever || spec.RestartPolicy == v1.RestartPolicyOnFailure
	anyProcess := false
	for i := range spec.InitContainers {
		c := &spec.InitContainers[i]
		sidecar := c.RestartPolicy != nil && *c.RestartPolicy == v1.ContainerRestartPolicyAlways
		mode := ModeInit
		if sidecar {
			mode = ModeRun
		}
		anyProcess = filterContainer(c, mode, known) || anyProcess
	}
	for i := range spec.Containers {
		mode := ModeRun
		if ends {
			mode = ModeExit
		}
		anyProcess = filterContainer(&spec.Containers[i], mode, known) || anyProcess
	}
	for i := range spec.EphemeralContainers {
		c := v1.Container(spec.EphemeralContainers[i].EphemeralContainerCommon)
		anyProcess = filterContainer(&c, ModeRun, known) || anyProcess
		spec.EphemeralContainers[i].EphemeralContainerCommon = v1.EphemeralContainerCommon(c)
	}
	for i := range spec.Volumes {
		filterVolume(&spec.Volumes[i], anyProcess)
	}
	return pod
}

// filterContainer prepares one container, and reports whether it is a process.
func filterContainer(c *v1.Container, mode string, known func(string) bool) bool {
	filterContainerSecurity(c)
	c.Env = without(c.Env, ModeVariable)
	if known(c.Image) {
		return true
	}
	c.Env = append(c.Env, v1.EnvVar{Name: ModeVariable, Value: mode})
	// Nothing listens in a hollow container and no command can be run in it: a
	// probe would fail for ever, and a failed hook would kill it.
	c.LivenessProbe, c.ReadinessProbe, c.StartupProbe = nil, nil, nil
	c.Lifecycle = nil
	c.VolumeDevices = nil
	return false
}

func without(env []v1.EnvVar, name string) []v1.EnvVar {
	kept := env[:0]
	for _, e := range env {
		if e.Name != name {
			kept = append(kept, e)
		}
	}
	return kept
}
