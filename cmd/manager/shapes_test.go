package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/capi/components"
	"github.com/packetyard/packetyard/internal/capi/manager"
	"github.com/packetyard/packetyard/internal/processtest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// The life of a bootstrap cluster with one Deployment per provider: `clusterctl init` without network and cert-manager, a
// cluster that comes and goes, an upgrade, and `clusterctl delete`. Each manager has its own rights and no others.
func TestOneDeploymentPerProvider(t *testing.T) {
	b, api := startBootstrap(t), apiservertest.Start(t, apiservertest.Options{})
	c := newClusterctl(t, builtManifests(t), "KUBECONFIG="+b.kubeconfig,
		"PACKET_API_URL="+api.URL, "PACKET_API_KEY="+api.Token, "PROJECT_ID="+api.ProjectID)
	c.run(t, "init", "--infrastructure", "packet")
	if got, want := b.images(t), map[string]string{
		"capi-controller-manager":                        "example.com/packetyard/manager:v1",
		"capi-kubeadm-bootstrap-controller-manager":      "example.com/packetyard/manager:v1",
		"capi-kubeadm-control-plane-controller-manager":  "example.com/packetyard/manager:v1",
		"cluster-api-provider-packet-controller-manager": "example.com/packetyard/manager:v1",
	}; fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("the Deployments are %v, want %v", got, want)
	}
	managers := b.runManagers(t)

	b.clusterComesAndGoes(t, api, c)
	if out := c.run(t, "upgrade", "plan"); !strings.Contains(out, "Already up to date") || !strings.Contains(out, "infrastructure-packet") {
		t.Errorf("the plan of an upgrade is\n%s", out)
	}
	for _, p := range managers {
		p.lacksNoRight(t)
	}
	b.upgrade(t, c)

	for _, p := range managers {
		p.Stop()
	}
	// With --include-crd, clusterctl lists kinds that the API server is just taking away, and can stop: see docs/clusterctl.md.
	c.run(t, "delete", "--all", "--include-namespace")
	processtest.Succeeds(t, minute, "nothing of the providers is left but definitions", func() error {
		out := b.kubectl(t, "get", "clusterroles,clusterrolebindings,mutatingwebhookconfigurations,validatingwebhookconfigurations",
			"-l", "cluster.x-k8s.io/provider", "-o", "name")
		if out = strings.TrimSpace(out); out != "" && !strings.HasPrefix(out, "No resources") {
			return fmt.Errorf("left are\n%s", out)
		}
		return nil
	})
}

// images are those of all managers, by the names of their Deployments.
func (b *bootstrap) images(t testing.TB) map[string]string {
	t.Helper()
	deployments := &appsv1.DeploymentList{}
	if err := b.client.List(t.Context(), deployments); err != nil {
		t.Fatal(err)
	}
	images := map[string]string{}
	for _, deployment := range deployments.Items {
		images[deployment.Name] = deployment.Spec.Template.Spec.Containers[0].Image
	}
	return images
}

// clusterComesAndGoes makes the example cluster as far as it gets without machines, and deletes it.
func (b *bootstrap) clusterComesAndGoes(t *testing.T, api *apiservertest.Server, c clusterctlProgram) {
	t.Helper()
	b.kubectl(t, "apply", "-f", filepath.Join("..", "..", "example", "cluster-kubeadmcontrolplane.yaml"))
	processtest.Succeeds(t, 2*minute, "the control plane has a device", func() error {
		devices, err := api.Client(t).Devices(t.Context(), api.ProjectID, packet.DeviceFilter{Tag: packet.TagRoleMaster})
		if err != nil || len(devices) != 1 {
			return fmt.Errorf("%d devices, %w\n%s", len(devices), err, b.kubectl(t, "get", "cluster-api"))
		}
		if !strings.Contains(devices[0].Userdata, "kubeadm init") {
			return fmt.Errorf("the user data does not run kubeadm init")
		}
		return nil
	})
	processtest.Succeeds(t, minute, "there is a kubeconfig", func() error {
		_, err := c.try(t, "get", "kubeconfig", "demo")
		return err
	})
	if out := c.run(t, "describe", "cluster", "demo", "--show-conditions", "all"); !strings.Contains(out, "ElasticIPReady") {
		t.Errorf("the description has no conditions of ours:\n%s", out)
	}
	cluster := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo"}}
	if err := b.client.Delete(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	processtest.Succeeds(t, 2*minute, "the cluster is gone", func() error {
		if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(cluster), cluster); !apierrors.IsNotFound(err) {
			return fmt.Errorf("%w\n%s", err, b.kubectl(t, "get", "cluster-api"))
		}
		return nil
	})
	nothingLeft(t, api)
	// There is no garbage collector, which would take what the cluster owned.
	b.kubectl(t, "delete", "--all", "kubeadmconfigtemplates,kubeadmconfigs,kubeadmcontrolplanes,packetmachinetemplates,clusterresourcesets,clusterresourcesetbindings")
}

// nothingLeft checks that nothing of a cluster is left in the Packet API.
func nothingLeft(t testing.TB, api *apiservertest.Server) {
	t.Helper()
	devices, err := api.Client(t).Devices(t.Context(), api.ProjectID, packet.DeviceFilter{})
	if err != nil || len(devices) != 0 {
		t.Errorf("%d devices are left, %v", len(devices), err)
	}
	reservations, err := api.Client(t).IPReservations(t.Context(), api.ProjectID)
	if err != nil {
		t.Fatal(err)
	}
	for _, reservation := range reservations {
		if !reservation.Management {
			t.Errorf("elastic IP %s is left", reservation.Address)
		}
	}
}

