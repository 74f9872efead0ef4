package infrastructure_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/gardener/infrastructure/infrastructuretest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// Everything that can be asked for is made once, reported, found again, and deleted.
func TestLife(t *testing.T) {
	s := newShoot(t, apiservertest.Start(t, apiservertest.Options{}), everything)
	s.mustReconcile(t)
	p := s.project(t)
	if len(p.keys) != 1 || len(p.vlans) != 1 || len(p.reserved) != 1 {
		t.Fatalf("the project has %d keys, %d VLANs and %d reservations, want one of each", len(p.keys), len(p.vlans), len(p.reserved))
	}
	state, status := s.state(t), s.status(t)
	if p.keys[0].Label != s.Namespace+"-ssh-publickey" || status.SSHKeyID != p.keys[0].ID || state.SSHKeyID != p.keys[0].ID {
		t.Errorf("the key is %+v, status %+v, state %+v", p.keys[0], status, state)
	}
	if status.Networks.VLAN.ID != p.vlans[0].ID || int(status.Networks.VLAN.VXLAN) != p.vlans[0].VXLAN || state.VLANID != p.vlans[0].ID {
		t.Errorf("the VLAN is %+v, status %+v, state %+v", p.vlans[0], status.Networks.VLAN, state)
	}
	if status.Networks.PrivateReservationID != p.reserved[0].ID || state.PrivateReservationID != p.reserved[0].ID || p.reserved[0].CIDR != 27 {
		t.Errorf("the reservation is %+v, status %+v, state %+v", p.reserved[0], status.Networks, state)
	}
	if nodes := s.infra.Status.Networking.Nodes; !slices.Equal(nodes, []string{block(p.reserved[0])}) || *s.infra.Status.NodesCIDR != nodes[0] {
		t.Errorf("the nodes' addresses are %v, and %s in the old field, want %s", nodes, *s.infra.Status.NodesCIDR, block(p.reserved[0]))
	}

	version := s.infra.ResourceVersion
	s.mustReconcile(t)
	if calls := s.network.Requests(); len(calls) > 3 {
		t.Errorf("a Shoot that is ready costs %d calls, want 3 at most: %v", len(calls), calls)
	}
	if s.infra.ResourceVersion != version {
		t.Errorf("a Shoot that is ready is written to")
	}

	if err := s.remove(t); err != nil {
		t.Fatalf("deleting: %v", err)
	}
	if p := s.project(t); len(p.keys)+len(p.vlans)+len(p.reserved)+len(p.given) != 0 {
		t.Errorf("something is left over: %+v", p)
	}
	if err := s.remove(t); err != nil {
		t.Errorf("deleting what is gone: %v", err)
	}
}

// gardener#2358, and reference §4.6: gardenlet gives up a Shoot whose nodes' addresses are not known before there is a Worker.
func TestNodesAreReportedBeforeAnyWorkerExists(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	s := newShoot(t, server, "")
	want := s.useMetro(t)
	s.mustReconcile(t)
	if p := s.project(t); len(p.reserved) != 0 {
		t.Errorf("addresses are reserved where the project has a block: %+v", p.reserved)
	}
	if nodes := s.infra.Status.Networking.Nodes; !slices.Equal(nodes, []string{want}) || *s.infra.Status.NodesCIDR != want {
		t.Errorf("the nodes' addresses are %v, want %s", nodes, want)
	}

	vlan := newShoot(t, server, `"networks":{"vlan":{}}`)
	vlan.mustReconcile(t)
	if want := block(vlan.project(t).given[0]); *vlan.infra.Status.NodesCIDR != want {
		t.Errorf("the nodes' addresses are %s, want %s", *vlan.infra.Status.NodesCIDR, want)
	}

	explicit := newShoot(t, server, `"networks":{"nodes":"`+vlan.useMetroOf(t)+`"}`)
	err := explicit.reconcile(t)
	if err == nil || !strings.Contains(err.Error(), "spec.providerConfig.networks.nodes: Invalid value") {
		t.Errorf("the addresses of another project are accepted: %v", err)
	}
}

