package worker

import (
	corev1 "k8s.io/api/core/v1"
)

// place is where the machines of one zone of a pool are made.
type place struct {
	// zone is the name of the zone in the Shoot. It is never empty, for the cluster-autoscaler's sake.
	zone string
	// metro is the code of a metro, empty if it is not known.
	metro string
	// facility is the code of a facility, empty if any of the metro will do.
	facility string
}

// places are those of a pool's zones, in the pool's order. A zone is a facility of the region's metro, or the metro itself, which
// leaves it to the Packet API to choose one; so does having no zones. Shoots from before there were metros have a facility as
// their region; which metro that is in, the Infrastructure has found out.
func places(region, metro string, zones []string) []place {
	if metro == "" && !isFacility(region) {
		metro = region
	}
	if len(zones) == 0 {
		zones = []string{region}
	}
	all := make([]place, 0, len(zones))
	for _, zone := range zones {
		p := place{zone: zone, metro: metro}
		if zone != metro {
			p.facility = zone
		}
		all = append(all, p)
	}
	return all
}

// isFacility tells the code of a facility, such as ny5 or ewr1, from that of a metro, such as ny: it ends with a number.
func isFacility(code string) bool {
	if code == "" {
		return false
	}
	last := code[len(code)-1]
	return '0' <= last && last <= '9'
}

// labels are what the cloud controller manager will say of where a node is, as far as it is known before there is a machine. A
// label that is not known is left out: machine-controller-manager and the cloud controller manager would overwrite each other's.
func (p place) labels() map[string]string {
	labels := map[string]string{}
	if p.metro != "" {
		labels[corev1.LabelTopologyRegion] = p.metro
	}
	if p.facility != "" {
		labels[corev1.LabelTopologyZone] = p.facility
	}
	return labels
}

// facilities are those of a providerSpec.
func (p place) facilities() []string {
	if p.facility == "" {
		return nil
	}
	return []string{p.facility}
}
