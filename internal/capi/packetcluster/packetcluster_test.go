package packetcluster_test

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"

	addonsv1 "sigs.k8s.io/cluster-api/api/addons/v1beta2"
	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/yaml"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/internal/capi/credentials"
	"github.com/packetyard/packetyard/pkg/packet"
)

var env *capitest.Environment

func TestMain(m *testing.M) {
	ctrl.SetLogger(klog.Background())
	os.Exit(capitest.Run(m, capitest.DefinitionsOnly, func(e *capitest.Environment) (func(), error) {
		env = e
		return func() {}, nil
	}))
}

func newWorld(t *testing.T) *capitest.World {
	return capitest.NewWorld(t, env, apiservertest.Options{})
}

// is returns an error unless a condition has a status and reason.
func is(cluster *infrav1.PacketCluster, kind string, status metav1.ConditionStatus, reason string) error {
	condition := conditions.Get(cluster, kind)
	if condition == nil || condition.Status != status || condition.Reason != reason {
		return fmt.Errorf("condition %s is %+v, want %s with reason %s", kind, condition, status, reason)
	}
	return nil
}

func TestEndpointIsAnElasticIP(t *testing.T) {
	w := newWorld(t)
	w.Run()
	_, cluster := w.ReadyCluster(w.Namespace, "demo")

	ips := w.ElasticIPs()
	if len(ips) != 1 {
		t.Fatalf("%d elastic IPs, want 1", len(ips))
	}
	if got, want := cluster.Spec.ControlPlaneEndpoint, (clusterv1.APIEndpoint{Host: ips[0].Address, Port: 6443}); got != want {
		t.Errorf("endpoint is %v, want %v", got, want)
	}
	if want := packet.ClusterTags(w.Namespace, "demo"); !packet.HasTags(ips[0].Tags, want...) {
		t.Errorf("the elastic IP has the tags %v, want %v", ips[0].Tags, want)
	}
	if ips[0].Metro == nil || ips[0].Metro.Code != "da" {
		t.Errorf("the elastic IP is in metro %v, want da", ips[0].Metro)
	}
	if err := errors.Join(
		is(cluster, infrav1.ReadyCondition, metav1.ConditionTrue, infrav1.ElasticIPReservedReason),
		is(cluster, infrav1.ElasticIPReadyCondition, metav1.ConditionTrue, infrav1.ElasticIPReservedReason),
		is(cluster, infrav1.CredentialsAvailableCondition, metav1.ConditionTrue, infrav1.CredentialsAvailableReason),
		is(cluster, clusterv1.PausedCondition, metav1.ConditionFalse, clusterv1.NotPausedReason),
	); err != nil {
		t.Error(err)
	}
	want := []clusterv1.FailureDomain{{Name: "da", ControlPlane: ptr.To(true), Attributes: map[string]string{"kind": "metro"}}}
	if fmt.Sprint(want[0].Name) != cluster.Status.FailureDomains[0].Name || len(cluster.Status.FailureDomains) != 1 {
		t.Errorf("failure domains are %v, want %v", cluster.Status.FailureDomains, want)
	}

	t.Run("cloud config", func(t *testing.T) {
		secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "demo-packet-cloud-config"}}
		if err := w.Get(secret); err != nil {
			t.Fatal(err)
		}
		if secret.Type != addonsv1.ClusterResourceSetSecretType {
			t.Errorf("type is %s, want %s", secret.Type, addonsv1.ClusterResourceSetSecretType)
		}
		if !metav1.IsControlledBy(secret, cluster) {
			t.Error("the PacketCluster does not own the Secret")
		}
		inner := corev1.Secret{}
		for _, manifest := range secret.Data {
			if err := yaml.UnmarshalStrict(manifest, &inner); err != nil {
				t.Fatal(err)
			}
		}
		if inner.Namespace != "kube-system" || inner.Name != "packet-cloud-config" {
			t.Errorf("the manifest is of %s/%s, want kube-system/packet-cloud-config", inner.Namespace, inner.Name)
		}
		config := credentials.CloudConfig{}
		if err := json.Unmarshal(inner.Data["cloud-sa.json"], &config); err != nil {
			t.Fatal(err)
		}
		if want := (credentials.CloudConfig{APIKey: w.API.Token, ProjectID: w.API.ProjectID, BaseURL: w.Network.URL}); config != want {
			t.Error("cloud-sa.json does not hold the cluster's account")
		}
	})
	t.Run("nothing is written while nothing changes", func(t *testing.T) {
		reservations := len(w.Network.Requests(http.MethodPost, "/ips"))
		// A reconcile that began before may not have ended.
		quiet := ""
		w.Eventually(func() error {
			before := quiet
			if err := w.Get(cluster); err != nil {
				return err
			}
			if quiet = cluster.ResourceVersion; quiet == before && conditions.IsTrue(cluster, infrav1.ReadyCondition) {
				return nil
			}
			return errors.New("the PacketCluster is being written")
		})
		w.Touch(cluster)
		version := cluster.ResourceVersion
		w.Never(500*time.Millisecond, func() error {
			if err := w.Get(cluster); err != nil {
				return err
			}
			if cluster.ResourceVersion != version {
				return errors.New("the PacketCluster was written though nothing changed")
			}
			if n := len(w.Network.Requests(http.MethodPost, "/ips")); n != reservations {
				return fmt.Errorf("%d reservations were asked for", n)
			}
			return nil
		})
	})
}

