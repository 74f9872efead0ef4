package packetcluster_test

import (
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/yaml"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// becomes waits for a condition.
func becomes(w *capitest.World, cluster *infrav1.PacketCluster, kind string, status metav1.ConditionStatus, reason string) {
	w.Eventually(func() error {
		if err := w.Get(cluster); err != nil {
			return err
		}
		return is(cluster, kind, status, reason)
	})
}

// goes waits until an object is gone.
func goes(t *testing.T, w *capitest.World, cluster *infrav1.PacketCluster) {
	t.Helper()
	w.Eventually(func() error {
		if err := w.Get(cluster); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the PacketCluster is still there: %w, %v", err, cluster.Status.Conditions)
		}
		return nil
	})
}

func TestExternalEndpointIsWaitedFor(t *testing.T) {
	w := newWorld(t)
	w.Run()
	_, cluster := w.Cluster(w.Namespace, "demo", func(c *infrav1.PacketCluster) { c.Spec.VIPManager = infrav1.VIPManagerExternal })
	becomes(w, cluster, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.ElasticIPEndpointMissingReason)
	if message := conditions.GetMessage(cluster, infrav1.ReadyCondition); !strings.Contains(message, "set spec.controlPlaneEndpoint.host") {
		t.Errorf("message is %q, want what to do", message)
	}
	cluster.Spec.ControlPlaneEndpoint = clusterv1.APIEndpoint{Host: "api.example.com", Port: 443}
	if err := w.Client.Update(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	becomes(w, cluster, infrav1.ReadyCondition, metav1.ConditionTrue, infrav1.ElasticIPProvidedReason)
	if !ptr.Deref(cluster.Status.Initialization.Provisioned, false) || cluster.Status.ElasticIP != nil || len(w.ElasticIPs()) != 0 {
		t.Errorf("the status is %+v with %d elastic IPs, want it provisioned with none", cluster.Status, len(w.ElasticIPs()))
	}
}

func TestKubeVIPEnablesBGPOnceForTheProject(t *testing.T) {
	w := newWorld(t)
	// The answer to the request is lost: it must not be sent again.
	w.Network.Break(capitest.First(1, func(r *http.Request) bool {
		return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/bgp-configs")
	}, capitest.Verdict{Lose: true}))
	w.Create(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: w.Namespace, Name: "bgp"}, StringData: map[string]string{"bgpPassword": "secretword12"}})
	w.Run()
	kubeVIP := func(c *infrav1.PacketCluster) {
		c.Spec.VIPManager = infrav1.VIPManagerKubeVIP
		c.Spec.BGP = infrav1.PacketBGPSpec{LocalASN: 65001, PasswordSecretRef: infrav1.PacketSecretKeyReference{Name: "bgp"}}
	}
	for _, name := range []string{"one", "two"} {
		_, cluster := w.Cluster(w.Namespace, name, kubeVIP)
		becomes(w, cluster, infrav1.ReadyCondition, metav1.ConditionTrue, infrav1.ElasticIPReservedReason)
		if err := is(cluster, infrav1.BGPReadyCondition, metav1.ConditionTrue, infrav1.BGPEnabledReason); err != nil {
			t.Error(err)
		}
	}
	if n := len(w.Network.Requests(http.MethodPost, "/bgp-configs")); n != 1 {
		t.Errorf("BGP was asked for %d times, want once", n)
	}
	config, err := w.Packet.BGPConfig(t.Context(), w.API.ProjectID)
	if err != nil || config.ASN != 65001 || config.MD5 == nil || *config.MD5 != "secretword12" || config.DeploymentType != packet.BGPLocal {
		t.Errorf("the project's BGP is not as wanted, %v", err)
	}
	t.Run("another AS is a mismatch", func(t *testing.T) {
		_, cluster := w.Cluster(w.Namespace, "three", func(c *infrav1.PacketCluster) { c.Spec.VIPManager = infrav1.VIPManagerKubeVIP })
		becomes(w, cluster, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.BGPMismatchReason)
		if message := conditions.GetMessage(cluster, infrav1.ReadyCondition); !strings.Contains(message, "65001") || !strings.Contains(message, "65000") {
			t.Errorf("message is %q, want both numbers", message)
		}
	})
	t.Run("another password is a mismatch that shows neither", func(t *testing.T) {
		_, cluster := w.Cluster(w.Namespace, "four", kubeVIP, func(c *infrav1.PacketCluster) { c.Spec.BGP.PasswordSecretRef = infrav1.PacketSecretKeyReference{} })
		becomes(w, cluster, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.BGPMismatchReason)
		if message := conditions.GetMessage(cluster, infrav1.ReadyCondition); strings.Contains(message, "secretword12") {
			t.Errorf("message %q shows the password", message)
		}
	})
	t.Run("a missing password is named", func(t *testing.T) {
		_, cluster := w.Cluster(w.Namespace, "five", kubeVIP, func(c *infrav1.PacketCluster) { c.Spec.BGP.PasswordSecretRef.Name = "none" })
		becomes(w, cluster, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.BGPPasswordMissingReason)
	})
}

