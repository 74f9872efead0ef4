package clustersecrets_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"math/big"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/client-go/tools/events"
	bootstraputil "k8s.io/cluster-bootstrap/token/util"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	bootstrapv1 "sigs.k8s.io/cluster-api/api/bootstrap/kubeadm/v1beta2"
	controlplanev1 "sigs.k8s.io/cluster-api/api/controlplane/kubeadm/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/certs"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/internal/capi/clustersecrets"
)

var env *capitest.Environment

func TestMain(m *testing.M) {
	ctrl.SetLogger(klog.Background())
	os.Exit(capitest.Run(m, capitest.DefinitionsOnly, func(e *capitest.Environment) (func(), error) {
		env = e
		return func() {}, nil
	}))
}

// plain is a bootstrap cluster that encrypts nothing.
type plain struct{}

func (plain) Warning() string { return "nothing is encrypted" }

var now = time.Date(2026, time.November, 21, 12, 0, 0, 0, time.UTC)

// cluster makes a Cluster of Packet's.
func cluster(t *testing.T, change func(*clusterv1.Cluster)) *clusterv1.Cluster {
	t.Helper()
	c := &clusterv1.Cluster{
		ObjectMeta: metav1.ObjectMeta{Namespace: env.Namespace(t), Name: "demo"},
		Spec: clusterv1.ClusterSpec{InfrastructureRef: clusterv1.ContractVersionedObjectReference{
			APIGroup: infrav1.GroupVersion.Group, Kind: "PacketCluster", Name: "demo",
		}},
	}
	change(c)
	if err := env.Client.Create(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	return c
}

// reconcile reconciles once, and returns when to come back and what was said.
func reconcile(t *testing.T, c *clusterv1.Cluster) (time.Duration, []string) {
	t.Helper()
	recorder := events.NewFakeRecorder(10)
	r := &clustersecrets.Reconciler{
		Client: env.Client, Recorder: recorder, Encryption: plain{}, TokenTTL: 15 * time.Minute, Now: func() time.Time { return now },
	}
	result, err := r.Reconcile(t.Context(), ctrl.Request{NamespacedName: client.ObjectKeyFromObject(c)})
	if err != nil {
		t.Fatal(err)
	}
	close(recorder.Events)
	var said []string
	for event := range recorder.Events {
		said = append(said, event)
	}
	return result.RequeueAfter, said
}

func secretOf(t *testing.T, c *clusterv1.Cluster, suffix string) (*corev1.Secret, error) {
	t.Helper()
	found := &corev1.Secret{}
	return found, env.Client.Get(context.WithoutCancel(t.Context()), client.ObjectKey{Namespace: c.Namespace, Name: c.Name + suffix}, found)
}

func mustSecret(t *testing.T, c *clusterv1.Cluster, suffix string) *corev1.Secret {
	t.Helper()
	found, err := secretOf(t, c, suffix)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func certificate(t *testing.T, pem []byte) *x509.Certificate {
	t.Helper()
	found, err := certs.DecodeCertPEM(pem)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// Seed 002: when a Cluster is created there are its certificate authority, a kubeadm token and an administrator's
// certificate, each in a Secret, before there is an address, a machine or a word with the Packet API.
func TestANewClusterHasItsSecrets(t *testing.T) {
	c := cluster(t, func(*clusterv1.Cluster) {})
	_, said := reconcile(t, c)
	if len(said) != 1 || !strings.Contains(said[0], "Warning NotEncryptedAtRest nothing is encrypted") {
		t.Errorf("the events are %q, want a warning", said)
	}

	authority, token, administrator := mustSecret(t, c, "-ca"), mustSecret(t, c, "-kubeadm-token"), mustSecret(t, c, "-admin")
	for _, s := range []*corev1.Secret{authority, token, administrator} {
		if !metav1.IsControlledBy(s, c) || s.Labels[clusterv1.ClusterNameLabel] != c.Name {
			t.Errorf("Secret %s has owners %v and labels %v, want the Cluster's", s.Name, s.OwnerReferences, s.Labels)
		}
	}
	if !bootstraputil.IsValidBootstrapToken(string(token.Data["token"])) {
		t.Error("the token is not one that kubeadm takes")
	}
	manifest := &corev1.Secret{}
	if err := yaml.UnmarshalStrict(token.Data["bootstrap-token.yaml"], manifest); err != nil {
		t.Fatal(err)
	}
	whole := manifest.StringData["token-id"] + "." + manifest.StringData["token-secret"]
	if whole != string(token.Data["token"]) || manifest.Namespace != "kube-system" || manifest.Name != "bootstrap-token-"+manifest.StringData["token-id"] {
		t.Error("the manifest is not of the token")
	}
	if got, want := manifest.StringData["expiration"], "2026-11-21T12:15:00Z"; got != want {
		t.Errorf("the token ends at %s, want %s", got, want)
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate(t, authority.Data["tls.crt"]))
	admin := certificate(t, administrator.Data["tls.crt"])
	if _, err := admin.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		t.Errorf("the administrator's certificate: %v", err)
	}
	if admin.Subject.CommonName != "kubernetes-admin" || admin.Subject.Organization[0] != "system:masters" {
		t.Errorf("the administrator is %s", admin.Subject)
	}

	// The address becomes known, and the certificate becomes a kubeconfig.
	c.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: "198.18.0.9", Port: 6443}
	if err := env.Client.Update(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	if _, said := reconcile(t, c); len(said) != 0 {
		t.Errorf("the warning comes again: %q", said)
	}
	config, err := clientcmd.Load(mustSecret(t, c, "-kubeconfig").Data["value"])
	if err != nil {
		t.Fatal(err)
	}
	if config.Clusters["demo"].Server != "https://198.18.0.9:6443" || !bytes.Equal(config.AuthInfos["demo-admin"].ClientCertificateData, administrator.Data["tls.crt"]) {
		t.Error("the kubeconfig has not the address and the certificate")
	}
	if _, err := secretOf(t, c, "-admin"); !apierrors.IsNotFound(err) {
		t.Errorf("the key lies in two Secrets: %v", err)
	}
	if again := mustSecret(t, c, "-kubeadm-token"); again.ResourceVersion != token.ResourceVersion {
		t.Error("the token was written again")
	}
}

// A KubeadmControlPlane owns what is made for it, and says how its keys are made. Files have the Cluster first.
func TestAKubeadmControlPlaneOwnsItsSecrets(t *testing.T) {
	c := cluster(t, func(c *clusterv1.Cluster) {
		c.Spec.ControlPlaneRef = clusterv1.ContractVersionedObjectReference{
			APIGroup: controlplanev1.GroupVersion.Group, Kind: "KubeadmControlPlane", Name: "demo-control-plane",
		}
	})
	if again, _ := reconcile(t, c); again <= 0 {
		t.Error("nobody looks for the control plane again")
	}
	if _, err := secretOf(t, c, "-ca"); !apierrors.IsNotFound(err) {
		t.Errorf("an authority without its owner: %v", err)
	}
	controlPlane := &controlplanev1.KubeadmControlPlane{
		ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: "demo-control-plane"},
		Spec: controlplanev1.KubeadmControlPlaneSpec{
			Replicas: ptr.To[int32](1), Version: "v1.36.4",
			MachineTemplate: controlplanev1.KubeadmControlPlaneMachineTemplate{Spec: controlplanev1.KubeadmControlPlaneMachineTemplateSpec{
				InfrastructureRef: clusterv1.ContractVersionedObjectReference{APIGroup: infrav1.GroupVersion.Group, Kind: "PacketMachineTemplate", Name: "demo"},
			}},
			KubeadmConfigSpec: bootstrapv1.KubeadmConfigSpec{ClusterConfiguration: bootstrapv1.ClusterConfiguration{
				EncryptionAlgorithm: bootstrapv1.EncryptionAlgorithmRSA3072,
			}},
		},
	}
	if err := env.Client.Create(t.Context(), controlPlane); err != nil {
		t.Fatal(err)
	}
	reconcile(t, c)
	authority := mustSecret(t, c, "-ca")
	if !metav1.IsControlledBy(authority, controlPlane) {
		t.Errorf("the authority's owners are %v, want the control plane", authority.OwnerReferences)
	}
	if got := certificate(t, authority.Data["tls.crt"]).PublicKeyAlgorithm; got != x509.RSA {
		t.Errorf("the authority's key is %s, want RSA", got)
	}
}

// What other providers make is theirs.
func TestOtherClustersAreLeftAlone(t *testing.T) {
	for name, change := range map[string]func(*clusterv1.Cluster){
		"other infrastructure": func(c *clusterv1.Cluster) { c.Spec.InfrastructureRef.Kind = "OtherCluster" },
		"other control plane": func(c *clusterv1.Cluster) {
			c.Spec.ControlPlaneRef = clusterv1.ContractVersionedObjectReference{APIGroup: "controlplane.example.com", Kind: "OtherControlPlane", Name: "demo"}
		},
		"paused": func(c *clusterv1.Cluster) { c.Spec.Paused = ptr.To(true) },
		"class": func(c *clusterv1.Cluster) {
			c.Spec.Topology = clusterv1.Topology{ClassRef: clusterv1.ClusterClassRef{Name: "packet"}, Version: "v1.36.4"}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := cluster(t, change)
			reconcile(t, c)
			secrets := &corev1.SecretList{}
			if err := env.Client.List(t.Context(), secrets, client.InNamespace(c.Namespace)); err != nil || len(secrets.Items) != 0 {
				t.Errorf("%d Secrets, %v; want none", len(secrets.Items), err)
			}
		})
	}
}

