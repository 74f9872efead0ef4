package controlplane

import (
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"

	v1beta1helper "github.com/gardener/gardener/pkg/api/core/v1beta1/helper"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"

	"github.com/packetyard/packetyard/internal/gardener/account"
)

func TestSeedValues(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*shoot)
		want   map[string]any
	}{
		"nothing is asked for": {func(*shoot) {}, map[string]any{
			"metro": "da", "facility": nil, "loadBalancer": "metallb://metallb-system?crdConfiguration=true", "addressPolicy": "",
			"replicas": 1, "cloudProviderSecretName": "cloudprovider", "projectID": testProject, "apiURL": testAPIURL,
		}},
		"a facility":     {func(s *shoot) { s.cp.Spec.Region = "ewr1" }, map[string]any{"metro": nil, "facility": "ewr1"}},
		"capital letter": {func(s *shoot) { s.cp.Spec.Region = "DA" }, map[string]any{"metro": "da"}},
		"none":           {func(s *shoot) { s.configure(`"loadBalancer":{"implementation":"none"}`) }, map[string]any{"loadBalancer": "empty://"}},
		"disabled":       {func(s *shoot) { s.configure(`"loadBalancer":{"implementation":"disabled"}`) }, map[string]any{"loadBalancer": ""}},
		"two families": {func(s *shoot) {
			s.configure(`"loadBalancer":{"implementation":"none"}`)
			s.cluster.Shoot.Spec.Networking.IPFamilies = []gardencorev1beta1.IPFamily{gardencorev1beta1.IPFamilyIPv4, gardencorev1beta1.IPFamilyIPv6}
		}, map[string]any{"addressPolicy": "dual-stack"}},
		"IPv6": {func(s *shoot) {
			s.configure(`"loadBalancer":{"implementation":"disabled"}`)
			s.cluster.Shoot.Spec.Networking.IPFamilies = []gardencorev1beta1.IPFamily{gardencorev1beta1.IPFamilyIPv6}
		}, map[string]any{"addressPolicy": "ipv6"}},
		"no networking": {func(s *shoot) { s.cluster.Shoot.Spec.Networking = nil }, map[string]any{"addressPolicy": ""}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShoot(t, "1.35.1", nil)
			test.change(s)
			values, err := s.seedValues(t, false)
			if err != nil {
				t.Fatal(err)
			}
			for key, want := range test.want {
				if values[key] != want {
					t.Errorf("%s is %v, want %v", key, values[key], want)
				}
			}
		})
	}
}

// The Secret's address goes before the CloudProfile's, and that before the extension's.
func TestAPIURL(t *testing.T) {
	for name, test := range map[string]struct{ secret, profile, extension, want string }{
		"all":       {"https://secret.example", "https://profile.example", "https://extension.example", "https://secret.example"},
		"profile":   {"", "https://profile.example", "https://extension.example", "https://profile.example"},
		"extension": {"", "", "https://extension.example", "https://extension.example"},
		"nobody":    {"", "", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShoot(t, "1.35.1", map[string]string{account.APIURL: test.secret})
			if test.profile != "" {
				s.cluster.CloudProfile.Spec.ProviderConfig = &runtime.RawExtension{Raw: []byte(
					`{"apiVersion":"packet.provider.extensions.gardener.cloud/v1alpha1","kind":"CloudProfileConfig","machineImages":[],"apiURL":"` + test.profile + `"}`)}
			}
			provider := &valuesProvider{reader: shared.client, apiURL: test.extension}
			values, err := provider.GetControlPlaneChartValues(t.Context(), s.cp, s.cluster, s.secrets(t), nil, false)
			if test.want == "" {
				if err == nil || !strings.Contains(err.Error(), "nobody says where the Packet API answers") {
					t.Errorf("the error is %v", err)
				}
				return
			}
			if err != nil || values["apiURL"] != test.want {
				t.Errorf("the address is %v (%v), want %s", values["apiURL"], err, test.want)
			}
		})
	}
}

