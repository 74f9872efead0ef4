package hollow

import v1 "k8s.io/api/core/v1"

// filterPodSecurity removes what needs more than the one user that a machine's
// user namespace has: files cannot be given to another user or group there, so
// the kubelet would fail to set up the pod's volumes. SELinux and AppArmor belong
// to the host, and pods in user namespaces of their own need a range of ids.
func filterPodSecurity(spec *v1.PodSpec) {
	spec.HostUsers = nil
	s := spec.SecurityContext
	if s == nil {
		return
	}
	s.RunAsUser, s.RunAsGroup, s.RunAsNonRoot = nil, nil, nil
	s.FSGroup, s.FSGroupChangePolicy = nil, nil
	s.SupplementalGroups, s.SupplementalGroupsPolicy = nil, nil
	s.SELinuxOptions, s.SELinuxChangePolicy = nil, nil
	s.AppArmorProfile = nil
	s.WindowsOptions = nil
}

// filterContainerSecurity does the same for one container.
func filterContainerSecurity(c *v1.Container) {
	s := c.SecurityContext
	if s == nil {
		return
	}
	s.RunAsUser, s.RunAsGroup, s.RunAsNonRoot = nil, nil, nil
	s.SELinuxOptions = nil
	s.AppArmorProfile = nil
	s.ProcMount = nil
	s.WindowsOptions = nil
}
