package packetcluster_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	clusterctlv1 "sigs.k8s.io/cluster-api/cmd/clusterctl/api/v1alpha3"
	"sigs.k8s.io/cluster-api/util/conditions"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/internal/capi/credentials"
	"github.com/packetyard/packetyard/pkg/packet"
)

func withAccount(name string) func(*infrav1.PacketCluster) {
	return func(c *infrav1.PacketCluster) { c.Spec.CredentialsRef.Name = name }
}

func accountSecret(namespace, name, token, project string) *corev1.Secret {
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}, StringData: map[string]string{credentials.KeyAPIToken: token}}
	if project != "" {
		secret.StringData[credentials.KeyProjectID] = project
	}
	return secret
}

func TestClusterBringsItsOwnAccount(t *testing.T) {
	w := newWorld(t)
	project, err := w.Packet.CreateProject(t.Context(), packet.ProjectCreate{Name: "theirs"})
	if err != nil {
		t.Fatal(err)
	}
	key, err := w.Packet.CreateProjectAPIKey(t.Context(), project.ID, packet.APIKeyCreate{Description: "theirs"})
	if err != nil {
		t.Fatal(err)
	}
	w.Run()
	_, cluster := w.Cluster(w.OtherNamespace, "demo", withAccount("theirs"))
	becomes(w, cluster, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.CredentialsMissingReason)
	for _, part := range []string{"create Secret theirs in namespace " + w.OtherNamespace, "apiToken"} {
		if message := conditions.GetMessage(cluster, infrav1.ReadyCondition); !strings.Contains(message, part) {
			t.Errorf("message is %q, want it to mention %q", message, part)
		}
	}
	// The URL is the manager's.
	secret := accountSecret(w.OtherNamespace, "theirs", "not-the-token", project.ID)
	w.Create(secret)
	becomes(w, cluster, infrav1.ReadyCondition, metav1.ConditionFalse, infrav1.CredentialsRejectedReason)
	if message := conditions.GetMessage(cluster, infrav1.ReadyCondition); !strings.Contains(message, w.OtherNamespace+"/theirs") || strings.Contains(message, "not-the-token") {
		t.Errorf("message is %q, want the name of the Secret and not the token", message)
	}
	// A corrected token acts at once, though the next try would be 30 s away.
	w.Eventually(func() error {
		if err := w.Get(secret); err != nil {
			return err
		}
		secret.StringData = map[string]string{credentials.KeyAPIToken: key.Token}
		return w.Client.Update(t.Context(), secret)
	})
	becomes(w, cluster, infrav1.ReadyCondition, metav1.ConditionTrue, infrav1.ElasticIPReservedReason)
	if n := len(w.ElasticIPs()); n != 0 {
		t.Errorf("%d elastic IPs are in the manager's project", n)
	}
	theirs, err := w.Packet.IPReservations(t.Context(), project.ID, packet.IPTypes(packet.IPTypePublicIPv4))
	if err != nil || len(theirs) == 0 {
		t.Errorf("their project has %d addresses, %v", len(theirs), err)
	}
	if err := w.Client.Delete(t.Context(), cluster); err != nil {
		t.Fatal(err)
	}
	goes(t, w, cluster)
}