func TestBadInput(t *testing.T) {
	for name, test := range map[string]struct {
		secret map[string]string
		change func(*shoot)
		want   []string
		code   gardencorev1beta1.ErrorCode
	}{
		"an implementation that there is not": {
			change: func(s *shoot) { s.configure(`"loadBalancer":{"implementation":"kube-vip"}`) },
			want:   []string{"loadBalancer.implementation", `"kube-vip"`, "metallb, none and disabled"}, code: gardencorev1beta1.ErrorConfigurationProblem,
		},
		"a field that there is not": {
			change: func(s *shoot) { s.configure(`"loadBalancers":{}`) }, want: []string{"loadBalancers"},
		},
		"IPv6 by MetalLB": {
			change: func(s *shoot) {
				s.cluster.Shoot.Spec.Networking.IPFamilies = []gardencorev1beta1.IPFamily{gardencorev1beta1.IPFamilyIPv6}
			},
			want: []string{"networking.ipFamilies", "none or disabled"}, code: gardencorev1beta1.ErrorConfigurationProblem,
		},
		"a feature gate that there is not": {
			change: func(s *shoot) {
				s.configure(`"cloudControllerManager":{"featureGates":{"PersistentLocalVolumes":true}}`)
			},
			want: []string{"cloudControllerManager.featureGates", "PersistentLocalVolumes"}, code: gardencorev1beta1.ErrorConfigurationProblem,
		},
		"a project that is none": {
			secret: map[string]string{account.ProjectID: "mine"}, want: []string{"projectID", "mine", "UUID"},
		},
		"a Secret that there is not": {
			change: func(s *shoot) { s.cp.Spec.SecretRef = corev1.SecretReference{Name: "gone", Namespace: s.cp.Namespace} }, want: []string{"gone"},
		},
		"a CloudProfile of somebody else": {
			change: func(s *shoot) {
				s.cluster.CloudProfile.Spec.ProviderConfig = &runtime.RawExtension{Raw: []byte(`{"apiVersion":"a/v1","kind":"CloudProfileConfig"}`)}
			},
			want: []string{"CloudProfile packet"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShoot(t, "1.35.1", test.secret)
			if test.change != nil {
				test.change(s)
			}
			_, err := s.seedValues(t, false)
			if err == nil {
				t.Fatal("there is no error")
			}
			for _, want := range test.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error does not say %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), testToken) {
				t.Errorf("the token is in the error: %v", err)
			}
			var coder v1beta1helper.Coder
			if test.code != "" && (!errors.As(err, &coder) || coder.Codes()[0] != test.code) {
				t.Errorf("the error has not the code %s: %v", test.code, err)
			}
		})
	}
}

func TestSystemComponentTolerations(t *testing.T) {
	taint := func(key, value string) corev1.Taint {
		return corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffectNoSchedule}
	}
	no := gardencorev1beta1.WorkerSystemComponents{Allow: false}
	got := systemComponentTolerations([]gardencorev1beta1.Worker{
		{Taints: []corev1.Taint{taint("a", "1"), taint("b", "")}},
		{Taints: []corev1.Taint{taint("a", "1"), taint("a", "2")}},
		{Taints: []corev1.Taint{taint("c", "")}, SystemComponents: &no},
	})
	if len(got) != 3 {
		t.Fatalf("the tolerations are %v", got)
	}
	if first := got[0].(map[string]any); first["key"] != "a" || first["operator"] != "Equal" || first["value"] != "1" {
		t.Errorf("the first is %v", first)
	}
	if second := got[1].(map[string]any); second["key"] != "b" || second["operator"] != "Exists" {
		t.Errorf("the second is %v", second)
	}
}

func TestOnlyShoots(t *testing.T) {
	given := []extensionsv1alpha1.ExtensionClass{extensionsv1alpha1.ExtensionClassGarden, extensionsv1alpha1.ExtensionClassShoot}
	if got := onlyShoots(given); len(got) != 1 || got[0] != extensionsv1alpha1.ExtensionClassShoot || given[0] != extensionsv1alpha1.ExtensionClassGarden {
		t.Errorf("of %v there is left %v", given, got)
	}
}