// upgrade replaces each provider by a newer version out of a folder, as a newer clusterctl would.
func (b *bootstrap) upgrade(t *testing.T, c clusterctlProgram) {
	t.Helper()
	repository, config := t.TempDir(), "providers:\n"
	kinds := map[string]string{
		"core": "CoreProvider", "bootstrap": "BootstrapProvider", "control-plane": "ControlPlaneProvider", "infrastructure": "InfrastructureProvider",
	}
	for _, provider := range components.Providers() {
		name, version, series := "kubeadm", "v1.14.3", "major: 1, minor: 14"
		switch provider.Name {
		case "core":
			name = "cluster-api"
		case "infrastructure":
			name, version, series = "packet", "v0.1.1", "major: 0, minor: 1"
		}
		folder := filepath.Join(repository, provider.Label, version)
		if err := os.MkdirAll(folder, 0o755); err != nil {
			t.Fatal(err)
		}
		newer := strings.ReplaceAll(string(builtManifests(t)[provider.File]), "manager:v1", "manager:v2")
		metadata := "apiVersion: clusterctl.cluster.x-k8s.io/v1alpha3\nkind: Metadata\nreleaseSeries: [{" + series + ", contract: v1beta2}]\n"
		for file, content := range map[string]string{provider.File: newer, "metadata.yaml": metadata} {
			if err := os.WriteFile(filepath.Join(folder, file), []byte(content), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		config += fmt.Sprintf("- {name: %s, type: %s, url: %q}\n", name, kinds[provider.Name], filepath.Join(folder, provider.File))
	}
	path := filepath.Join(repository, "clusterctl.yaml")
	if err := os.WriteFile(path, []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if out := c.run(t, "upgrade", "plan", "--config", path); strings.Count(out, "v1.14.3") < 3 || !strings.Contains(out, "v0.1.1") {
		t.Errorf("the plan of an upgrade is\n%s", out)
	}
	c.run(t, "upgrade", "apply", "--contract", "v1beta2", "--config", path)
	for name, image := range b.images(t) {
		if image != "example.com/packetyard/manager:v2" {
			t.Errorf("after the upgrade %s has image %s", name, image)
		}
	}
	if len(b.images(t)) != 4 {
		t.Errorf("after the upgrade the Deployments are %v", b.images(t))
	}
}

// One process becomes four: `clusterctl init` in a bootstrap cluster that was given provider-components.yaml. The cluster
// that was there before stays and is looked after.
func TestOneProcessBecomesFour(t *testing.T) {
	b, api := startBootstrap(t), apiservertest.Start(t, apiservertest.Options{})
	b.applyComponents(t)
	b.credentials(t, api)
	c := newClusterctl(t, builtManifests(t), "KUBECONFIG="+b.kubeconfig)
	if out, err := c.try(t, "upgrade", "plan"); err == nil || !strings.Contains(out, "are one process") {
		t.Errorf("the plan of an upgrade is %v\n%s", err, out)
	}
	one := b.runManagers(t)
	b.kubectl(t, "apply", "-f", filepath.Join("..", "..", "example", "cluster.yaml"))
	processtest.Succeeds(t, 2*minute, "the master has a device", func() error { return hasDevices(t, api, 1) })
	for _, p := range one {
		p.Stop()
		p.lacksNoRight(t)
	}

	c.run(t, "init", "--infrastructure", "packet")
	if len(b.images(t)) != 4 {
		t.Errorf("the Deployments are %v", b.images(t))
	}
	four := b.runManagers(t)
	cluster := &clusterv1.Cluster{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "demo"}}
	if err := hasDevices(t, api, 1); err != nil {
		t.Error(err)
	}
	if err := b.client.Delete(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	processtest.Succeeds(t, 2*minute, "the cluster is gone", func() error {
		if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(cluster), cluster); !apierrors.IsNotFound(err) {
			return fmt.Errorf("%w\n%s", err, b.kubectl(t, "get", "cluster-api"))
		}
		return nil
	})
	nothingLeft(t, api)
	for _, p := range four {
		p.lacksNoRight(t)
	}
}

// credentials makes the Secret that the manager reads.
func (b *bootstrap) credentials(t testing.TB, api *apiservertest.Server) {
	t.Helper()
	if err := b.client.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: manager.DefaultNamespace, Name: "packet-api-credentials"},
		StringData: map[string]string{"apiURL": api.URL, "apiToken": api.Token, "projectID": api.ProjectID},
	}); err != nil {
		t.Fatal(err)
	}
}

func hasDevices(t testing.TB, api *apiservertest.Server, want int) error {
	t.Helper()
	devices, err := api.Client(t).Devices(t.Context(), api.ProjectID, packet.DeviceFilter{})
	if err != nil {
		return err
	}
	if len(devices) != want {
		names := []string{}
		for _, device := range devices {
			names = append(names, device.Hostname)
		}
		slices.Sort(names)
		return fmt.Errorf("the devices are %v, want %d", names, want)
	}
	return nil
}