// Without its credentials, nothing of a cluster can be deleted from the Packet API.
func TestSecretStaysUntilTheLastClusterThatNamesItIsGone(t *testing.T) {
	w := newWorld(t)
	secret := accountSecret(w.Namespace, "shared", w.API.Token, "")
	w.Create(secret)
	bystander := accountSecret(w.Namespace, "bystander", "x", "")
	w.Create(bystander)
	w.Run()
	_, one := w.Cluster(w.Namespace, "one", withAccount("shared"))
	_, two := w.Cluster(w.Namespace, "two", withAccount("shared"))
	for _, cluster := range []*infrav1.PacketCluster{one, two} {
		becomes(w, cluster, infrav1.ReadyCondition, metav1.ConditionTrue, infrav1.ElasticIPReservedReason)
	}
	w.Eventually(func() error {
		if err := w.Get(secret); err != nil {
			return err
		}
		if _, ok := secret.Labels[clusterctlv1.ClusterctlMoveLabel]; !ok || !controllerutil.ContainsFinalizer(secret, credentials.Finalizer) {
			return fmt.Errorf("the Secret has the labels %v and finalizers %v", secret.Labels, secret.Finalizers)
		}
		return nil
	})
	if err := w.Get(bystander); err != nil || len(bystander.Labels)+len(bystander.Finalizers) != 0 {
		t.Errorf("a Secret that nobody names has the labels %v and finalizers %v, %v", bystander.Labels, bystander.Finalizers, err)
	}
	// Everything at once, as `kubectl delete -f` does it: the Secret first.
	if err := w.Client.Delete(t.Context(), secret); err != nil {
		t.Fatal(err)
	}
	for _, cluster := range []*infrav1.PacketCluster{one, two} {
		if err := w.Get(secret); err != nil {
			t.Fatalf("the Secret went before %s: %v", cluster.Name, err)
		}
		if err := w.Client.Delete(t.Context(), cluster); err != nil {
			t.Fatal(err)
		}
		goes(t, w, cluster)
	}
	w.Eventually(func() error {
		if err := w.Get(secret); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the Secret is still there: %w, %v", err, secret.Finalizers)
		}
		return nil
	})
	if n := len(w.ElasticIPs()); n != 0 {
		t.Errorf("%d elastic IPs are left", n)
	}
}

// Whatever the last call was that the Packet API carried out for a process that was killed, the next process goes on from
// there.
func TestElasticIPIsNeitherLeakedNorDoubledByKills(t *testing.T) {
	// A cluster takes two calls to be made: a listing and a reservation.
	for calls := 1; calls <= 2; calls++ {
		t.Run(fmt.Sprintf("creating, after call %d", calls), func(t *testing.T) {
			w := newWorld(t)
			stop := w.Run()
			fault, killed := capitest.KilledAfter(calls)
			w.Network.Break(fault)
			_, cluster := w.Cluster(w.Namespace, "demo")
			<-killed
			stop()
			w.Network.Break(nil)
			w.Run()
			becomes(w, cluster, infrav1.ReadyCondition, metav1.ConditionTrue, infrav1.ElasticIPReservedReason)
			if n := len(w.ElasticIPs()); n != 1 {
				t.Errorf("%d elastic IPs, want 1", n)
			}
		})
	}
	// It takes three to be deleted: a listing, a release, and another listing.
	for calls := 1; calls <= 3; calls++ {
		t.Run(fmt.Sprintf("deleting, after call %d", calls), func(t *testing.T) {
			w := newWorld(t)
			stop := w.Run()
			_, cluster := w.ReadyCluster(w.Namespace, "demo")
			fault, killed := capitest.KilledAfter(calls)
			w.Network.Break(fault)
			if err := w.Client.Delete(t.Context(), cluster); err != nil {
				t.Fatal(err)
			}
			<-killed
			stop()
			w.Network.Break(nil)
			w.Run()
			goes(t, w, cluster)
			if n := len(w.ElasticIPs()); n != 0 {
				t.Errorf("%d elastic IPs are left", n)
			}
		})
	}
}

func TestOneCallInFiveFails(t *testing.T) {
	w := newWorld(t)
	w.Network.Break(capitest.OneInFive())
	w.Run()
	var clusters []*infrav1.PacketCluster
	for n := range 6 {
		_, cluster := w.Cluster(w.Namespace, fmt.Sprintf("demo-%d", n))
		clusters = append(clusters, cluster)
	}
	for _, cluster := range clusters {
		becomes(w, cluster, infrav1.ReadyCondition, metav1.ConditionTrue, infrav1.ElasticIPReservedReason)
	}
	if n := len(w.ElasticIPs()); n != len(clusters) {
		t.Errorf("%d elastic IPs for %d clusters", n, len(clusters))
	}
	for _, cluster := range clusters {
		if err := w.Client.Delete(t.Context(), cluster); err != nil {
			t.Fatal(err)
		}
	}
	w.Eventually(func() error {
		var errs []error
		for _, cluster := range clusters {
			if err := w.Get(cluster); !apierrors.IsNotFound(err) {
				errs = append(errs, fmt.Errorf("PacketCluster %s is still there: %w", cluster.Name, err))
			}
		}
		return errors.Join(errs...)
	})
	if n := len(w.ElasticIPs()); n != 0 {
		t.Errorf("%d elastic IPs are left", n)
	}
}