func TestRotatedTokenReachesTheCloudConfig(t *testing.T) {
	w := newWorld(t)
	w.Run()
	_, cluster := w.ReadyCluster(w.Namespace, "demo")
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "demo-packet-cloud-config"}}
	if err := w.Get(secret); err != nil {
		t.Fatal(err)
	}
	secret.Data = map[string][]byte{"packet-cloud-config.yaml": []byte("old")}
	if err := w.Client.Update(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	w.Touch(cluster)
	w.Eventually(func() error {
		if err := w.Get(secret); err != nil {
			return err
		}
		if !strings.Contains(string(secret.Data["packet-cloud-config.yaml"]), "cloud-sa.json") {
			return errors.New("the cloud config is still the old one")
		}
		return nil
	})
}

// The predecessor tagged elastic IPs with the name of the cluster alone.
func TestElasticIPOfTheSameClusterNameInAnotherNamespace(t *testing.T) {
	w := newWorld(t)
	w.Run()
	theirs, _ := w.ReadyCluster(w.OtherNamespace, "demo")
	_, ours := w.ReadyCluster(w.Namespace, "demo")
	if len(w.ElasticIPs()) != 2 {
		t.Fatalf("%d elastic IPs for two clusters", len(w.ElasticIPs()))
	}
	if err := w.Client.Delete(t.Context(), ours); err != nil {
		t.Fatal(err)
	}
	w.Eventually(func() error {
		if err := w.Get(ours); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the PacketCluster is still there: %w", err)
		}
		return nil
	})
	left := w.ElasticIPs()
	if len(left) != 1 || !packet.HasTags(left[0].Tags, packet.ClusterTags(w.OtherNamespace, theirs.Name)...) {
		t.Errorf("elastic IPs left are %v, want that of the other cluster alone", left)
	}
}

func TestReservationWhoseAnswerIsLostIsFoundAgain(t *testing.T) {
	w := newWorld(t)
	w.Network.Break(capitest.First(1, func(r *http.Request) bool {
		return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/ips")
	}, capitest.Verdict{Lose: true}))
	w.Run()
	w.ReadyCluster(w.Namespace, "demo")
	if n := len(w.ElasticIPs()); n != 1 {
		t.Errorf("%d elastic IPs, want 1", n)
	}
}

func TestMissingCredentialsNameTheSecret(t *testing.T) {
	w := newWorld(t)
	if err := w.Client.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: capitest.CredentialsSecret}}); err != nil {
		t.Fatal(err)
	}
	w.Run()
	_, cluster := w.Cluster(w.Namespace, "demo")
	w.Eventually(func() error {
		if err := w.Get(cluster); err != nil {
			return err
		}
		if err := is(cluster, infrav1.CredentialsAvailableCondition, metav1.ConditionFalse, infrav1.CredentialsMissingReason); err != nil {
			return err
		}
		return is(cluster, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.CredentialsMissingReason)
	})
	message := conditions.GetMessage(cluster, infrav1.ReadyCondition)
	for _, part := range []string{capitest.CredentialsSecret, w.Namespace, "apiURL", "apiToken", "projectID"} {
		if !strings.Contains(message, part) {
			t.Errorf("message %q does not mention %s", message, part)
		}
	}
	w.SetCredentials(w.API.Token)
	w.Eventually(func() error {
		if err := w.Get(cluster); err != nil {
			return err
		}
		return is(cluster, infrav1.ReadyCondition, metav1.ConditionTrue, infrav1.ElasticIPReservedReason)
	})
	// A cluster that never had credentials owns nothing, so it can go without them.
}

