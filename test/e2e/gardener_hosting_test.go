//go:build e2e

package e2e

import (
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// ofAShoot is what Gardener wants of a cluster beside what a KubeadmControlPlane has: keys that Gardener can sign with, and an API
// server that takes the tokens that gardener-resource-manager asks it for.
const ofAShoot = `encryptionAlgorithm: RSA-2048
      apiServer:
        extraArgs:
          - name: api-audiences
            value: https://kubernetes.default.svc.cluster.local,gardener`

// TestSeed runs the extension as a pod of its registered chart, and has Gardener's own components ask it for all that a Shoot is
// made of: its machines boot, join and are initialised.
func TestSeed(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	step(t, "up", func(t *testing.T) { upForGardener(t, y) })
	s := newSeed(t, y, "first", y.kubeconfig(t, "bootstrap"))
	garden := newGarden(t, y)
	step(t, "a seed", s.prepare)
	step(t, "the extension", func(t *testing.T) { s.ready(t, garden.install(t, s)) })

	h := newHosted(t, s, "demo", "em-test")
	step(t, "a Shoot's control plane", h.prepare)
	step(t, "a machine joins", h.reconcile)
	step(t, "scaled up", func(t *testing.T) {
		h.wants("c3.small.x86", 2)
		h.reconcile(t)
	})
	step(t, "replaced by another machine type", func(t *testing.T) {
		before := h.ownDevices(t)
		h.wants("c3.medium.x86", 1)
		h.reconcile(t)
		for id, device := range h.ownDevices(t) {
			if _, old := before[id]; old || device.Plan.Slug != "c3.medium.x86" {
				t.Errorf("device %s is a %s", device.Hostname, device.Plan.Slug)
			}
		}
	})
	step(t, "hibernated", func(t *testing.T) {
		*h.shoot.Spec.Hibernation.Enabled = true
		h.reconcile(t)
	})
	step(t, "awake again", func(t *testing.T) {
		*h.shoot.Spec.Hibernation.Enabled = false
		h.reconcile(t)
	})
	moveShoot(t, h, garden)
	step(t, "nothing is left", h.delete)
}

// moveShoot has the Shoot move to a second seed, with all of its machines.
func moveShoot(t *testing.T, h *hosted, garden *garden) {
	step(t, "off the first seed", func(t *testing.T) { h.migrate(t, garden) })
	var second *seed
	step(t, "a second seed", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "second.yaml")
		if err := os.WriteFile(file, []byte(secondSeed()), 0o600); err != nil {
			t.Fatal(err)
		}
		h.must(t, "up", "-f", file, "--workers", "0")
		second = newSeed(t, h.yard, "second", h.yard.kubeconfig(t, "second"))
		second.prepare(t)
		second.ready(t, garden.install(t, second))
	})
	step(t, "on the second seed", func(t *testing.T) { h.restore(t, garden, second) })
	step(t, "scaled up there", func(t *testing.T) {
		h.wants("c3.medium.x86", 2)
		h.reconcile(t)
	})
}

// newHosted makes a Shoot of a cluster of the yard that has its control plane already, and no workers.
func newHosted(t *testing.T, s *seed, cluster, name string) *hosted {
	t.Helper()
	bootstrap := s.yard.kubeconfig(t, "bootstrap")
	secret := func(namespace, name string) map[string][]byte {
		found, err := get[corev1.Secret](s.yard, t.Context(), bootstrap, "-n", namespace, "secret", name)
		if err != nil {
			t.Fatal(err)
		}
		return found.Data
	}
	authority := secret("default", cluster+"-ca")
	h := &hosted{
		seed: s, target: s.yard.kubeconfig(t, cluster), userData: kubeadmUserData,
		authority:   map[string][]byte{"ca.crt": authority["tls.crt"], "ca.key": authority["tls.key"]},
		credentials: s.credentials(t),
	}
	// Machines and pods reach the API at another address than this test.
	h.profile, h.shoot = newShoot(name, string(secret("cluster-api-provider-packet-system", "packet-api-credentials")["apiURL"]))
	// The cloud controller manager that came with the cluster makes way for the one that the extension deploys on the seed.
	s.kubectl(t, bootstrap, "delete", "clusterresourceset", cluster+"-packet-cloud-controller-manager", "--ignore-not-found")
	s.kubectl(t, h.target, "-n", "kube-system", "delete", "deployment", "packet-cloud-controller-manager", "--ignore-not-found", "--timeout", soon.String())
	h.makeNamespace(t)
	return h
}
