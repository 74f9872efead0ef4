//go:build e2e

package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener/imagevector"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	"github.com/gardener/gardener/pkg/client/kubernetes"
	"github.com/gardener/gardener/pkg/component/extensions/operatingsystemconfig"
	"github.com/gardener/gardener/pkg/component/extensions/operatingsystemconfig/original/components/nodeagent"
	imagevectorutils "github.com/gardener/gardener/pkg/utils/imagevector"
	"github.com/gardener/gardener/pkg/utils/managedresources"
	secretsutils "github.com/gardener/gardener/pkg/utils/secrets"
)

// nodeAgentResource is the name that gardenlet gives what node agents find in their Shoot.
const nodeAgentResource = "shoot-gardener-node-agent"

// byOperatingSystemConfig makes the user data of all pools by Gardener's component, as gardenlet does, and tells the machines' node
// agents what to do. It is a hosted's userData.
func byOperatingSystemConfig(t *testing.T, h *hosted) map[string]*operatingsystemconfig.OperatingSystemConfigs {
	t.Helper()
	component := h.operatingSystemConfigs(t)
	deployComponent(t, "the OperatingSystemConfigs", component)
	configs := component.WorkerPoolNameToOperatingSystemConfigsMap()
	h.tellNodeAgents(t, configs)
	return configs
}

// operatingSystemConfigs is Gardener's component with all that gardenlet tells it of the Shoot.
func (h *hosted) operatingSystemConfigs(t *testing.T) operatingsystemconfig.Interface {
	t.Helper()
	authority, found := h.secrets.Get(v1beta1constants.SecretNameCACluster)
	if !found {
		t.Fatal("the Shoot has no CA")
	}
	return operatingsystemconfig.New(logr.Discard(), h.clients.Client(), h.secrets, &operatingsystemconfig.Values{
		Namespace: h.namespace(), KubernetesVersion: semver.MustParse(h.shoot.Spec.Kubernetes.Version), Workers: h.shoot.Spec.Provider.Workers,
		InitValues: operatingsystemconfig.InitValues{APIServerURL: "https://" + h.endpoint(t)},
		OriginalValues: operatingsystemconfig.OriginalValues{
			CABundle: string(authority.Data[secretsutils.DataKeyCertificateBundle]), Images: machineImages(t),
			MachineTypes: h.profile.Spec.MachineTypes, KubeletConfig: h.shoot.Spec.Kubernetes.Kubelet, KubeProxyEnabled: true,
			ClusterDomain: gardencorev1beta1.DefaultDomain, ClusterDNSAddresses: []string{clusterDNS(t, h)},
			SSHAccessEnabled: true, SSHPublicKeys: []string{string(h.sshKey(t))},
			NodeMonitorGracePeriod: metav1.Duration{Duration: 40 * time.Second}, PrimaryIPFamily: gardencorev1beta1.IPFamilyIPv4,
		},
	}, componentInterval, componentThreshold, soon)
}

// forgetOperatingSystemConfigs deletes them, as gardenlet does after the Worker.
func (h *hosted) forgetOperatingSystemConfigs(t *testing.T) {
	t.Helper()
	component := h.operatingSystemConfigs(t)
	if err := component.Destroy(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := component.WaitCleanup(t.Context()); err != nil {
		t.Fatalf("waiting for the end of the OperatingSystemConfigs: %v", err)
	}
}

// machineImages are the container images that machines take programs out of.
func machineImages(t *testing.T) map[string]*imagevectorutils.Image {
	t.Helper()
	images, err := imagevectorutils.FindImages(imagevector.Containers(), []string{
		imagevector.ContainerImageNamePauseContainer, imagevector.ContainerImageNameValitail, imagevector.ContainerImageNameOpentelemetryCollector,
	}, imagevectorutils.RuntimeVersion("1.36.4"), imagevectorutils.TargetVersion("1.36.4"))
	if err != nil {
		t.Fatal(err)
	}
	agent, err := imagevector.Containers().FindImage(imagevector.ContainerImageNameGardenerNodeAgent)
	if err != nil {
		t.Fatal(err)
	}
	agent.WithOptionalTag(gardenerVersion)
	images[imagevector.ContainerImageNameGardenerNodeAgent] = agent
	return images
}

func clusterDNS(t *testing.T, h *hosted) string {
	t.Helper()
	service, err := get[corev1.Service](h.yard, t.Context(), h.target, "-n", metav1.NamespaceSystem, "service", "kube-dns")
	if err != nil {
		t.Fatal(err)
	}
	return service.Spec.ClusterIP
}

// tellNodeAgents puts the OperatingSystemConfigs where the node agents of the Shoot's machines read them, and lets them do so: by
// gardener-resource-manager, as gardenlet does.
func (h *hosted) tellNodeAgents(t *testing.T, configs map[string]*operatingsystemconfig.OperatingSystemConfigs) {
	t.Helper()
	objects := []client.Object{nodeAgentRole(), nodeAgentBinding()}
	for pool, config := range configs {
		secret, err := nodeagent.OperatingSystemConfigSecret(t.Context(), h.clients.Client(), config.Original.Object, config.Original.GardenerNodeAgentSecretName, pool, true)
		if err != nil {
			t.Fatal(err)
		}
		objects = append(objects, secret)
	}
	data, err := managedresources.NewRegistry(kubernetes.ShootScheme, kubernetes.ShootCodec, kubernetes.ShootSerializer).AddAllAndSerialize(objects...)
	if err != nil {
		t.Fatal(err)
	}
	access, err := nodeagent.RBACResourcesData()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]map[string][]byte{nodeAgentResource: data, nodeAgentResource + "-rbac": access} {
		if err := managedresources.CreateForShoot(t.Context(), h.clients.Client(), h.namespace(), name, managedresources.LabelValueGardener, false, data); err != nil {
			t.Fatal(err)
		}
		if err := managedresources.WaitUntilHealthy(t.Context(), h.clients.Client(), h.namespace(), name); err != nil {
			t.Fatalf("waiting for what node agents find in the Shoot: %v", err)
		}
	}
}

// nodeAgentRole is what node agents may do. In Gardener a webhook authorizes each for its own Node alone, which a kube-apiserver is
// configured for, and the Shoot's is not.
func nodeAgentRole() *rbacv1.ClusterRole {
	rule := func(group, resource string, verbs ...string) rbacv1.PolicyRule {
		return rbacv1.PolicyRule{APIGroups: []string{group}, Resources: strings.Split(resource, ","), Verbs: verbs}
	}
	return &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "e2e:node-agents"},
		Rules: []rbacv1.PolicyRule{
			rule("certificates.k8s.io", "certificatesigningrequests", "create", "get"),
			rule("coordination.k8s.io", "leases", "create", "get", "list", "watch", "update", "patch"),
			rule("", "nodes,nodes/status", "get", "list", "watch", "update", "patch"),
			rule("", "pods", "get", "list", "watch", "delete"),
			rule("", "secrets", "get", "list", "watch"),
			rule("", "events", "create", "patch"),
			rule("events.k8s.io", "events", "create", "patch"),
		},
	}
}

func nodeAgentBinding() *rbacv1.ClusterRoleBinding {
	return &rbacv1.ClusterRoleBinding{
		ObjectMeta: metav1.ObjectMeta{Name: "e2e:node-agents"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "e2e:node-agents"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: v1beta1constants.NodeAgentsGroup}},
	}
}