// Cluster API renews the kubeconfig of a KubeadmControlPlane only: a cluster of single Machines would lose its administrator
// after a year.
func TestTheKubeconfigOfSingleMachinesIsRenewed(t *testing.T) {
	c := cluster(t, func(c *clusterv1.Cluster) {
		c.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: "198.18.0.9", Port: 6443}
	})
	reconcile(t, c)
	kubeconfig := mustSecret(t, c, "-kubeconfig")
	before := kubeconfig.DeepCopy()
	reconcile(t, c)
	if got := mustSecret(t, c, "-kubeconfig"); got.ResourceVersion != before.ResourceVersion {
		t.Error("a certificate that is new was renewed")
	}

	config, err := clientcmd.Load(kubeconfig.Data["value"])
	if err != nil {
		t.Fatal(err)
	}
	user := config.AuthInfos["demo-admin"]
	user.ClientCertificateData = endingSoon(t, mustSecret(t, c, "-ca"), user.ClientKeyData)
	if kubeconfig.Data["value"], err = clientcmd.Write(*config); err != nil {
		t.Fatal(err)
	}
	if err := env.Client.Update(t.Context(), kubeconfig); err != nil {
		t.Fatal(err)
	}
	reconcile(t, c)
	if config, err = clientcmd.Load(mustSecret(t, c, "-kubeconfig").Data["value"]); err != nil {
		t.Fatal(err)
	}
	for _, user := range config.AuthInfos {
		if left := time.Until(certificate(t, user.ClientCertificateData).NotAfter); left < 300*24*time.Hour {
			t.Errorf("the certificate lives for another %s, want a year", left)
		}
	}
}

// endingSoon is an administrator's certificate that ends in a month.
func endingSoon(t *testing.T, authority *corev1.Secret, key []byte) []byte {
	t.Helper()
	signer, err := certs.DecodePrivateKeyPEM(authority.Data["tls.key"])
	if err != nil {
		t.Fatal(err)
	}
	own, err := certs.DecodePrivateKeyPEM(key)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "kubernetes-admin", Organization: []string{"system:masters"}},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(30 * 24 * time.Hour), ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, certificate(t, authority.Data["tls.crt"]), own.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	made, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certs.EncodeCertPEM(made)
}
