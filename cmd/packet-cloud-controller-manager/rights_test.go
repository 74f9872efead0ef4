package main

import (
	"bytes"
	"context"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cloudproviderapi "k8s.io/cloud-provider/api"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/packetyard/packetyard/internal/ccm/endpoint"
	"github.com/packetyard/packetyard/internal/charts"
	"github.com/packetyard/packetyard/internal/processtest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// Finding 8 of upstream's: what was shipped lacked a right that the program
// needed, so that no controller started. Here the program has exactly the
// rights of the manifest, and does with them all that a node needs in its life.
func TestTheManifestsRightsSuffice(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	content, err := os.ReadFile(filepath.FromSlash(manifest))
	if err != nil {
		t.Fatal(err)
	}
	w.become(ctx, content)

	p := w.start(nil)
	w.join(ctx, "rights", 1)
	w.awaitInitialised(ctx)
	device := w.devices[0]
	if err := w.client.DeviceAction(ctx, device.ID, packet.DeviceAction{Type: packet.ActionPowerOff}); err != nil {
		t.Fatal(err)
	}
	if err := w.report(ctx, device.Hostname, corev1.ConditionUnknown); err != nil {
		t.Fatal(err)
	}
	processtest.Until(t, time.Minute, "the node of a device that is switched off is tainted", func() bool {
		for _, taint := range w.nodes(ctx)[device.Hostname].Spec.Taints {
			if taint.Key == cloudproviderapi.TaintNodeShutdown {
				return true
			}
		}
		return false
	})
	if err := w.client.DeleteDevice(ctx, device.ID, true); err != nil {
		t.Fatal(err)
	}
	processtest.Until(t, time.Minute, "the node of a device that is gone is deleted", func() bool { return len(w.nodes(ctx)) == 0 })
	p.lacksNoRight(t)
}

// The chart grants each feature its rights: with exactly those, Services get
// their addresses and lose them, nodes get BGP, and the control plane's
// address is published.
func TestTheChartsRightsSuffice(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	const tag = "rights-of-the-chart"
	content, err := charts.Render("../../charts/packet-cloud-controller-manager", "ccm", "kube-system",
		"{loadBalancer: 'kube-vip://', bgp: services, eipTag: "+tag+", leaderElection: true}")
	if err != nil {
		t.Fatal(err)
	}
	w.become(ctx, []byte(content))
	if _, err := w.client.CreateIPReservation(ctx, w.api.ProjectID, packet.IPReservationCreate{
		Type: packet.IPTypePublicIPv4, Quantity: 1, Metro: "da", Tags: []string{tag},
	}); err != nil {
		t.Fatal(err)
	}

	p := w.start(map[string]any{"loadbalancer": "kube-vip://", "metro": "da", "eipTag": tag, "bgp": "services"})
	w.join(ctx, "charted", 1)
	w.awaitInitialised(ctx)
	w.service(ctx, "web")
	processtest.Until(t, time.Minute, "the Service has an address", func() bool { return w.served(ctx, 1) })
	processtest.Until(t, time.Minute, "the control plane's address is published", func() bool {
		_, err := w.kube.CoreV1().Services("kube-system").Get(ctx, endpoint.ServiceName, metav1.GetOptions{})
		return err == nil
	})
	processtest.Until(t, time.Minute, "the node has BGP", func() bool {
		return slices.ContainsFunc(slices.Collect(maps.Keys(w.nodes(ctx)[w.devices[0].Hostname].Annotations)), func(name string) bool {
			return strings.Contains(name, "bgp-peers")
		})
	})
	if err := w.kube.CoreV1().Services(metav1.NamespaceDefault).Delete(ctx, "web", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	processtest.Until(t, time.Minute, "the Service's address is given back", func() bool { return len(w.elastic(ctx)) == 1 })
	if err := w.kube.CoreV1().Services("kube-system").Delete(ctx, endpoint.ServiceName, metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	p.lacksNoRight(t)
}

// lacksNoRight looks for what the API server refused.
func (p *process) lacksNoRight(t *testing.T) {
	t.Helper()
	for line := range strings.Lines(p.Log.String()) {
		if strings.Contains(line, "forbidden") {
			t.Errorf("a right is lacking: %s", line)
		}
	}
}

// become has the program started from now on be the account of some
// manifests, with their rights and no others.
func (w *world) become(ctx context.Context, manifests []byte) {
	w.t.Helper()
	t := w.t
	account := w.grant(ctx, manifests)
	user, err := started.server.AddUser(envtest.User{
		Name:   "system:serviceaccount:" + account.Namespace + ":" + account.Name,
		Groups: []string{"system:serviceaccounts", "system:serviceaccounts:" + account.Namespace, "system:authenticated"},
	}, nil)
	if err != nil {
		t.Fatal(err)
	}
	kubeconfig, err := user.KubeConfig()
	if err != nil {
		t.Fatal(err)
	}
	w.write("kubeconfig", kubeconfig)
}

// grant gives the rights of manifests to the account of the same manifests.
func (w *world) grant(ctx context.Context, manifests []byte) *corev1.ServiceAccount {
	w.t.Helper()
	account := &corev1.ServiceAccount{}
	rbac := w.kube.RbacV1()
	w.t.Cleanup(func() {
		// Another test's account must not have this one's rights.
		ctx, name := context.WithoutCancel(ctx), account.Name
		_ = rbac.ClusterRoles().Delete(ctx, name, metav1.DeleteOptions{})
		_ = rbac.ClusterRoleBindings().Delete(ctx, name, metav1.DeleteOptions{})
		_ = rbac.Roles("kube-system").Delete(ctx, name, metav1.DeleteOptions{})
		_ = rbac.RoleBindings("kube-system").Delete(ctx, name, metav1.DeleteOptions{})
		_ = rbac.RoleBindings("kube-system").Delete(ctx, name+"-authentication-reader", metav1.DeleteOptions{})
	})
	for _, document := range bytes.Split(manifests, []byte("\n---\n")) {
		var kind metav1.TypeMeta
		err := yaml.Unmarshal(document, &kind)
		if err != nil {
			w.t.Fatal(err)
		}
		var local rbacv1.Role
		var role rbacv1.ClusterRole
		var clusterBinding rbacv1.ClusterRoleBinding
		var binding rbacv1.RoleBinding
		switch kind.Kind {
		case "ServiceAccount":
			err = yaml.Unmarshal(document, account)
		case "ClusterRole":
			if err = yaml.Unmarshal(document, &role); err == nil {
				_, err = rbac.ClusterRoles().Create(ctx, &role, metav1.CreateOptions{})
			}
		case "Role":
			if err = yaml.Unmarshal(document, &local); err == nil {
				_, err = rbac.Roles(local.Namespace).Create(ctx, &local, metav1.CreateOptions{})
			}
		case "ClusterRoleBinding":
			if err = yaml.Unmarshal(document, &clusterBinding); err == nil {
				_, err = rbac.ClusterRoleBindings().Create(ctx, &clusterBinding, metav1.CreateOptions{})
			}
		case "RoleBinding":
			if err = yaml.Unmarshal(document, &binding); err == nil {
				_, err = rbac.RoleBindings(binding.Namespace).Create(ctx, &binding, metav1.CreateOptions{})
			}
		}
		if err != nil {
			w.t.Fatalf("%s: %v", kind.Kind, err)
		}
	}
	return account
}
