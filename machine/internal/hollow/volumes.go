package hollow

import v1 "k8s.io/api/core/v1"

// filterVolume replaces storage that a simulated machine has not got (network
// and cloud disks, claims on them, images, huge pages) by an empty directory, so
// that the pod starts. Volumes whose content is the API's or the machine's own
// stay what they are.
func filterVolume(v *v1.Volume, podHasProcess bool) {
	switch {
	case v.Secret != nil, v.ConfigMap != nil, v.Projected != nil, v.DownwardAPI != nil:
	case v.EmptyDir != nil:
		// Memory and huge pages are mounts, and the machine's mounts are directories.
		v.EmptyDir.Medium = v1.StorageMediumDefault
	case v.HostPath != nil:
		if !podHasProcess {
			// Nothing will use it, and the machine may well lack a device or a
			// socket whose presence the kubelet would insist on.
			v.HostPath.Type = nil
		}
	default:
		v.VolumeSource = v1.VolumeSource{EmptyDir: &v1.EmptyDirVolumeSource{}}
	}
}
