package worker

import (
	"slices"

	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"k8s.io/utils/ptr"

	machineclassv1alpha1 "github.com/packetyard/packetyard/api/machineclass/v1alpha1"
	"github.com/packetyard/packetyard/api/packet/v1alpha1"
)

// billingCycle is that of every machine: what the autoscaler makes today it may delete tomorrow.
const billingCycle = "hourly"

// providerSpec tells the machine driver how to make the devices of a pool in one of its zones.
//
// The project is not in it. It is in the Secret with the token that can see it, and the two change together.
func (in *inputs) providerSpec(
	pool extensionsv1alpha1.WorkerPool, config *v1alpha1.WorkerConfig, image *v1alpha1.MachineImage, p place,
) *machineclassv1alpha1.ProviderSpec {
	spec := &machineclassv1alpha1.ProviderSpec{
		APIVersion:          machineclassv1alpha1.APIVersion,
		Kind:                machineclassv1alpha1.Kind,
		APIURL:              in.apiURL,
		Metro:               p.metro,
		Facilities:          p.facilities(),
		MachineType:         pool.MachineType,
		OS:                  ptr.Deref(image.ID, ""),
		IPXEScriptURL:       ptr.Deref(image.IPXEScriptURL, ""),
		BillingCycle:        billingCycle,
		Tags:                in.tags(),
		ReservationIDs:      config.ReservationIDs,
		ReservedDevicesOnly: ptr.Deref(config.ReservedDevicesOnly, false),
		Storage:             config.Storage,
	}
	if in.infrastructure.SSHKeyID != "" {
		spec.SSHKeys = []string{in.infrastructure.SSHKeyID}
	}
	if config.Spot != nil {
		spec.SpotPriceMax = config.Spot.MaxPrice
	}
	if networks := in.infrastructure.Networks; networks != nil {
		if networks.VLAN != nil {
			spec.VLANs = append(spec.VLANs, networks.VLAN.ID)
		}
		if networks.PrivateReservationID != "" {
			spec.PrivateIPReservationIDs = []string{networks.PrivateReservationID}
		}
	}
	for _, vlan := range config.VLANs {
		if !slices.Contains(spec.VLANs, vlan) {
			spec.VLANs = append(spec.VLANs, vlan)
		}
	}
	return spec
}

// tags tell the devices of the Shoot from all others of the project: the driver takes what has both for a machine of its own, and
// deletes it if there is no Machine for it.
func (in *inputs) tags() []string {
	return []string{
		machineclassv1alpha1.TagPrefixCluster + in.technicalID(),
		machineclassv1alpha1.TagPrefixRole + "node",
	}
}

func (in *inputs) technicalID() string { return in.cluster.Shoot.Status.TechnicalID }
