package kubelet

import v1 "k8s.io/api/core/v1"

// quickenStartupProbes lets startup probes look every second from the start,
// for as long altogether as they would have. kubeadm spaces those of the control
// plane for slow disks and image pulls; here the wait for the second look would
// be most of what a control plane needs to become ready.
func quickenStartupProbes(pod *v1.Pod) {
	for i := range pod.Spec.Containers {
		probe := pod.Spec.Containers[i].StartupProbe
		if probe == nil {
			continue
		}
		// Absent numbers are filled in before a pod gets here, for files too.
		seconds := probe.InitialDelaySeconds + max(probe.PeriodSeconds, 1)*max(probe.FailureThreshold, 1)
		probe.InitialDelaySeconds = 0
		probe.PeriodSeconds = 1
		probe.FailureThreshold = seconds
	}
}
