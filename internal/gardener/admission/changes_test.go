package admission_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	securityv1alpha1 "github.com/gardener/gardener/pkg/apis/security/v1alpha1"
)

// testChanges changes what is there.
func testChanges(t *testing.T) {
	t.Run("zone outside the region", testZoneOutsideTheRegion)
	shoot := func(t *testing.T) *unstructured.Unstructured {
		t.Helper()
		is := example(t, "90-shoot.yaml")
		if err := garden.Get(t.Context(), client.ObjectKeyFromObject(is), is); err != nil {
			t.Fatal(err)
		}
		return is
	}
	t.Run("networks before the nodes' addresses are known", func(t *testing.T) {
		// What the Infrastructure controller tells a person to do when a project has no private addresses yet.
		for path, yaml := range map[string]string{
			".networks.nodes": "10.64.12.0/25", ".networks.privateReservation.prefixLength": "25", ".networks.vlan": "{}",
		} {
			if err := garden.Update(t.Context(), with(t, shoot(t), infrastructure+path, yaml), client.DryRunAll); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	})
	t.Run("networks after that", func(t *testing.T) {
		fixed := named(t, with(t, with(t, example(t, "90-shoot.yaml"), infrastructure+".networks", "{nodes: 10.64.12.0/25, vlan: {vxlan: 1000}}"), "spec.purpose", "testing"), "fixed")
		apply(t, fixed)
		if err := garden.Get(t.Context(), client.ObjectKeyFromObject(fixed), fixed); err != nil {
			t.Fatal(err)
		}
		refused(t, garden.Update(t.Context(), with(t, fixed, infrastructure+".networks.nodes", ""), client.DryRunAll),
			"cannot be changed, set or removed any more: the Shoot's nodes have addresses of 10.64.12.0/25; create another Shoot")
		refused(t, garden.Update(t.Context(), with(t, fixed, infrastructure+".networks.vlan.vxlan", "1001"), client.DryRunAll),
			"must stay 1000: take networks.vlan out, and put it back with the other number when the VLAN is gone")
	})
	t.Run("the nodes' block that gardenlet reports", func(t *testing.T) {
		if err := garden.Update(t.Context(), with(t, shoot(t), "spec.networking.nodes", "10.64.12.0/25"), client.DryRunAll); err != nil {
			t.Error(err)
		}
	})
	t.Run("another pool", func(t *testing.T) {
		changed := shoot(t)
		workers, _, _ := unstructured.NestedSlice(changed.Object, "spec", "provider", "workers")
		second := (&unstructured.Unstructured{Object: workers[0].(map[string]any)}).DeepCopy().Object
		second["name"] = "second"
		if err := unstructured.SetNestedSlice(changed.Object, append(workers, second), "spec", "provider", "workers"); err != nil {
			t.Fatal(err)
		}
		if err := garden.Update(t.Context(), changed.DeepCopy(), client.DryRunAll); err != nil {
			t.Errorf("a second pool: %v", err)
		}
		const config = "{" + header + "WorkerConfig, reservationIDs: [93125c2a-8b78-4d4f-a3c4-7367d6b7cca8]}"
		changed = with(t, with(t, changed, worker+"providerConfig", config), "spec.provider.workers.1.providerConfig", config)
		refused(t, garden.Update(t.Context(), changed, client.DryRunAll), "must not be in two worker pools: spec.provider.workers[0] has it")
	})
	t.Run("project of the Secret", func(t *testing.T) {
		secret := &corev1.Secret{}
		if err := garden.Get(t.Context(), client.ObjectKey{Namespace: "garden-em", Name: "core-packet"}, secret); err != nil {
			t.Fatal(err)
		}
		changed := secret.DeepCopy()
		changed.Data["apiToken"] = []byte("another-token")
		if err := garden.Update(t.Context(), changed, client.DryRunAll); err != nil {
			t.Errorf("another token: %v", err)
		}
		changed.Data["projectID"] = []byte("b1b1b1b1-8b78-4d4f-a3c4-7367d6b7cca8")
		err := garden.Update(t.Context(), changed, client.DryRunAll)
		refused(t, err, "must stay 93125c2a-8b78-4d4f-a3c4-7367d6b7cca8: machines of the Shoots garden-em/em-test, garden-em/fixed are in that project")
		changed.Data["apiToken"] = []byte("another token with spaces")
		err = garden.Update(t.Context(), changed, client.DryRunAll)
		refused(t, err, `data[apiToken]: Invalid value: "(hidden)": must not contain spaces`)
		if err != nil && strings.Contains(err.Error(), "another token with spaces") {
			t.Errorf("the answer has the token: %v", err)
		}
	})
	t.Run("project of the binding", func(t *testing.T) {
		secret := &corev1.Secret{}
		secret.Name, secret.Namespace = "other", "garden-em"
		secret.StringData = map[string]string{"apiToken": "a-token", "projectID": "b1b1b1b1-8b78-4d4f-a3c4-7367d6b7cca8"}
		if err := garden.Create(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		apply(t, named(t, with(t, example(t, "25-credentialsbinding.yaml"), "credentialsRef.name", "other"), "other"))
		refused(t, garden.Update(t.Context(), with(t, shoot(t), "spec.credentialsBindingName", "other"), client.DryRunAll),
			"its Secret is for the project b1b1b1b1-8b78-4d4f-a3c4-7367d6b7cca8, but the Shoot's machines are in the project 93125c2a-8b78-4d4f-a3c4-7367d6b7cca8")
	})
}

// testNewThings makes what no file of example/ has.
func testNewThings(t *testing.T) {
	t.Run("nodes of the Shoot from its infrastructureConfig", func(t *testing.T) {
		shoot := named(t, with(t, example(t, "90-shoot.yaml"), infrastructure+".networks.nodes", "10.64.12.0/25"), "nodes")
		if err := garden.Create(t.Context(), shoot, client.DryRunAll); err != nil {
			t.Fatal(err)
		}
		if nodes, _, _ := unstructured.NestedString(shoot.Object, "spec", "networking", "nodes"); nodes != "10.64.12.0/25" {
			t.Errorf("spec.networking.nodes is %q", nodes)
		}
		refused(t, garden.Create(t.Context(), named(t, with(t, shoot, "spec.networking.nodes", "10.64.13.0/25"), "apart"), client.DryRunAll),
			"must be the same as spec.networking.nodes, which is 10.64.13.0/25")
	})
	t.Run("nodes and a reservation", func(t *testing.T) {
		shoot := with(t, with(t, example(t, "90-shoot.yaml"), infrastructure+".networks.privateReservation.prefixLength", "25"), "spec.networking.nodes", "10.64.13.0/25")
		refused(t, garden.Create(t.Context(), named(t, shoot, "reserved"), client.DryRunAll), "its addresses are known only then")
	})
	t.Run("binding of a Secret without an account", func(t *testing.T) {
		secret := &corev1.Secret{}
		secret.Name, secret.Namespace = "empty", "garden-em"
		if err := garden.Create(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
		// Gardener's API server labels the Secret when it is bound, and with that asks about it.
		const says = "data[apiToken]: Required value: the API token of the Packet API"
		binding := &gardencorev1beta1.SecretBinding{Provider: &gardencorev1beta1.SecretBindingProvider{Type: "packet"}}
		binding.Name, binding.Namespace, binding.SecretRef = "empty", "garden-em", corev1.SecretReference{Namespace: "garden-em", Name: "empty"}
		refused(t, garden.Create(t.Context(), binding, client.DryRunAll), says)
		refused(t, garden.Create(t.Context(), named(t, with(t, example(t, "25-credentialsbinding.yaml"), "credentialsRef.name", "empty"), "empty"), client.DryRunAll), says)
	})
	t.Run("CloudProfile with machineCapabilities", func(t *testing.T) {
		profile := named(t, with(t, example(t, "26-cloudprofile.yaml"), "spec.machineCapabilities", "[{name: architecture, values: [amd64]}]"), "capable")
		for _, image := range []string{"0", "1"} {
			versions := []string{"0"}
			if image == "0" {
				versions = []string{"0", "1"}
			}
			for _, version := range versions {
				profile = with(t, profile, "spec.machineImages."+image+".versions."+version+".architectures", "[amd64]")
			}
		}
		profile = with(t, profile, "spec.machineTypes.2.architecture", "amd64")
		refused(t, garden.Create(t.Context(), profile.DeepCopy(), client.DryRunAll), "the CloudProfile has spec.machineCapabilities: set it in capabilityFlavors")
		profile = with(t, profile, images, `[
			{name: ubuntu, versions: [{version: 24.4.0, capabilityFlavors: [{id: ubuntu_24_04}]}, {version: 22.4.0, capabilityFlavors: [{id: ubuntu_22_04}]}]},
			{name: flatcar, versions: [{version: 0.0.0-stable, capabilityFlavors: [{capabilities: {architecture: [amd64]}, ipxeScriptUrl: "https://boot.example.com/flatcar.ipxe"}]}]}]`)
		apply(t, profile)
		// A NamespacedCloudProfile may still be written the other way.
		namespaced := with(t, example(t, "27-namespacedcloudprofile.yaml"), "spec.parent.name", "capable")
		apply(t, named(t, namespaced, "capable"))
	})
	t.Run("workload identity", func(t *testing.T) {
		identity := &securityv1alpha1.WorkloadIdentity{Spec: securityv1alpha1.WorkloadIdentitySpec{
			Audiences: []string{"packet"}, TargetSystem: securityv1alpha1.TargetSystem{Type: "packet"},
		}}
		identity.Name, identity.Namespace = "packet", "garden-em"
		refused(t, garden.Create(t.Context(), identity, client.DryRunAll), "the Packet API knows people and programs by tokens that stay the same")
	})
}

func named(t *testing.T, object *unstructured.Unstructured, name string) *unstructured.Unstructured {
	t.Helper()
	object = object.DeepCopy()
	object.SetName(name)
	object.SetResourceVersion("")
	object.SetUID("")
	return object
}

// testNamespacedCloudProfile does what Gardener's controller does, which merges all but the provider's own, and expects the rest.
func testNamespacedCloudProfile(t *testing.T) {
	parent := &gardencorev1beta1.CloudProfile{}
	if err := garden.Get(t.Context(), client.ObjectKey{Name: "packet"}, parent); err != nil {
		t.Fatal(err)
	}
	profile := &gardencorev1beta1.NamespacedCloudProfile{}
	key := client.ObjectKey{Namespace: "garden-em", Name: "packet-em"}
	if err := garden.Get(t.Context(), key, profile); err != nil {
		t.Fatal(err)
	}
	profile.Status.CloudProfileSpec = *parent.Spec.DeepCopy()
	for i := range profile.Status.CloudProfileSpec.MachineImages {
		if image := &profile.Status.CloudProfileSpec.MachineImages[i]; image.Name == "flatcar" {
			image.Versions = append(image.Versions, profile.Spec.MachineImages[0].Versions...)
		}
	}
	profile.Status.ObservedGeneration = profile.Generation
	if err := garden.Status().Update(t.Context(), profile); err != nil {
		t.Fatal(err)
	}
	merged := string(profile.Status.CloudProfileSpec.ProviderConfig.Raw)
	for _, want := range []string{"ubuntu_24_04", "flatcar_stable", "https://boot.example.com/flatcar-4230.2.3.ipxe"} {
		if !strings.Contains(merged, want) {
			t.Errorf("the merged providerConfig does not have %s: %s", want, merged)
		}
	}
	// Merging again, as each reconciliation does, changes nothing.
	if err := garden.Status().Update(t.Context(), profile); err != nil {
		t.Fatal(err)
	}
	if again := string(profile.Status.CloudProfileSpec.ProviderConfig.Raw); again != merged {
		t.Errorf("merging twice makes\n%s\nof\n%s", again, merged)
	}
	shoot := with(t, example(t, "90-shoot.yaml"), "spec.cloudProfile", "{kind: NamespacedCloudProfile, name: packet-em}")
	shoot = named(t, with(t, shoot, worker+"machine.image", "{name: flatcar, version: 4230.2.3}"), "ipxe")
	if err := garden.Create(t.Context(), shoot, client.DryRunAll); err != nil {
		t.Errorf("a Shoot with the machine image of the NamespacedCloudProfile: %v", err)
	}
}
