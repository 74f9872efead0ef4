package webhook_test

import (
	"maps"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"

	"github.com/packetyard/packetyard/internal/gardener/account"
)

const token = "s3cret-token-of-a-project"

func cloudProvider(g *gardenlet, data map[string]string) *corev1.Secret {
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: v1beta1constants.SecretNameCloudProvider, Namespace: g.namespace, Labels: map[string]string{v1beta1constants.GardenerPurpose: v1beta1constants.SecretNameCloudProvider}},
		StringData: data,
	}
}

func profileWithAPIURL(address string) func(*gardencorev1beta1.CloudProfile, *gardencorev1beta1.Shoot) {
	return func(profile *gardencorev1beta1.CloudProfile, _ *gardencorev1beta1.Shoot) {
		profile.Spec.ProviderConfig = &runtime.RawExtension{Raw: []byte(`{"apiVersion":"packet.provider.extensions.gardener.cloud/v1alpha1","kind":"CloudProfileConfig","apiURL":"` + address + `","machineImages":[]}`)}
	}
}

func TestTheSecretSaysWhereThePacketAPIAnswers(t *testing.T) {
	good := map[string]string{account.APIToken: token, account.ProjectID: "93125c2a-8b78-4d4f-a3c4-7367d6b7cca8"}
	for name, c := range map[string]struct {
		own, profile, want string
	}{
		"itself":            {own: "https://own.example.com", profile: "https://profile.example.com", want: "https://own.example.com"},
		"the-profile":       {profile: "https://profile.example.com", want: "https://profile.example.com"},
		"the-configuration": {want: configAPIURL},
	} {
		t.Run(name, func(t *testing.T) {
			g := newGardenlet(t, "by-"+name, account.Type, profileWithAPIURL(c.profile))
			data := maps.Clone(good)
			if c.own != "" {
				data[account.APIURL] = c.own
			}
			g.create(t, cloudProvider(g, data))
			secret := get[corev1.Secret](t, g, v1beta1constants.SecretNameCloudProvider)
			if got := string(secret.Data[account.APIURL]); got != c.want {
				t.Errorf("the address is %s, want %s", got, c.want)
			}
			// gardenlet writes what the owner gave, each time.
			secret.Data = map[string][]byte{account.APIToken: []byte(token), account.ProjectID: []byte(good[account.ProjectID])}
			if c.own != "" {
				secret.Data[account.APIURL] = []byte(c.own)
			}
			if err := g.client.Update(t.Context(), secret); err != nil {
				t.Fatal(err)
			}
			if got := string(get[corev1.Secret](t, g, v1beta1constants.SecretNameCloudProvider).Data[account.APIURL]); got != c.want {
				t.Errorf("after an update the address is %s, want %s", got, c.want)
			}
		})
	}
}

func TestABadSecretIsRejectedWithoutItsToken(t *testing.T) {
	g := newPacketGardenlet(t, "bad-secret")
	for name, c := range map[string]struct {
		data map[string]string
		want string
	}{
		"no token":       {map[string]string{account.ProjectID: "93125c2a-8b78-4d4f-a3c4-7367d6b7cca8"}, "data[apiToken]"},
		"a line end":     {map[string]string{account.APIToken: token + "\n", account.ProjectID: "93125c2a-8b78-4d4f-a3c4-7367d6b7cca8"}, "data[apiToken]"},
		"no project":     {map[string]string{account.APIToken: token}, "data[projectID]"},
		"a project name": {map[string]string{account.APIToken: token, account.ProjectID: "mine"}, `"mine"`},
		"a bad address":  {map[string]string{account.APIToken: token, account.ProjectID: "93125c2a-8b78-4d4f-a3c4-7367d6b7cca8", account.APIURL: "ftp://x"}, "data[apiURL]"},
	} {
		err := g.client.Create(t.Context(), cloudProvider(g, c.data))
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), token) {
			t.Errorf("%s: got %v, want an error with %s and without the token", name, err, c.want)
		}
	}
	identity := cloudProvider(g, map[string]string{"config": "x"})
	identity.Labels["workloadidentity.security.gardener.cloud/provider"] = account.Type
	if err := g.client.Create(t.Context(), identity); err == nil || !strings.Contains(err.Error(), "no workload identities") {
		t.Errorf("got %v, want a word about workload identities", err)
	}
}

// The end of a Shoot is written into its Secret's labels and finalizers, whatever is in it.
func TestASecretThatWasBadCanChangeItsLabels(t *testing.T) {
	g := newGardenlet(t, "was-bad", "other", nil)
	bad := cloudProvider(g, map[string]string{account.ProjectID: "mine"})
	g.create(t, bad)
	if err := g.client.Update(t.Context(), shootNamespace("was-bad")); err != nil {
		t.Fatal(err)
	}
	bad.Labels["changed"] = "yes"
	if err := g.client.Update(t.Context(), bad); err != nil {
		t.Errorf("changing a label: %v", err)
	}
	bad.Data[account.ProjectID] = []byte("yours")
	if err := g.client.Update(t.Context(), bad); err == nil || !strings.Contains(err.Error(), `"yours"`) {
		t.Errorf("got %v, want an error that names the new project", err)
	}
}
