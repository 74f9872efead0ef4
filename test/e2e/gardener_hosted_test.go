//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gardener/gardener/imagevector"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	resourcesv1alpha1 "github.com/gardener/gardener/pkg/apis/resources/v1alpha1"
	"github.com/gardener/gardener/pkg/component"
	"github.com/gardener/gardener/pkg/component/extensions/controlplane"
	"github.com/gardener/gardener/pkg/component/extensions/infrastructure"
	"github.com/gardener/gardener/pkg/component/extensions/operatingsystemconfig"
	"github.com/gardener/gardener/pkg/component/extensions/worker"
	"github.com/gardener/gardener/pkg/component/gardener/access"
	"github.com/gardener/gardener/pkg/component/gardener/resourcemanager"
	"github.com/gardener/gardener/pkg/component/nodemanagement/machinecontrollermanager"
	"github.com/gardener/gardener/pkg/extensions"
	"github.com/gardener/gardener/pkg/utils/gardener/tokenrequest"
	"github.com/gardener/gardener/pkg/utils/managedresources"
	secretsutils "github.com/gardener/gardener/pkg/utils/secrets"
	secretsmanager "github.com/gardener/gardener/pkg/utils/secrets/manager"

	"github.com/packetyard/packetyard/pkg/packet"
)

// hosted is a Shoot: a cluster of the yard whose control plane is one machine, with all of the rest on a seed.
type hosted struct {
	*seed
	// target is the kubeconfig of the Shoot's API server.
	target      string
	credentials packet.Credentials
	profile     *gardencorev1beta1.CloudProfile
	shoot       *gardencorev1beta1.Shoot
	// authority is what the Shoot's API server trusts clients by, and what they trust it by.
	authority map[string][]byte
	// userData makes the user data of each worker pool's machines, and says under which names it is on the seed.
	userData func(*testing.T, *hosted) map[string]*operatingsystemconfig.OperatingSystemConfigs

	secrets         secretsmanager.Interface
	resourceManager resourcemanager.Interface
	infrastructure  infrastructure.Interface
	controlPlane    controlplane.Interface
	machines        machinecontrollermanager.Interface
	worker          worker.Interface
}

// namespace is where the Shoot's things are on the seed.
func (h *hosted) namespace() string { return h.shoot.Status.TechnicalID }

// endpoint is the host and the port of the Shoot's API server, for machines and pods.
func (h *hosted) endpoint(t *testing.T) string {
	t.Helper()
	address, err := url.Parse(restConfig(t, h.target).Host)
	if err != nil {
		t.Fatal(err)
	}
	return address.Host
}

// prepare makes the Shoot's namespace on the seed, with what gardenlet has there before it asks extensions for anything. The Secrets
// of a Shoot that comes from another seed are there already.
func (h *hosted) prepare(t *testing.T) {
	t.Helper()
	c := h.clients.Client()
	h.syncCluster(t)
	h.cloudProvider(t)
	// Gardener makes the CA of a Shoot's API server. Here Cluster API has made one, and has the API server run by it.
	for _, name := range []string{v1beta1constants.SecretNameCACluster, v1beta1constants.SecretNameCAClient} {
		secret := &corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "of-cluster-api-" + name, Namespace: h.namespace(), Labels: map[string]string{secretsmanager.LabelKeyUseDataForName: name}},
			Data:       h.authority,
		}
		if err := c.Create(t.Context(), secret); err != nil {
			t.Fatal(err)
		}
	}
	h.secrets = newSecrets(t, c, h.namespace())
	for name, common := range map[string]string{
		v1beta1constants.SecretNameCACluster: "kubernetes", v1beta1constants.SecretNameCAClient: "kubernetes-client", v1beta1constants.SecretNameCAKubelet: "kubelet",
	} {
		generate(t, h.secrets, &secretsutils.CertificateSecretConfig{Name: name, CommonName: common, CertType: secretsutils.CACert})
	}
	kubeconfig, err := tokenrequest.GenerateGenericTokenKubeconfig(t.Context(), h.secrets, h.namespace(), "https://"+h.endpoint(t))
	if err != nil {
		t.Fatal(err)
	}
	h.kubectl(t, h.kubeconfig, "annotate", "--overwrite", "cluster.extensions.gardener.cloud", h.namespace(), v1beta1constants.AnnotationKeyGenericTokenKubeconfigSecretName+"="+kubeconfig.Name)
	h.newComponents(t)
	h.deployResourceManager(t)
	deployComponent(t, "gardenlet's access to the Shoot", access.New(c, h.namespace(), h.secrets, access.Values{ServerInCluster: "https://" + h.endpoint(t), ServerOutOfCluster: "https://" + h.endpoint(t)}))
}