func TestReservationOfTheUserIsUsedAndNeverReleased(t *testing.T) {
	w := newWorld(t)
	w.Run()
	r, err := w.Packet.CreateIPReservation(t.Context(), w.API.ProjectID, packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 1, Metro: "da"})
	if err != nil {
		t.Fatal(err)
	}
	brought := func(c *infrav1.PacketCluster) { c.Spec.ElasticIP.ReservationID = r.ID }
	_, cluster := w.Cluster(w.Namespace, "demo", brought)
	becomes(w, cluster, infrav1.ReadyCondition, metav1.ConditionTrue, infrav1.ElasticIPReservedReason)
	if host := cluster.Spec.ControlPlaneEndpoint.Host; host != r.Address || len(w.ElasticIPs()) != 1 {
		t.Errorf("the endpoint is %s, with %d elastic IPs, want %s alone", host, len(w.ElasticIPs()), r.Address)
	}
	t.Run("by one cluster alone", func(t *testing.T) {
		_, second := w.Cluster(w.OtherNamespace, "second", brought)
		becomes(w, second, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.ElasticIPUnusableReason)
		if message := conditions.GetMessage(second, infrav1.ReadyCondition); !strings.Contains(message, w.Namespace+"/demo") {
			t.Errorf("message is %q, want whose it is", message)
		}
	})
	t.Run("of the right metro", func(t *testing.T) {
		_, other := w.Cluster(w.Namespace, "other", func(c *infrav1.PacketCluster) { c.Spec.Metro = "sv" }, func(c *infrav1.PacketCluster) {
			r, err := w.Packet.CreateIPReservation(t.Context(), w.API.ProjectID, packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 1, Metro: "ny"})
			if err != nil {
				t.Fatal(err)
			}
			c.Spec.ElasticIP.ReservationID = r.ID
		})
		becomes(w, other, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.ElasticIPUnusableReason)
	})
	t.Run("that exists", func(t *testing.T) {
		_, none := w.Cluster(w.Namespace, "none", func(c *infrav1.PacketCluster) {
			c.Spec.ElasticIP.ReservationID = "00000000-0000-4000-8000-000000000009"
		})
		becomes(w, none, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.ElasticIPNotFoundReason)
	})
	if err := w.Client.Delete(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	goes(t, w, cluster)
	if _, err := w.Packet.IPReservation(t.Context(), r.ID); err != nil {
		t.Errorf("the user's reservation: %v, want it kept", err)
	}
}

// Issue 203 of the predecessor: the elastic IP was never released, and a policy was asked for.
func TestIssue203ReclaimPolicy(t *testing.T) {
	w := newWorld(t)
	w.Run()
	retain := func(c *infrav1.PacketCluster) { c.Spec.ElasticIP.ReclaimPolicy = infrav1.ElasticIPReclaimRetain }
	_, cluster := w.Cluster(w.Namespace, "demo", retain)
	becomes(w, cluster, infrav1.ReadyCondition, metav1.ConditionTrue, infrav1.ElasticIPReservedReason)
	address := cluster.Spec.ControlPlaneEndpoint.Host
	if err := w.Client.Delete(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	goes(t, w, cluster)
	if ips := w.ElasticIPs(); len(ips) != 1 || ips[0].Address != address {
		t.Fatalf("elastic IPs are %v, want %s kept", ips, address)
	}
	// A cluster of the same name has it again, and gives it back.
	again := &infrav1.PacketCluster{ObjectMeta: metav1.ObjectMeta{
		Namespace: w.Namespace, Name: "demo", Labels: cluster.Labels, OwnerReferences: cluster.OwnerReferences,
	}, Spec: infrav1.PacketClusterSpec{Metro: "da"}}
	w.Create(again)
	becomes(w, again, infrav1.ReadyCondition, metav1.ConditionTrue, infrav1.ElasticIPReservedReason)
	if host := again.Spec.ControlPlaneEndpoint.Host; host != address {
		t.Errorf("the endpoint is %s, want %s again", host, address)
	}
	if err := w.Client.Delete(t.Context(), again); err != nil {
		t.Fatal(err)
	}
	goes(t, w, again)
	if n := len(w.ElasticIPs()); n != 0 {
		t.Errorf("%d elastic IPs are left", n)
	}
}

// Defect 8 of the predecessor: the branch for a full project could not be reached.
func TestDefect8QuotaIsACondition(t *testing.T) {
	w := newWorld(t)
	full, err := w.Packet.CreateIPReservation(t.Context(), w.API.ProjectID, packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 256, Metro: "da"})
	if err != nil {
		t.Fatal(err)
	}
	w.Run()
	_, cluster := w.Cluster(w.Namespace, "demo")
	becomes(w, cluster, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.ElasticIPQuotaExceededReason)
	if message := conditions.GetMessage(cluster, infrav1.ReadyCondition); !strings.Contains(message, "256 of 256") || !strings.Contains(message, "spec.elasticIP.reservationID") {
		t.Errorf("message is %q, want the API's words and what to do", message)
	}
	if err := w.Packet.DeleteIP(t.Context(), full.ID); err != nil {
		t.Fatal(err)
	}
	w.Touch(cluster)
	becomes(w, cluster, infrav1.ReadyCondition, metav1.ConditionTrue, infrav1.ElasticIPReservedReason)
}