func TestClusterWithoutCredentialsCanBeDeleted(t *testing.T) {
	w := newWorld(t)
	if err := w.Client.Delete(t.Context(), &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: capitest.CredentialsSecret}}); err != nil {
		t.Fatal(err)
	}
	w.Run()
	_, cluster := w.Cluster(w.Namespace, "demo")
	w.Eventually(func() error {
		if err := w.Get(cluster); err != nil {
			return err
		}
		return is(cluster, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.CredentialsMissingReason)
	})
	if err := w.Client.Delete(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	if err := w.Get(cluster); !apierrors.IsNotFound(err) {
		t.Errorf("the PacketCluster is still there: %v", err)
	}
}

func TestRejectedTokenIsACondition(t *testing.T) {
	w := newWorld(t)
	w.SetCredentials("not-the-token")
	w.Run()
	_, cluster := w.Cluster(w.Namespace, "demo")
	w.Eventually(func() error {
		if err := w.Get(cluster); err != nil {
			return err
		}
		return is(cluster, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.CredentialsRejectedReason)
	})
	for _, condition := range cluster.Status.Conditions {
		if strings.Contains(condition.Message, "not-the-token") {
			t.Errorf("condition %s shows the token", condition.Type)
		}
	}
}

func TestRefusedReservationShowsTheAPIsText(t *testing.T) {
	w := newWorld(t)
	w.Run()
	_, cluster := w.Cluster(w.Namespace, "demo", func(c *infrav1.PacketCluster) { c.Spec.Metro = "zz" })
	w.Eventually(func() error {
		if err := w.Get(cluster); err != nil {
			return err
		}
		return is(cluster, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.ElasticIPReservationFailedReason)
	})
	if message := conditions.GetMessage(cluster, infrav1.ReadyCondition); !strings.Contains(message, "422") || !strings.Contains(message, "zz") {
		t.Errorf("message is %q, want the API's text about metro zz", message)
	}
}

func TestStormsAreNotTerminal(t *testing.T) {
	for name, verdict := range map[string]capitest.Verdict{
		"429":            {Status: http.StatusTooManyRequests, Body: `{"errors":["slow down"]}`, Header: map[string]string{"Retry-After": "1"}},
		"503":            {Status: http.StatusServiceUnavailable, Body: `{"errors":["down"]}`},
		"404 of a proxy": {Status: http.StatusNotFound, Body: `<html>`},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.Network.Break(capitest.First(5, func(*http.Request) bool { return true }, verdict))
			w.Run()
			w.ReadyCluster(w.Namespace, "demo")
			if n := len(w.ElasticIPs()); n != 1 {
				t.Errorf("%d elastic IPs, want 1", n)
			}
		})
	}
}

func TestEndpointOfTheUserIsKept(t *testing.T) {
	w := newWorld(t)
	w.Run()
	_, cluster := w.Cluster(w.Namespace, "demo", func(c *infrav1.PacketCluster) {
		c.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: "api.example.com", Port: 6443}
	})
	w.Eventually(func() error {
		if err := w.Get(cluster); err != nil {
			return err
		}
		return is(cluster, infrav1.ReadyCondition, metav1.ConditionTrue, infrav1.ElasticIPProvidedReason)
	})
	if got, want := cluster.Spec.ControlPlaneEndpoint, (clusterv1.APIEndpoint{Host: "api.example.com", Port: 6443}); got != want {
		t.Errorf("endpoint is %v, want %v", got, want)
	}
	if n := len(w.ElasticIPs()); n != 0 {
		t.Errorf("%d elastic IPs were reserved", n)
	}
}

