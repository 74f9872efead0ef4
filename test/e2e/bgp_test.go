//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/packetyard/packetyard/pkg/packet"
)

// TestKubeVIP has a cluster whose address is announced by kube-vip, by BGP with
// a password: from one machine, from three, from two when one is without power
// or without an API server, and from none when the cluster is deleted.
func TestKubeVIP(t *testing.T) {
	t.Parallel()
	y := newYard(t)
	if _, err := os.Stat(filepath.Join(y.bin, "machine-image", "images", "kube-vip")); err != nil {
		t.Fatalf("machines have no kube-vip (make e2e-build): %v", err)
	}
	step(t, "up", func(t *testing.T) { y.must(t, "up", "--workers", "0") })
	testKubeVIP(t, y)
}

func testKubeVIP(t *testing.T, y *yard) {
	a := &announced{lead: &lead{yard: y, management: y.kubeconfig(t, "bootstrap"), namespace: "announced", name: "announced"}}
	a.client, a.project = y.api(t)
	step(t, "a cluster of flavour kube-vip", func(t *testing.T) {
		y.kubectl(t, a.management, "create", "namespace", a.namespace)
		manifest := a.generate(t, "--flavor", "kube-vip", "--control-plane-machine-count", "1", "--worker-machine-count", "1")
		// Machines learn both from their metadata.
		spoken := strings.Replace(manifest, "  vipManager: KUBE_VIP\n", "  vipManager: KUBE_VIP\n  bgp: {localASN: 65010, passwordSecretRef: {name: bgp}}\n", 1)
		if spoken == manifest {
			t.Fatalf("the template has no vipManager:\n%s", manifest)
		}
		a.lead.kubectl(t, "create", "secret", "generic", "bgp", "--from-literal=bgpPassword=correcthorse")
		a.apply(t, spoken)
	})
	a.workload = a.lead.workload(t)
	step(t, "one control plane", func(t *testing.T) {
		a.settles(t, a.workload, 1, 1)
		a.announcedBy(t, 1)
		a.unassigned(t)
	})
	step(t, "three control planes", func(t *testing.T) {
		a.lead.kubectl(t, "scale", "kubeadmcontrolplane", a.name+"-control-plane", "--replicas=3")
		a.settles(t, a.workload, 3, 1)
		a.announcedBy(t, 3)
	})
	step(t, "one of them is switched off", a.loseOne)
	step(t, "an API server that is not well is not announced", a.unwell)
	step(t, "deleting the cluster leaves nothing", func(t *testing.T) {
		a.lead.kubectl(t, "delete", "cluster", a.name, "--wait=false")
		a.leavesNothing(t)
		if sessions := a.sessions(t); len(sessions) != 0 {
			t.Errorf("%d BGP sessions are left", len(sessions))
		}
		if answer, err := a.tryKubectl(t.Context(), a.workload, "get", "--raw", "/readyz", "--request-timeout=10s"); err == nil {
			t.Errorf("%q answers at the address of a cluster that is gone", answer)
		}
	})
}

// announced is a cluster whose control planes announce its address.
type announced struct {
	*lead
	client   *packet.Client
	project  string
	workload string
}

// loseOne switches a control plane off that announces the address, and on again.
func (a *announced) loseOne(t *testing.T) {
	off := a.announcers(t)[0]
	a.action(t, off, packet.ActionPowerOff)
	a.announcedBy(t, 2)
	if slices.Contains(a.announcers(t), off) {
		t.Errorf("%s announces the address without power", off)
	}
	// Each is a connection of its own, which might have gone there.
	for range 10 {
		if _, err := a.tryKubectl(t.Context(), a.workload, "get", "--raw", "/readyz", "--request-timeout=30s"); err != nil {
			t.Errorf("with a control plane less: %v", err)
		}
	}
	eventually(t, "the device is off", func(ctx context.Context) error {
		device, err := a.client.Device(ctx, off)
		if err == nil && device.State != packet.StateInactive {
			err = fmt.Errorf("it is %s", device.State)
		}
		return err
	})
	a.action(t, off, packet.ActionPowerOn)
	a.announcedBy(t, 3)
	a.settles(t, a.workload, 3, 1)
}