// The API gives a project its block in a metro with the first thing that needs one, so the first Shoot there has it given.
func TestFirstShootOfAProject(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	first := newShoot(t, server, "")
	for range 2 {
		first.mustReconcile(t)
		p := first.project(t)
		if len(p.given) != 1 || len(p.reserved) != 1 || *first.infra.Status.NodesCIDR != block(p.given[0]) || first.state(t).PrivateReservationID != p.reserved[0].ID {
			t.Fatalf("the nodes' addresses are %s, the state is %+v, the project has %+v", *first.infra.Status.NodesCIDR, first.state(t), p)
		}
	}
	if networks := first.status(t).Networks; networks == nil || networks.PrivateReservationID != "" {
		t.Errorf("machines would take their addresses from what holds the block: %+v", networks)
	}
	// What holds the block gives way to what the Shoot asks for.
	first.change(t, func(infra *extensionsv1alpha1.Infrastructure) {
		infra.Spec.ProviderConfig = newShoot(t, server, `"networks":{"privateReservation":{"prefixLength":27}}`).infra.Spec.ProviderConfig
	})
	first.mustReconcile(t)
	if p := first.project(t); len(p.reserved) != 1 || p.reserved[0].CIDR != 27 || first.state(t).PrivateReservationID != p.reserved[0].ID {
		t.Errorf("the project has %+v, the state is %+v", p, first.state(t))
	}
	// Whatever request is the last one of a process, nothing is made twice, and nothing is left.
	for killed, last := false, 1; last == 1 || killed; last++ {
		s := newShoot(t, server, "")
		s.network.Break(infrastructuretest.KilledAt(last))
		killed = s.reconcile(t) != nil
		s.network.Break(nil)
		s.mustReconcile(t)
		if p := s.project(t); len(p.reserved) != 1 || s.state(t).PrivateReservationID != p.reserved[0].ID {
			t.Errorf("killed at request %d: the project has %+v, the state is %+v", last, p, s.state(t))
		}
		if err := s.remove(t); err != nil {
			t.Fatal(err)
		}
		if p := s.project(t); len(p.keys)+len(p.reserved)+len(p.given) != 0 {
			t.Errorf("killed at request %d: something is left over: %+v", last, p)
		}
	}
}

// useMetroOf is the block of a project that has one.
func (s *shoot) useMetroOf(t *testing.T) string { return block(s.project(t).given[0]) }

// reference §2.8 (2): the addresses were written by a patch that the API server ignores, joined by commas, and over what was there.
func TestNodesOfTheWorkerAreKept(t *testing.T) {
	s := newShoot(t, apiservertest.Start(t, apiservertest.Options{}), `"networks":{"vlan":{}}`)
	s.mustReconcile(t)
	first := *s.infra.Status.NodesCIDR
	s.changeStatus(t, func(status *extensionsv1alpha1.InfrastructureStatus) {
		status.Networking.Nodes = append(status.Networking.Nodes, "10.200.0.0/25")
		status.Networking.Pods = []string{"100.64.0.0/12"}
	})
	s.mustReconcile(t)
	if nodes := s.infra.Status.Networking.Nodes; !slices.Equal(nodes, []string{first, "10.200.0.0/25"}) || *s.infra.Status.NodesCIDR != first {
		t.Errorf("the nodes' addresses are %v and %s", nodes, *s.infra.Status.NodesCIDR)
	}
	if !slices.Equal(s.infra.Status.Networking.Pods, []string{"100.64.0.0/12"}) {
		t.Errorf("the pods' addresses are gone: %+v", s.infra.Status.Networking)
	}
}

// The API takes the block back with the last device. A Shoot that is hibernated must not fail for that.
func TestNodesStayWhenTheProjectLeavesTheMetro(t *testing.T) {
	s := newShoot(t, apiservertest.Start(t, apiservertest.Options{}), "")
	want := s.useMetro(t)
	s.mustReconcile(t)
	if err := s.API.DeleteVirtualNetwork(t.Context(), s.project(t).vlans[0].ID); err != nil {
		t.Fatal(err)
	}
	if given := s.project(t).given; len(given) != 0 {
		t.Fatalf("the project still has %v", given)
	}
	s.mustReconcile(t)
	if *s.infra.Status.NodesCIDR != want {
		t.Errorf("the nodes' addresses are %s, want %s", *s.infra.Status.NodesCIDR, want)
	}
}

func TestSSHKeyRotation(t *testing.T) {
	s := newShoot(t, apiservertest.Start(t, apiservertest.Options{}), `"networks":{"vlan":{}}`)
	s.mustReconcile(t)
	old := s.status(t).SSHKeyID
	s.change(t, func(infra *extensionsv1alpha1.Infrastructure) {
		infra.Spec.SSHPublicKey = []byte(infrastructuretest.OtherKey + " comment\n")
	})
	s.mustReconcile(t)
	keys := s.project(t).keys
	if len(keys) != 1 || keys[0].ID == old || keys[0].ID != s.status(t).SSHKeyID || keys[0].ID != s.state(t).SSHKeyID {
		t.Errorf("the keys are %+v, the status %+v", keys, s.status(t))
	}
	s.change(t, func(infra *extensionsv1alpha1.Infrastructure) { infra.Spec.SSHPublicKey = nil })
	s.mustReconcile(t)
	if keys := s.project(t).keys; len(keys) != 0 || s.status(t).SSHKeyID != "" || s.state(t).SSHKeyID != "" {
		t.Errorf("without SSH there are %+v, the status is %+v", keys, s.status(t))
	}
}

