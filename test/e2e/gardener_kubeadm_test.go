//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	"github.com/gardener/gardener/pkg/component/extensions/operatingsystemconfig"
)

// joinByKubeadm is user data that has a machine join by kubeadm, where no operating system extension makes it.
const joinByKubeadm = `#cloud-config
runcmd:
- kubeadm join --config /run/kubeadm-join.yaml
write_files:
- path: /run/kubeadm-join.yaml
  content: |
    apiVersion: kubeadm.k8s.io/v1beta4
    kind: JoinConfiguration
    discovery:
      bootstrapToken: {apiServerEndpoint: %s, token: <<BOOTSTRAP_TOKEN>>, unsafeSkipCAVerification: true}
    nodeRegistration:
      name: <<MACHINE_NAME>>
      kubeletExtraArgs: [{name: cloud-provider, value: external}]
`

// bootstrappers lets machines join that have a token of machine-controller-manager's. Gardener gives the group the right to ask for
// a kubelet's certificate; the rest is what kubeadm reads.
const bootstrappers = `
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "e2e:node-bootstrapper"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:node-bootstrapper"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:bootstrappers"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "e2e:node-approver"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "system:certificates.k8s.io:certificatesigningrequests:nodeclient"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:bootstrappers"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: "e2e:get-nodes"}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: "kubeadm:get-nodes"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:bootstrappers"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: "e2e:kubeadm-config", namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: "kubeadm:nodes-kubeadm-config"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:bootstrappers"}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: "e2e:kubelet-config", namespace: kube-system}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: "kubeadm:kubelet-config"}
subjects: [{apiGroup: rbac.authorization.k8s.io, kind: Group, name: "system:bootstrappers"}]
`

// kubeadmUserData is the user data of pools whose machines join by kubeadm.
func kubeadmUserData(t *testing.T, h *hosted) map[string]*operatingsystemconfig.OperatingSystemConfigs {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bootstrappers.yaml")
	if err := os.WriteFile(file, []byte(bootstrappers), 0o600); err != nil {
		t.Fatal(err)
	}
	h.kubectl(t, h.target, "apply", "--server-side", "-f", file)
	configs := map[string]*operatingsystemconfig.OperatingSystemConfigs{}
	for _, pool := range h.shoot.Spec.Provider.Workers {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "cloud-config-" + pool.Name, Namespace: h.namespace()}}
		if _, err := controllerutil.CreateOrUpdate(t.Context(), h.clients.Client(), secret, func() error {
			secret.Data = map[string][]byte{"cloud_config": fmt.Appendf(nil, joinByKubeadm, h.endpoint(t))}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		configs[pool.Name] = &operatingsystemconfig.OperatingSystemConfigs{Init: operatingsystemconfig.Data{
			SecretName: ptr.To(secret.Name),
			// gardenlet gives it another name when the machines have to be others.
			GardenerNodeAgentSecretName: "gardener-node-agent-" + pool.Name + "-" + pool.Machine.Type,
		}}
	}
	return configs
}