// The predecessor looked at the deletion of the Cluster instead of its own object's, and never gave the address back.
func TestDeletionWaitsForMachinesAndReleasesTheElasticIP(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, infrastructure := w.ReadyCluster(w.Namespace, "demo")
	_, machine := w.Machine(cluster, capitest.MachineOptions{Name: "demo-0", ControlPlane: true, UserData: capitest.UserData})
	w.Eventually(func() error {
		if err := w.Get(machine); err != nil {
			return err
		}
		if !conditions.IsTrue(machine, infrav1.ElasticIPAssignedCondition) {
			return fmt.Errorf("the machine does not have the elastic IP: %v", machine.Status.Conditions)
		}
		return nil
	})
	if err := w.Client.Delete(t.Context(), infrastructure); err != nil {
		t.Fatal(err)
	}
	w.Eventually(func() error {
		if err := w.Get(infrastructure); err != nil {
			return err
		}
		if message := conditions.GetMessage(infrastructure, infrav1.ReadyCondition); !strings.Contains(message, machine.Name) {
			return fmt.Errorf("message is %q, want it to name what is waited for", message)
		}
		return nil
	})
	w.Never(300*time.Millisecond, func() error {
		if len(w.ElasticIPs()) != 1 {
			return errors.New("the elastic IP went before the machine")
		}
		return w.Get(infrastructure)
	})
	// The API cannot be reached for a while: nothing is given up because of that.
	w.Network.Break(func(*http.Request) capitest.Verdict { return capitest.Verdict{Status: http.StatusBadGateway} })
	if err := w.Client.Delete(t.Context(), machine); err != nil {
		t.Fatal(err)
	}
	w.Never(500*time.Millisecond, func() error { return errors.Join(w.Get(machine), w.Get(infrastructure)) })
	w.Network.Break(nil)
	w.Eventually(func() error {
		if err := w.Get(infrastructure); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the PacketCluster is still there: %w, %v", err, infrastructure.Status.Conditions)
		}
		return nil
	})
	if ips, devices := w.ElasticIPs(), w.Devices(); len(ips) != 0 || len(devices) != 0 {
		t.Errorf("%d elastic IPs and %d devices are left", len(ips), len(devices))
	}
}

func TestPausedClusterIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.Run()
	_, cluster := w.Cluster(w.Namespace, "demo", func(c *infrav1.PacketCluster) {
		c.Annotations = map[string]string{clusterv1.PausedAnnotation: ""}
	})
	w.Eventually(func() error {
		if err := w.Get(cluster); err != nil {
			return err
		}
		return is(cluster, clusterv1.PausedCondition, metav1.ConditionTrue, clusterv1.PausedReason)
	})
	if n := len(w.ElasticIPs()); n != 0 {
		t.Errorf("%d elastic IPs were reserved for a paused cluster", n)
	}
}

func TestValidation(t *testing.T) {
	namespace := env.Namespace(t)
	for name, test := range map[string]struct {
		spec infrav1.PacketClusterSpec
		want []string
	}{
		"neither metro nor facility": {infrav1.PacketClusterSpec{ProjectID: "00000000-0000-4000-8000-000000000001"}, []string{"one of metro and facility is required"}},
		"both":                       {infrav1.PacketClusterSpec{Metro: "da", Facility: "da11"}, []string{"mutually exclusive"}},
		"metro like a facility":      {infrav1.PacketClusterSpec{Metro: "da11"}, []string{"spec.metro", "da11"}},
		"project that is no UUID":    {infrav1.PacketClusterSpec{Metro: "da", ProjectID: "mine"}, []string{"spec.projectID", "mine"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := env.Client.Create(t.Context(), &infrav1.PacketCluster{
				ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "bad-"}, Spec: test.spec,
			})
			if !apierrors.IsInvalid(err) || slices.ContainsFunc(test.want, func(part string) bool { return !strings.Contains(err.Error(), part) }) {
				t.Errorf("creating it: %v, want a refusal that mentions %v", err, test.want)
			}
		})
	}
	t.Run("changing the project", func(t *testing.T) {
		cluster := &infrav1.PacketCluster{
			ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "good"},
			Spec:       infrav1.PacketClusterSpec{Metro: "da", ProjectID: "00000000-0000-4000-8000-000000000001"},
		}
		if err := env.Client.Create(t.Context(), cluster); err != nil {
			t.Fatal(err)
		}
		cluster.Spec.ProjectID = "00000000-0000-4000-8000-000000000002"
		if err := env.Client.Update(t.Context(), cluster); !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), "projectID cannot be changed") {
			t.Errorf("changing it: %v, want a refusal", err)
		}
	})
}

// The token must not be readable anywhere but in Secrets.
func TestTokenIsInNoEventAndNoCondition(t *testing.T) {
	w := newWorld(t)
	w.Run()
	w.ReadyCluster(w.Namespace, "demo")
	out, err := w.Kubectl(t.Context(), "get", "events,packetclusters,clusters,configmaps", "-n", w.Namespace, "-o", "yaml")
	if err != nil {
		t.Fatal(out, err)
	}
	if strings.Contains(out, w.API.Token) || strings.Contains(out, base64.StdEncoding.EncodeToString([]byte(w.API.Token))) {
		t.Error("the token can be read outside of Secrets")
	}
}
