package worker

import (
	"testing"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/utils/ptr"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
)

// change is one of a pool, of its WorkerConfig, or of what else machines are made from.
type change func(*extensionsv1alpha1.WorkerPool, *v1alpha1.WorkerConfig, *inputs)

func classAfter(t *testing.T, changes ...change) string {
	t.Helper()
	pool, in := testPool(), testInputs()
	pool.Zones = []string{"ny5"}
	config := &v1alpha1.WorkerConfig{
		ReservationIDs: []string{"next-available"},
		VLANs:          []string{"vlan-1"},
		Spot:           &v1alpha1.Spot{MaxPrice: "0.35"},
		Storage:        &apiextensionsv1.JSON{Raw: []byte(`{"disks":[{"device":"/dev/sda","wipeTable":true}]}`)},
	}
	for _, apply := range changes {
		apply(&pool, config, in)
	}
	pool.ProviderConfig = encoded(t, config)
	in.worker.Spec.Pools = []extensionsv1alpha1.WorkerPool{pool}
	return mustGenerate(t, in).deployments[0].ClassName
}

func TestWhatReplacesMachines(t *testing.T) {
	before := classAfter(t)
	for name, apply := range map[string]change{
		"node agent": func(pool *extensionsv1alpha1.WorkerPool, _ *v1alpha1.WorkerConfig, _ *inputs) {
			pool.NodeAgentSecretName = ptr.To("gardener-node-agent-pool-fedcba9876543210")
		},
		"image ID": func(_ *extensionsv1alpha1.WorkerPool, _ *v1alpha1.WorkerConfig, in *inputs) {
			in.profile.MachineImages[0].Versions[1].ID = ptr.To("ubuntu_24_04_2")
		},
		"iPXE script": func(_ *extensionsv1alpha1.WorkerPool, _ *v1alpha1.WorkerConfig, in *inputs) {
			in.profile.MachineImages[0].Versions[1].IPXEScriptURL = ptr.To("https://boot.example.com/ubuntu.ipxe")
		},
		"facility": func(pool *extensionsv1alpha1.WorkerPool, _ *v1alpha1.WorkerConfig, _ *inputs) {
			pool.Zones = []string{"ewr1"}
		},
		"VLAN": func(_ *extensionsv1alpha1.WorkerPool, config *v1alpha1.WorkerConfig, _ *inputs) {
			config.VLANs = append(config.VLANs, "vlan-2")
		},
		"VLAN of the Shoot": func(_ *extensionsv1alpha1.WorkerPool, _ *v1alpha1.WorkerConfig, in *inputs) {
			in.infrastructure.Networks = &v1alpha1.NetworksStatus{VLAN: &v1alpha1.VLANStatus{ID: "vlan-3", VXLAN: 3}}
		},
		"private block": func(_ *extensionsv1alpha1.WorkerPool, _ *v1alpha1.WorkerConfig, in *inputs) {
			in.infrastructure.Networks = &v1alpha1.NetworksStatus{PrivateReservationID: "block"}
		},
		"storage": func(_ *extensionsv1alpha1.WorkerPool, config *v1alpha1.WorkerConfig, _ *inputs) { config.Storage = nil },
		"no spot": func(_ *extensionsv1alpha1.WorkerPool, config *v1alpha1.WorkerConfig, _ *inputs) { config.Spot = nil },
		"data volume": func(pool *extensionsv1alpha1.WorkerPool, _ *v1alpha1.WorkerConfig, _ *inputs) {
			pool.DataVolumes = []extensionsv1alpha1.DataVolume{{Name: "data", Size: "100Gi"}}
		},
	} {
		if after := classAfter(t, apply); after == before {
			t.Errorf("%s: no machine is replaced", name)
		}
	}
}

