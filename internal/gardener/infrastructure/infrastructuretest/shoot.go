package infrastructuretest

import (
	"encoding/json"
	"fmt"
	"testing"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/internal/gardener/account"
	"github.com/packetyard/packetyard/pkg/packet"
)

// Key is a public key such as gardenlet makes for a Shoot.
const Key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHaSw601QLuAPAILOu5mzYiHEjI06gxucUPArdc/9DHt"

// OtherKey is another one.
const OtherKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAID/EzP50WHDiwNmfcfMP8GVsje3UHMHX09N2sNvmheLz"

// Shoot is a namespace in a seed with the credentials of a Shoot and its Cluster.
type Shoot struct {
	Environment *Environment
	Namespace   string
	// API is a client of the Packet API with which tests look at the project.
	API     *packet.Client
	Project string
	Cluster *extensionscontroller.Cluster
}

// NewShoot makes a Shoot with a project of its own in the Packet API at a URL. Change may alter its Cluster; it may be nil.
func (e *Environment) NewShoot(t testing.TB, url, token string, change func(*extensionscontroller.Cluster)) *Shoot {
	t.Helper()
	api, err := packet.NewClient(packet.Config{BaseURL: url, Token: token, QPS: -1, Retries: -1})
	if err != nil {
		t.Fatalf("making a client: %v", err)
	}
	project, err := api.CreateProject(t.Context(), packet.ProjectCreate{Name: "shoot"})
	if err != nil {
		t.Fatalf("making a project: %v", err)
	}
	s := &Shoot{Environment: e, API: api, Project: project.ID, Namespace: "shoot--test--" + project.ID[:13]}
	s.Cluster = &extensionscontroller.Cluster{
		ObjectMeta: metav1.ObjectMeta{Name: s.Namespace},
		CloudProfile: &gardencorev1beta1.CloudProfile{
			TypeMeta:   metav1.TypeMeta{APIVersion: gardencorev1beta1.SchemeGroupVersion.String(), Kind: "CloudProfile"},
			ObjectMeta: metav1.ObjectMeta{Name: "packet"},
		},
		Shoot: &gardencorev1beta1.Shoot{
			TypeMeta:   metav1.TypeMeta{APIVersion: gardencorev1beta1.SchemeGroupVersion.String(), Kind: "Shoot"},
			ObjectMeta: metav1.ObjectMeta{Namespace: "garden-test", Name: "packet"},
			Spec:       gardencorev1beta1.ShootSpec{Region: "ny"},
			Status:     gardencorev1beta1.ShootStatus{TechnicalID: s.Namespace, UID: types.UID(project.ID)},
		},
	}
	if change != nil {
		change(s.Cluster)
	}
	for _, object := range []client.Object{
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: s.Namespace}},
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "cloudprovider"},
			Data: map[string][]byte{
				account.APIToken: []byte(token), account.ProjectID: []byte(project.ID), account.APIURL: []byte(url),
			},
		},
		&extensionsv1alpha1.Cluster{
			ObjectMeta: metav1.ObjectMeta{Name: s.Namespace},
			Spec: extensionsv1alpha1.ClusterSpec{
				CloudProfile: raw(t, s.Cluster.CloudProfile), Shoot: raw(t, s.Cluster.Shoot),
				Seed: &runtime.RawExtension{Raw: []byte(`{"apiVersion":"core.gardener.cloud/v1beta1","kind":"Seed","metadata":{"name":"seed"}}`)},
			},
		},
	} {
		if err := e.Client.Create(t.Context(), object); err != nil {
			t.Fatalf("making the %T: %v", object, err)
		}
	}
	return s
}

func raw(t testing.TB, object any) runtime.RawExtension {
	t.Helper()
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatalf("writing the %T: %v", object, err)
	}
	return runtime.RawExtension{Raw: data}
}

// ProviderConfig is a configuration of api/packet/v1alpha1 with these fields, as JSON without braces.
func ProviderConfig(kind, fields string) *runtime.RawExtension {
	text := fmt.Sprintf(`{"apiVersion":"packet.provider.extensions.gardener.cloud/v1alpha1","kind":%q`, kind)
	if fields != "" {
		text += "," + fields
	}
	return &runtime.RawExtension{Raw: []byte(text + "}")}
}

// Infrastructure makes the Infrastructure of the Shoot, with these fields in its InfrastructureConfig.
func (s *Shoot) Infrastructure(t testing.TB, fields string) *extensionsv1alpha1.Infrastructure {
	t.Helper()
	infra := &extensionsv1alpha1.Infrastructure{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "infrastructure"},
		Spec: extensionsv1alpha1.InfrastructureSpec{
			DefaultSpec:  extensionsv1alpha1.DefaultSpec{Type: account.Type, ProviderConfig: ProviderConfig("InfrastructureConfig", fields)},
			Region:       "ny",
			SecretRef:    corev1.SecretReference{Namespace: s.Namespace, Name: "cloudprovider"},
			SSHPublicKey: []byte(Key),
		},
	}
	if err := s.Environment.Client.Create(t.Context(), infra); err != nil {
		t.Fatalf("making the Infrastructure: %v", err)
	}
	return infra
}

// Replace makes the Secret have other credentials. An empty token removes the Secret.
func (s *Shoot) Replace(t testing.TB, token string) {
	t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: s.Namespace, Name: "cloudprovider"}}
	var err error
	if token == "" {
		err = s.Environment.Client.Delete(t.Context(), secret)
	} else {
		patch, _ := json.Marshal(corev1.Secret{Data: map[string][]byte{account.APIToken: []byte(token)}})
		err = s.Environment.Client.Patch(t.Context(), secret, client.RawPatch(types.MergePatchType, patch))
	}
	if err != nil {
		t.Fatalf("changing the Secret: %v", err)
	}
}