// The API has a public key once per project. Somebody else's is used, and outlives the Shoot.
func TestSomebodyElsesSSHKey(t *testing.T) {
	s := newShoot(t, apiservertest.Start(t, apiservertest.Options{}), `"networks":{"vlan":{}}`)
	theirs, err := s.API.CreateProjectSSHKey(t.Context(), s.Project, packet.SSHKeyCreate{Label: "theirs", Key: infrastructuretest.Key + " me@example.com"})
	if err != nil {
		t.Fatal(err)
	}
	s.mustReconcile(t)
	if s.status(t).SSHKeyID != theirs.ID || s.state(t).SSHKeyID != "" {
		t.Errorf("the status is %+v, the state %+v", s.status(t), s.state(t))
	}
	if err := s.remove(t); err != nil {
		t.Fatal(err)
	}
	if keys := s.project(t).keys; len(keys) != 1 || keys[0].ID != theirs.ID {
		t.Errorf("the keys are %+v", keys)
	}
}

// The same where somebody adds it between the look and the creation.
func TestSSHKeyIsAddedBySomebodyElseMeanwhile(t *testing.T) {
	s := newShoot(t, apiservertest.Start(t, apiservertest.Options{}), `"networks":{"vlan":{}}`)
	s.network.Break(func(_ int, r *http.Request) infrastructuretest.Verdict {
		if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/ssh-keys") {
			if _, err := s.API.CreateProjectSSHKey(t.Context(), s.Project, packet.SSHKeyCreate{Label: "theirs", Key: infrastructuretest.Key}); err != nil {
				t.Error(err)
			}
		}
		return infrastructuretest.Pass
	})
	s.mustReconcile(t)
	if keys := s.project(t).keys; len(keys) != 1 || keys[0].Label != "theirs" || s.status(t).SSHKeyID != keys[0].ID || s.state(t).SSHKeyID != "" {
		t.Errorf("the keys are %+v, the status %+v, the state %+v", keys, s.status(t), s.state(t))
	}
}

// Two Gardeners may share a project and have Shoots of the same name.
func TestShootOfTheSameNameInAnotherLandscape(t *testing.T) {
	s := newShoot(t, apiservertest.Start(t, apiservertest.Options{}), everything)
	s.mustReconcile(t)
	theirs := s.project(t)
	other := *s.Cluster
	other.Shoot = s.Cluster.Shoot.DeepCopy()
	other.Shoot.Status.UID = "00000000-0000-4000-8000-000000000001"
	s.Cluster = &other
	s.changeStatus(t, func(status *extensionsv1alpha1.InfrastructureStatus) {
		*status = extensionsv1alpha1.InfrastructureStatus{}
	})
	s.change(t, func(infra *extensionsv1alpha1.Infrastructure) {
		infra.Spec.SSHPublicKey = []byte(infrastructuretest.OtherKey)
	})
	s.mustReconcile(t)
	if p := s.project(t); len(p.keys) != 2 || len(p.vlans) != 2 || len(p.reserved) != 2 {
		t.Fatalf("the two share something: %+v", p)
	}
	if err := s.remove(t); err != nil {
		t.Fatal(err)
	}
	if p := s.project(t); len(p.keys) != 1 || p.keys[0].ID != theirs.keys[0].ID || len(p.vlans) != 1 || p.vlans[0].ID != theirs.vlans[0].ID ||
		len(p.reserved) != 1 || p.reserved[0].ID != theirs.reserved[0].ID {
		t.Errorf("the other's are gone: %+v", p)
	}
}

// A Shoot takes over what another seed made, by its state alone.
func TestMigrateAndRestore(t *testing.T) {
	s := newShoot(t, apiservertest.Start(t, apiservertest.Options{}), everything)
	s.mustReconcile(t)
	before, state := s.project(t), s.infra.Status.State.DeepCopy()
	if err := s.actuator.Migrate(t.Context(), logr.Discard(), s.infra, s.Cluster); err != nil {
		t.Fatal(err)
	}
	if err := seed.Client.Delete(t.Context(), s.infra); err != nil {
		t.Fatal(err)
	}
	s.Infrastructure(t, everything)
	s.changeStatus(t, func(status *extensionsv1alpha1.InfrastructureStatus) { status.State = state })
	s.network.Forget()
	if err := s.actuator.Restore(t.Context(), logr.Discard(), s.infra, s.Cluster); err != nil {
		t.Fatal(err)
	}
	s.read(t)
	after := s.project(t)
	if len(after.keys) != 1 || after.keys[0].ID != before.keys[0].ID || len(after.vlans) != 1 || after.vlans[0].ID != before.vlans[0].ID ||
		len(after.reserved) != 1 || after.reserved[0].ID != before.reserved[0].ID {
		t.Errorf("before there was %+v, after %+v", before, after)
	}
	if s.status(t).SSHKeyID != before.keys[0].ID || *s.infra.Status.NodesCIDR != block(before.reserved[0]) {
		t.Errorf("the status is %+v", s.infra.Status)
	}
	if calls := s.network.Requests(); len(calls) > 3 {
		t.Errorf("restoring costs %v", calls)
	}
}