// makeNamespace labels the Shoot's namespace as gardenlet does: webhooks find Shoots by it.
func (h *hosted) makeNamespace(t *testing.T) {
	t.Helper()
	namespace := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{
		Name: h.namespace(),
		Labels: map[string]string{
			v1beta1constants.GardenRole:                      v1beta1constants.GardenRoleShoot,
			v1beta1constants.LabelShootProvider:              h.shoot.Spec.Provider.Type,
			v1beta1constants.LabelSeedProvider:               h.object.Spec.Provider.Type,
			v1beta1constants.LabelBackupProvider:             h.object.Spec.Provider.Type,
			"pod-security.kubernetes.io/enforce":             "privileged",
			resourcesv1alpha1.HighAvailabilityConfigConsider: "true",
		},
		Annotations: map[string]string{
			v1beta1constants.ShootUID:                                    string(h.shoot.Status.UID),
			resourcesv1alpha1.HighAvailabilityConfigFailureToleranceType: "",
		},
	}}
	if err := h.clients.Client().Create(t.Context(), namespace); err != nil {
		t.Fatal(err)
	}
}

// syncCluster tells extensions what the Shoot is like now.
func (h *hosted) syncCluster(t *testing.T) {
	t.Helper()
	h.shoot.Generation++
	if err := extensions.SyncClusterResourceToSeed(t.Context(), h.clients.Client(), h.namespace(), h.shoot, h.profile, h.object); err != nil {
		t.Fatal(err)
	}
}

// cloudProvider copies the account of the Shoot's owner, who need not know where the API is: the extension's webhook fills it in.
func (h *hosted) cloudProvider(t *testing.T) {
	t.Helper()
	c := h.clients.Client()
	secret := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: v1beta1constants.SecretNameCloudProvider, Namespace: h.namespace(),
			Labels: map[string]string{v1beta1constants.GardenerPurpose: v1beta1constants.SecretNameCloudProvider},
		},
		Type: corev1.SecretTypeOpaque,
		Data: map[string][]byte{"apiToken": []byte(h.credentials.APIToken), "projectID": []byte(h.credentials.ProjectID)},
	}
	// The API server hears of a webhook a moment after it was registered, and gardenlet comes later than that.
	eventually(t, "the API server asks the extension's webhook", func(ctx context.Context) error {
		tried := secret.DeepCopy()
		if err := c.Create(ctx, tried, client.DryRunAll); err != nil {
			return err
		}
		if len(tried.Data["apiURL"]) == 0 {
			return errors.New("the Secret cloudprovider would stay without apiURL")
		}
		return nil
	})
	if err := c.Create(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	if got := string(secret.Data["apiURL"]); got == "" || !strings.Contains(string(h.profile.Spec.ProviderConfig.Raw), got) {
		t.Errorf("the webhook has made apiURL %q of the Secret cloudprovider, want that of the CloudProfile", got)
	}
}

// newComponents makes what gardenlet deploys for the Shoot out of what it is like.
func (h *hosted) newComponents(t *testing.T) {
	t.Helper()
	c, log := h.clients.Client(), logr.Discard()
	version := semver.MustParse(h.shoot.Spec.Kubernetes.Version)
	key := h.sshKey(t)
	h.infrastructure = infrastructure.New(log, c, &infrastructure.Values{
		Namespace: h.namespace(), Name: h.shoot.Name, Type: h.shoot.Spec.Provider.Type, Region: h.shoot.Spec.Region,
		ProviderConfig: h.shoot.Spec.Provider.InfrastructureConfig, SSHPublicKey: key, AnnotateOperation: true,
	}, componentInterval, componentThreshold, soon)
	h.controlPlane = controlplane.New(log, c, &controlplane.Values{
		Namespace: h.namespace(), Name: h.shoot.Name, Type: h.shoot.Spec.Provider.Type, Region: h.shoot.Spec.Region,
		ProviderConfig: h.shoot.Spec.Provider.ControlPlaneConfig,
	}, componentInterval, componentThreshold, soon)
	h.machines = h.machineControllerManager(t, 1)
	h.worker = worker.New(log, c, &worker.Values{
		Namespace: h.namespace(), Name: h.shoot.Name, Type: h.shoot.Spec.Provider.Type, Region: h.shoot.Spec.Region,
		Workers: h.shoot.Spec.Provider.Workers, KubernetesVersion: version, MachineTypes: h.profile.Spec.MachineTypes, SSHPublicKey: key,
	}, componentInterval, componentThreshold, soon)
	h.resourceManager = resourcemanager.New(c, h.namespace(), h.secrets, resourcemanager.Values{
		Image: image(t, imagevector.ContainerImageNameGardenerResourceManager), Replicas: ptr.To(int32(1)), ClusterIdentity: h.object.Status.ClusterIdentity,
		HighAvailabilityConfigWebhookEnabled: true, LogLevel: "info", LogFormat: "json", PriorityClassName: v1beta1constants.PriorityClassNameShootControlPlane400,
		RuntimeKubernetesVersion: semver.MustParse(h.clients.Version()), SecretNameServerCA: v1beta1constants.SecretNameCACluster,
		TargetNamespaces: []string{metav1.NamespaceSystem, v1beta1constants.KubernetesDashboardNamespace, corev1.NamespaceNodeLease},
		MachineNamespace: ptr.To(h.namespace()), WatchedNamespace: ptr.To(h.namespace()), ResponsibilityMode: resourcemanager.ForShootOrVirtualGarden,
		AlwaysUpdate: ptr.To(true), ConcurrentSyncs: ptr.To(20), HealthSyncPeriod: &metav1.Duration{Duration: time.Minute}, MaxConcurrentHealthWorkers: ptr.To(10),
		MaxConcurrentTokenRequestorWorkers: ptr.To(5), MaxConcurrentCSRApproverWorkers: ptr.To(5), SystemComponentsConfigWebhookEnabled: true,
	})
}