// unwell stops an API server whose machine and kube-vip stay as they are.
func (a *announced) unwell(t *testing.T) {
	ill := a.announcers(t)[0]
	name := a.hostname(t, ill)
	// The kubelet ends a static pod whose manifest is gone.
	a.must(t, "exec", name, "--", "mv", "/etc/kubernetes/manifests/kube-apiserver.yaml", "/root/")
	a.announcedBy(t, 2)
	if slices.Contains(a.announcers(t), ill) {
		t.Errorf("%s announces the address of an API server that it has not", name)
	}
	for _, session := range a.sessions(t) {
		if session.Status != "up" {
			t.Errorf("the session of %s is %s, want it up", session.Device.ID(), session.Status)
		}
	}
	a.must(t, "exec", name, "--", "mv", "/root/kube-apiserver.yaml", "/etc/kubernetes/manifests/")
	a.announcedBy(t, 3)
}

// unassigned checks that the API gave the address to no device.
func (a *announced) unassigned(t *testing.T) {
	t.Helper()
	all, err := a.client.IPReservations(t.Context(), a.project, packet.Include("assignments"))
	if err != nil {
		t.Fatal(err)
	}
	address := a.address(t)
	at := slices.IndexFunc(all, func(r packet.IPReservation) bool { return r.Address == address })
	if at < 0 || len(all[at].Assignments) != 0 {
		t.Errorf("the address %s is not reserved, or is assigned: %+v", address, all)
	}
}

// address is the cluster's.
func (a *announced) address(t *testing.T) string {
	t.Helper()
	return a.lead.kubectl(t, "get", "cluster", a.name, "-o", "jsonpath={.spec.controlPlaneEndpoint.host}")
}

// sessions are the BGP sessions of the project, which has no other cluster
// that speaks BGP.
func (a *announced) sessions(t *testing.T) []packet.BGPSession {
	t.Helper()
	sessions, err := a.client.ProjectBGPSessions(t.Context(), a.project)
	if err != nil {
		t.Fatal(err)
	}
	return sessions
}

// announcers are the devices that announce the address to both switches.
func (a *announced) announcers(t *testing.T) []string {
	t.Helper()
	var devices []string
	route := a.address(t) + "/32"
	for _, session := range a.sessions(t) {
		if session.Status == "up" && slices.Equal(session.LearnedRoutes, []string{route}) {
			devices = append(devices, session.Device.ID())
		}
	}
	return devices
}

// announcedBy waits until so many devices announce the address, and the
// cluster's API answers at it.
func (a *announced) announcedBy(t *testing.T, want int) {
	t.Helper()
	eventually(t, fmt.Sprintf("the address is announced by %d", want), func(context.Context) error {
		if got := a.announcers(t); len(got) != want {
			return fmt.Errorf("by %v: %+v", got, a.sessions(t))
		}
		return nil
	})
	eventually(t, "the API answers at it", func(ctx context.Context) error {
		nodes, err := get[corev1.NodeList](a.yard, ctx, a.workload, "nodes", "--request-timeout=20s")
		if err == nil && len(nodes.Items) == 0 {
			err = errors.New("there are no nodes")
		}
		return err
	})
}

func (a *announced) action(t *testing.T, device, action string) {
	t.Helper()
	if err := a.client.DeviceAction(t.Context(), device, packet.DeviceAction{Type: action}); err != nil {
		t.Fatalf("%s: %v", action, err)
	}
}

func (a *announced) hostname(t *testing.T, device string) string {
	t.Helper()
	for name, found := range a.devices(t) {
		if found.ID == device {
			return name
		}
	}
	t.Fatalf("there is no device %s", device)
	return ""
}