// reference §2.8, fix 297bd3b4: an Infrastructure whose creation failed has no state.
func TestDeleteWithEmptyState(t *testing.T) {
	s := newShoot(t, apiservertest.Start(t, apiservertest.Options{}), everything)
	if err := s.remove(t); err != nil {
		t.Errorf("deleting: %v", err)
	}
	s.Replace(t, "wrong")
	if err := s.remove(t); err != nil {
		t.Errorf("deleting with wrong credentials: %v", err)
	}
	s.Replace(t, "")
	if err := s.remove(t); err != nil {
		t.Errorf("deleting without credentials: %v", err)
	}
}

// The state of terraform, which earlier versions of the extension used, is no state of ours: what it made is found by its name.
func TestStateOfTerraform(t *testing.T) {
	s := newShoot(t, apiservertest.Start(t, apiservertest.Options{}), `"networks":{"vlan":{}}`)
	theirs, err := s.API.CreateProjectSSHKey(t.Context(), s.Project, packet.SSHKeyCreate{Label: s.Namespace + "-ssh-publickey", Key: infrastructuretest.Key})
	if err != nil {
		t.Fatal(err)
	}
	s.changeStatus(t, func(status *extensionsv1alpha1.InfrastructureStatus) {
		status.State = &runtime.RawExtension{Raw: []byte(`{"version":4,"terraform_version":"0.12.31","resources":[]}`)}
	})
	s.mustReconcile(t)
	if s.state(t).SSHKeyID != theirs.ID || len(s.project(t).keys) != 1 {
		t.Errorf("the state is %+v", s.state(t))
	}
}

// Credentials that are gone leave something behind, which Gardener has to hear of; with force it goes on.
func TestDeleteWithoutCredentials(t *testing.T) {
	s := newShoot(t, apiservertest.Start(t, apiservertest.Options{}), everything)
	s.mustReconcile(t)
	s.Replace(t, "wrong")
	wantCode(t, s.remove(t), gardencorev1beta1.ErrorInfraUnauthenticated, "apiToken")
	s.Replace(t, "")
	wantCode(t, s.remove(t), gardencorev1beta1.ErrorInfraUnauthenticated, "apiToken", "cloudprovider")
	if err := s.actuator.ForceDelete(t.Context(), logr.Discard(), s.infra, s.Cluster); err != nil {
		t.Errorf("deleting by force: %v", err)
	}
}

// A VLAN that a machine is in still is deleted later; one that the Shoot no longer wants does not hold up the Worker that takes
// it from the machines.
func TestVLANInUse(t *testing.T) {
	s := newShoot(t, apiservertest.Start(t, apiservertest.Options{}), `"networks":{"vlan":{"vxlan":1234}}`)
	s.mustReconcile(t)
	vlan := s.state(t).VLANID
	device, err := s.API.CreateDevice(t.Context(), s.Project, packet.DeviceCreate{Hostname: "machine", Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "ny"})
	if err != nil {
		t.Fatal(err)
	}
	for device.State != packet.StateActive {
		if device, err = s.API.Device(t.Context(), device.ID); err != nil {
			t.Fatal(err)
		}
	}
	bond := device.NetworkPorts[slices.IndexFunc(device.NetworkPorts, func(p packet.Port) bool { return p.Name == "bond0" })]
	if _, err := s.API.AssignPort(t.Context(), bond.ID, vlan); err != nil {
		t.Fatal(err)
	}
	wantCode(t, s.remove(t), gardencorev1beta1.ErrorRetryableInfraDependencies, "Cannot delete Virtual Network when port is assigned")

	s.change(t, func(infra *extensionsv1alpha1.Infrastructure) {
		infra.Spec.ProviderConfig = infrastructuretest.ProviderConfig("InfrastructureConfig", "")
	})
	s.mustReconcile(t)
	if s.state(t).VLANID != vlan {
		t.Errorf("the VLAN is forgotten: %+v", s.state(t))
	}
	if _, err := s.API.UnassignPort(t.Context(), bond.ID, vlan); err != nil {
		t.Fatal(err)
	}
	s.mustReconcile(t)
	if p := s.project(t); s.state(t).VLANID != "" || s.status(t).Networks.VLAN != nil || len(p.vlans) != 0 {
		t.Errorf("the VLAN is still there: %+v, %+v", s.state(t), p.vlans)
	}
}