func TestWhatReplacesNoMachine(t *testing.T) {
	before := classAfter(t)
	for name, apply := range map[string]change{
		"reservation": func(_ *extensionsv1alpha1.WorkerPool, config *v1alpha1.WorkerConfig, _ *inputs) {
			config.ReservationIDs = append(config.ReservationIDs, "another")
		},
		"reserved only": func(_ *extensionsv1alpha1.WorkerPool, config *v1alpha1.WorkerConfig, _ *inputs) {
			config.ReservedDevicesOnly = ptr.To(true)
		},
		"price": func(_ *extensionsv1alpha1.WorkerPool, config *v1alpha1.WorkerConfig, _ *inputs) {
			config.Spot.MaxPrice = "0.40"
		},
		"order of storage's keys": func(_ *extensionsv1alpha1.WorkerPool, config *v1alpha1.WorkerConfig, _ *inputs) {
			config.Storage.Raw = []byte(`{"disks": [ {"wipeTable":true, "device":"/dev/sda"} ]}`)
		},
		"node template": func(_ *extensionsv1alpha1.WorkerPool, config *v1alpha1.WorkerConfig, _ *inputs) {
			config.NodeTemplate = &extensionsv1alpha1.NodeTemplate{}
		},
		"SSH key": func(_ *extensionsv1alpha1.WorkerPool, _ *v1alpha1.WorkerConfig, in *inputs) {
			in.infrastructure.SSHKeyID = "another"
		},
		"API": func(_ *extensionsv1alpha1.WorkerPool, _ *v1alpha1.WorkerConfig, in *inputs) {
			in.apiURL = "https://other.example.com"
		},
		"size": func(pool *extensionsv1alpha1.WorkerPool, _ *v1alpha1.WorkerConfig, _ *inputs) {
			pool.Minimum, pool.Maximum = 10, 20
		},
		"labels": func(pool *extensionsv1alpha1.WorkerPool, _ *v1alpha1.WorkerConfig, _ *inputs) {
			pool.Labels = map[string]string{"a": "b"}
		},
		"a zone after the others": func(pool *extensionsv1alpha1.WorkerPool, _ *v1alpha1.WorkerConfig, _ *inputs) {
			pool.Zones = append(pool.Zones, "ewr1")
		},
	} {
		if after := classAfter(t, apply); after != before {
			t.Errorf("%s: machines are replaced", name)
		}
	}
}

// TestInPlacePoolsKeepTheirMachines: what Packet can only do to a new device must not make the node agent of an old one do work,
// and a new machine image must.
func TestInPlacePoolsKeepTheirMachines(t *testing.T) {
	inPlace := func(pool *extensionsv1alpha1.WorkerPool, _ *v1alpha1.WorkerConfig, _ *inputs) {
		pool.UpdateStrategy = ptr.To(gardencorev1beta1.AutoInPlaceUpdate)
		pool.NodeAgentSecretName = ptr.To("gardener-node-agent-pool")
	}
	before := classAfter(t, inPlace)
	vlan := func(_ *extensionsv1alpha1.WorkerPool, config *v1alpha1.WorkerConfig, _ *inputs) {
		config.VLANs, config.Storage = nil, nil
	}
	if after := classAfter(t, inPlace, vlan); after != before {
		t.Error("a VLAN makes an update in place")
	}
	version := func(pool *extensionsv1alpha1.WorkerPool, _ *v1alpha1.WorkerConfig, _ *inputs) {
		pool.MachineImage.Version = "22.4.0"
	}
	if after := classAfter(t, inPlace, version); after == before {
		t.Error("a machine image makes no update in place")
	}
	patch := func(pool *extensionsv1alpha1.WorkerPool, _ *v1alpha1.WorkerConfig, _ *inputs) {
		pool.KubernetesVersion = ptr.To("1.34.9")
	}
	if after := classAfter(t, inPlace, patch); after != before {
		t.Error("a patch release of Kubernetes makes another class")
	}
	minor := func(pool *extensionsv1alpha1.WorkerPool, _ *v1alpha1.WorkerConfig, _ *inputs) {
		pool.KubernetesVersion = ptr.To("1.35.0")
	}
	if after := classAfter(t, inPlace, minor); after == before {
		t.Error("a minor release of Kubernetes makes no update in place")
	}
}

// TestHashStays: another hash of the same pool replaces every machine of every Shoot when the extension is updated.
func TestHashStays(t *testing.T) {
	if got, want := classAfter(t), testTechnicalID+"-pool-z1-7a23c"; got != want {
		t.Errorf("class is %s, not %s", got, want)
	}
	plain := func(pool *extensionsv1alpha1.WorkerPool, config *v1alpha1.WorkerConfig, _ *inputs) {
		pool.Zones, *config = nil, v1alpha1.WorkerConfig{}
	}
	if got, want := classAfter(t, plain), testTechnicalID+"-pool-z1-30da1"; got != want {
		t.Errorf("class is %s, not %s", got, want)
	}
}