// Defect 10 of the predecessor: it looked at the deletion of the Cluster instead of its own object's.
func TestDefect10OwnDeletionCounts(t *testing.T) {
	t.Run("the PacketCluster alone is deleted", func(t *testing.T) {
		w := newWorld(t)
		w.Run()
		_, infrastructure := w.ReadyCluster(w.Namespace, "demo")
		if err := w.Client.Delete(t.Context(), infrastructure); err != nil {
			t.Fatal(err)
		}
		goes(t, w, infrastructure)
		if n := len(w.ElasticIPs()); n != 0 {
			t.Errorf("%d elastic IPs are left", n)
		}
	})
	t.Run("the Cluster is being deleted, and waits for its machines", func(t *testing.T) {
		w := newWorld(t)
		w.Run()
		cluster, infrastructure := w.ReadyCluster(w.Namespace, "demo")
		cluster.Finalizers = append(cluster.Finalizers, clusterv1.ClusterFinalizer)
		if err := w.Client.Update(t.Context(), cluster); err != nil {
			t.Fatal(err)
		}
		if err := w.Client.Delete(t.Context(), cluster); err != nil {
			t.Fatal(err)
		}
		w.Touch(infrastructure)
		w.Never(300*time.Millisecond, func() error {
			if len(w.ElasticIPs()) != 1 {
				return errors.New("the elastic IP went before the PacketCluster was deleted")
			}
			return w.Get(infrastructure)
		})
	})
	t.Run("the Cluster is gone already", func(t *testing.T) {
		w := newWorld(t)
		w.Run()
		cluster, infrastructure := w.ReadyCluster(w.Namespace, "demo")
		if err := w.Client.Delete(t.Context(), cluster); err != nil {
			t.Fatal(err)
		}
		if err := w.Client.Delete(t.Context(), infrastructure); err != nil {
			t.Fatal(err)
		}
		goes(t, w, infrastructure)
		if n := len(w.ElasticIPs()); n != 0 {
			t.Errorf("%d elastic IPs are left", n)
		}
	})
}

func TestFailureDomainsAreMetros(t *testing.T) {
	w := newWorld(t)
	w.Run()
	_, cluster := w.Cluster(w.Namespace, "demo", func(c *infrav1.PacketCluster) {
		c.Spec.ElasticIP.Type = infrav1.ElasticIPGlobalIPv4
		c.Spec.FailureDomains = []infrav1.PacketFailureDomain{{Name: "da"}, {Name: "sv"}, {Name: "ny", ControlPlane: ptr.To(false)}}
	})
	becomes(w, cluster, infrav1.ReadyCondition, metav1.ConditionTrue, infrav1.ElasticIPReservedReason)
	var got []string
	for _, domain := range cluster.Status.FailureDomains {
		got = append(got, fmt.Sprintf("%s %s %t", domain.Name, domain.Attributes["kind"], ptr.Deref(domain.ControlPlane, false)))
	}
	if want := "da metro true, sv metro true, ny metro false"; strings.Join(got, ", ") != want {
		t.Errorf("failure domains are %s, want %s", strings.Join(got, ", "), want)
	}
	if ips := w.ElasticIPs(); len(ips) != 1 || ips[0].Type != packet.IPTypeGlobalIPv4 {
		t.Errorf("elastic IPs are %v, want a global one", ips)
	}
}

func TestExternallyManagedClusterIsLeftAlone(t *testing.T) {
	w := newWorld(t)
	w.Run()
	_, cluster := w.Cluster(w.Namespace, "demo", func(c *infrav1.PacketCluster) {
		c.Annotations = map[string]string{clusterv1.ManagedByAnnotation: "terraform"}
	})
	w.Never(500*time.Millisecond, func() error {
		if err := w.Get(cluster); err != nil {
			return err
		}
		if len(w.ElasticIPs()) != 0 || len(cluster.Finalizers) != 0 || len(cluster.Status.Conditions) != 0 {
			return fmt.Errorf("it was reconciled: %v", cluster.Status.Conditions)
		}
		return nil
	})
}

// The YAML of the page is what a user copies.
func TestExamplesOfTheDocumentationAreAccepted(t *testing.T) {
	page, err := os.ReadFile(filepath.Join("..", "..", "..", "docs", "endpoints.md"))
	if err != nil {
		t.Fatal(err)
	}
	namespace, count := env.Namespace(t), 0
	for _, block := range strings.Split(string(page), "```yaml\n")[1:] {
		text, _, _ := strings.Cut(block, "```")
		cluster := &infrav1.PacketCluster{}
		if err := yaml.UnmarshalStrict([]byte(text), cluster); err != nil {
			t.Errorf("%v\n%s", err, text)
			continue
		}
		cluster.Namespace = namespace
		if err := env.Client.Create(t.Context(), cluster); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
		count++
	}
	if count < 4 {
		t.Errorf("the page has %d examples, want one of each kind", count)
	}
}
