package worker

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	"github.com/gardener/gardener/extensions/pkg/controller/worker"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"k8s.io/utils/ptr"

	"github.com/packetyard/packetyard/api/machineclass/v1alpha1"
)

// hashOf is the last part of the name of a MachineClass. Machines are replaced when it changes, so it is made of what an existing
// machine cannot be given any more: what gardenlet hashes into the name of the node agent's Secret (Kubernetes' minor version,
// machine type, machine image, volume, credentials), and of Packet's part the operating system, the facility, the private block,
// the VLANs, the partitions, the data volumes, and whether the machine is a spot instance.
//
// It is not made of what counts for new machines only: reservations, the highest price, the SSH key, the address of the API, the
// node template. Nobody wants hardware reinstalled because a reservation was added.
//
// A pool that is updated in place keeps its machines whatever happens, so only what gardener-node-agent can carry out is in it.
func (in *inputs) hashOf(pool extensionsv1alpha1.WorkerPool, spec *v1alpha1.ProviderSpec) (string, error) {
	data, err := rollingData(pool, spec)
	if err != nil {
		return "", err
	}
	hash, err := worker.WorkerPoolHash(pool, in.cluster, data, nil)
	if err != nil {
		return "", fmt.Errorf("hashing what its machines are made of: %w", err)
	}
	return hash, nil
}

// rollingData are what machines are replaced for besides what Gardener hashes itself. What is not set adds nothing, so that a
// field that a later version of the extension knows does not replace every machine there is.
func rollingData(pool extensionsv1alpha1.WorkerPool, spec *v1alpha1.ProviderSpec) ([]string, error) {
	var data []string
	add := func(name, value string) {
		if value != "" {
			data = append(data, name+"="+value)
		}
	}
	add("os", spec.OS)
	add("ipxeScriptUrl", spec.IPXEScriptURL)
	add("facilities", strings.Join(spec.Facilities, ","))
	// The order of VLANs means nothing, except for which of them a person wrote first.
	add("vlans", strings.Join(slices.Sorted(slices.Values(spec.VLANs)), ","))
	add("privateIPReservationIDs", strings.Join(slices.Sorted(slices.Values(spec.PrivateIPReservationIDs)), ","))
	if spec.SpotPriceMax != "" {
		add("spot", "true")
	}
	storage, err := canonical(spec.Storage)
	if err != nil {
		return nil, fmt.Errorf("reading storage: %w", err)
	}
	add("storage", storage)
	for _, volume := range pool.DataVolumes {
		add("dataVolume", strings.Join([]string{volume.Name, volume.Size, ptr.Deref(volume.Type, ""), fmt.Sprint(ptr.Deref(volume.Encrypted, false))}, ","))
	}
	add("kubeletDataVolume", ptr.Deref(pool.KubeletDataVolumeName, ""))
	return data, nil
}

// canonical is JSON without spaces and with sorted keys, so that indenting it anew replaces no machine.
func canonical(raw *apiextensionsv1.JSON) (string, error) {
	if raw == nil || len(raw.Raw) == 0 {
		return "", nil
	}
	var value any
	if err := json.Unmarshal(raw.Raw, &value); err != nil {
		return "", err
	}
	data, err := json.Marshal(value)
	return string(data), err
}
