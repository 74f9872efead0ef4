package main

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	cloudproviderapi "k8s.io/cloud-provider/api"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/packetyard/packetyard/pkg/packet"
)

// Finding 8 of upstream's: what was shipped lacked a right that the program
// needed, so that no controller started. Here the program has exactly the
// rights of the manifest, and does with them all that a node needs in its life.
func TestTheManifestsRightsSuffice(t *testing.T) {
	w := newWorld(t)
	ctx := t.Context()
	account := w.grant(ctx)
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
	until(t, time.Minute, "the node of a device that is switched off is tainted", func() bool {
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
	until(t, time.Minute, "the node of a device that is gone is deleted", func() bool { return len(w.nodes(ctx)) == 0 })
	for line := range strings.Lines(p.log.String()) {
		if strings.Contains(line, "forbidden") {
			t.Errorf("a right is lacking: %s", line)
		}
	}
}

// grant gives the manifest's rights to the manifest's account.
func (w *world) grant(ctx context.Context) *corev1.ServiceAccount {
	w.t.Helper()
	content, err := os.ReadFile(filepath.FromSlash(manifest))
	if err != nil {
		w.t.Fatal(err)
	}
	account := &corev1.ServiceAccount{}
	rbac := w.kube.RbacV1()
	for _, document := range bytes.Split(content, []byte("\n---\n")) {
		var kind metav1.TypeMeta
		if err := yaml.Unmarshal(document, &kind); err != nil {
			w.t.Fatal(err)
		}
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