func (h *hosted) machineControllerManager(t *testing.T, replicas int32) machinecontrollermanager.Interface {
	t.Helper()
	return machinecontrollermanager.New(h.clients.Client(), h.namespace(), h.secrets, machinecontrollermanager.Values{
		Image: image(t, imagevector.ContainerImageNameMachineControllerManager), Replicas: replicas,
	})
}

// sshKey is the key that the Shoot's machines let in.
func (h *hosted) sshKey(t *testing.T) []byte {
	t.Helper()
	secret := generate(t, h.secrets, &secretsutils.RSASecretConfig{Name: v1beta1constants.SecretNameSSHKeyPair, Bits: 4096, UsedForSSH: true})
	return secret.Data[secretsutils.DataKeySSHAuthorizedKeys]
}

// deployResourceManager deploys the Shoot's gardener-resource-manager as gardenlet does: a certificate lets it in until it has made
// itself an account.
func (h *hosted) deployResourceManager(t *testing.T) {
	t.Helper()
	authority, found := h.secrets.Get(v1beta1constants.SecretNameCACluster)
	if !found {
		t.Fatal("the Shoot has no CA")
	}
	bootstrap, err := h.secrets.Generate(t.Context(), &secretsutils.ControlPlaneSecretConfig{
		Name: resourcemanager.SecretNameShootAccess + "-bootstrap",
		CertificateSecretConfig: &secretsutils.CertificateSecretConfig{
			CommonName: "gardener.cloud:system:gardener-resource-manager", Organization: []string{user.SystemPrivilegedGroup},
			CertType: secretsutils.ClientCert, Validity: ptr.To(10 * time.Minute), SkipPublishingCACertificate: true,
		},
		KubeConfigRequests: []secretsutils.KubeConfigRequest{{
			ClusterName: h.namespace(), APIServerHost: h.endpoint(t), CAData: authority.Data[secretsutils.DataKeyCertificateBundle],
		}},
	}, secretsmanager.SignedByCA(v1beta1constants.SecretNameCAClient))
	if err != nil {
		t.Fatal(err)
	}
	h.resourceManager.SetSecrets(resourcemanager.Secrets{BootstrapKubeconfig: &component.Secret{Name: bootstrap.Name}})
	tryAgain(t, "deploying the Shoot's gardener-resource-manager", h.resourceManager.Deploy)
	if err := managedresources.WaitUntilHealthy(t.Context(), h.clients.Client(), h.namespace(), resourcemanager.ManagedResourceName); err != nil {
		t.Fatalf("waiting for the account of the Shoot's gardener-resource-manager: %v", err)
	}
	h.resourceManager.SetSecrets(resourcemanager.Secrets{})
	deployComponent(t, "the Shoot's gardener-resource-manager", h.resourceManager)
}

// status is that of the Infrastructure, which the other resources are made with.
func (h *hosted) status(t *testing.T) *runtime.RawExtension {
	t.Helper()
	status := h.infrastructure.ProviderStatus()
	if status == nil || !json.Valid(status.Raw) {
		t.Fatalf("the Infrastructure has the providerStatus %v", status)
	}
	return status
}

// workerOf reads the Worker.
func (h *hosted) workerOf(t *testing.T) *extensionsv1alpha1.Worker {
	t.Helper()
	found := &extensionsv1alpha1.Worker{}
	if err := h.clients.Client().Get(t.Context(), client.ObjectKey{Namespace: h.namespace(), Name: h.shoot.Name}, found); err != nil {
		t.Fatal(err)
	}
	return found
}
