package webhookcerts_test

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/internal/capi/webhookcerts"
)

var env *capitest.Environment

// The environment has the webhook configurations of the provider, and nothing in this package calls a webhook.
func TestMain(m *testing.M) {
	ctrl.SetLogger(klog.Background())
	os.Exit(capitest.Run(m, capitest.Everything, func(e *capitest.Environment) (func(), error) {
		env = e
		return func() {}, nil
	}))
}

const (
	serviceNamespace = "cluster-api-provider-packet-system"
	serviceName      = "cluster-api-provider-packet-webhook-service"
	host             = serviceName + "." + serviceNamespace + ".svc"
)

func replica(t *testing.T, namespace string, now func() time.Time) *webhookcerts.Certificates {
	t.Helper()
	certificates, err := webhookcerts.New(webhookcerts.Options{
		Client:  env.Client,
		Secret:  client.ObjectKey{Namespace: namespace, Name: "certs"},
		Service: client.ObjectKey{Namespace: serviceNamespace, Name: serviceName},
		Now:     now,
	})
	if err != nil {
		t.Fatal(err)
	}
	return certificates
}

func secretOf(t *testing.T, namespace string) *corev1.Secret {
	t.Helper()
	secret := &corev1.Secret{}
	if err := env.Client.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "certs"}, secret); err != nil {
		t.Fatal(err)
	}
	return secret
}

// handshake connects as the API server would, with what it was told to trust.
func handshake(t *testing.T, certificates *webhookcerts.Certificates, trusted []byte, now time.Time) error {
	t.Helper()
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(trusted) {
		t.Fatal("the bundle has no certificate")
	}
	client, server := net.Pipe()
	defer func() { _, _ = client.Close(), server.Close() }()
	served := tls.Server(server, &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificates.GetCertificate})
	go func() { _ = served.HandshakeContext(t.Context()) }()
	return tls.Client(client, &tls.Config{
		MinVersion: tls.VersionTLS12, ServerName: host, RootCAs: roots, Time: func() time.Time { return now },
	}).HandshakeContext(t.Context())
}

func TestTheAPIServerTrustsWhatIsServed(t *testing.T) {
	namespace := env.Namespace(t)
	certificates := replica(t, namespace, time.Now)
	if certificates.Ready(nil) == nil {
		t.Error("ready before anything was done")
	}
	if err := certificates.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := certificates.Ready(nil); err != nil {
		t.Errorf("not ready: %v", err)
	}
	ca := secretOf(t, namespace).Data["ca.crt"]
	if err := handshake(t, certificates, ca, time.Now()); err != nil {
		t.Errorf("connecting to the webhook: %v", err)
	}

	definition := &apiextensionsv1.CustomResourceDefinition{}
	if err := env.Client.Get(t.Context(), client.ObjectKey{Name: "clusters.cluster.x-k8s.io"}, definition); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(definition.Spec.Conversion.Webhook.ClientConfig.CABundle, ca) {
		t.Error("the CustomResourceDefinition does not have the CA")
	}
	mutating := &admissionv1.MutatingWebhookConfiguration{}
	if err := env.Client.Get(t.Context(), client.ObjectKey{Name: "cluster-api-provider-packet-mutating-webhook-configuration"}, mutating); err != nil {
		t.Fatal(err)
	}
	for _, webhook := range mutating.Webhooks {
		if !bytes.Equal(webhook.ClientConfig.CABundle, ca) {
			t.Errorf("webhook %s does not have the CA", webhook.Name)
		}
	}

	// Nothing to do is nothing done.
	before := definition.ResourceVersion
	if err := replica(t, namespace, time.Now).Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := env.Client.Get(t.Context(), client.ObjectKeyFromObject(definition), definition); err != nil {
		t.Fatal(err)
	}
	if definition.ResourceVersion != before {
		t.Error("the CustomResourceDefinition was written though nothing changed")
	}
}

func TestReplicasThatStartTogetherAgree(t *testing.T) {
	namespace := env.Namespace(t)
	const count = 8
	replicas := make([]*webhookcerts.Certificates, count)
	var wait sync.WaitGroup
	for n := range count {
		replicas[n] = replica(t, namespace, time.Now)
		wait.Go(func() {
			if err := replicas[n].Ensure(t.Context()); err != nil {
				t.Errorf("replica %d: %v", n, err)
			}
		})
	}
	wait.Wait()
	ca := secretOf(t, namespace).Data["ca.crt"]
	for n, certificates := range replicas {
		if err := handshake(t, certificates, ca, time.Now()); err != nil {
			t.Errorf("replica %d serves what the others do not know: %v", n, err)
		}
	}
}

func TestRenewal(t *testing.T) {
	namespace, day := env.Namespace(t), 24*time.Hour
	start := time.Now()
	now := start
	certificates := replica(t, namespace, func() time.Time { return now })
	ensure := func() *corev1.Secret {
		t.Helper()
		if err := certificates.Ensure(t.Context()); err != nil {
			t.Fatal(err)
		}
		secret := secretOf(t, namespace)
		if err := handshake(t, certificates, secret.Data["ca.crt"], now); err != nil {
			t.Errorf("on day %d: %v", now.Sub(start)/day, err)
		}
		return secret
	}
	first := ensure()
	now = start.Add(200 * day)
	if second := ensure(); !bytes.Equal(first.Data["tls.crt"], second.Data["tls.crt"]) {
		t.Error("renewed on day 200, much too early")
	}
	now = start.Add(300 * day)
	third := ensure()
	if bytes.Equal(first.Data["tls.crt"], third.Data["tls.crt"]) {
		t.Error("not renewed on day 300, 65 days before the end")
	}
	if !bytes.Equal(first.Data["ca.crt"], third.Data["ca.crt"]) {
		t.Error("the CA changed along with the certificate")
	}
	now = start.Add(9*365*day + day)
	old := replica(t, namespace, func() time.Time { return now.Add(-2 * day) })
	if err := old.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	fourth := ensure()
	if bytes.Equal(third.Data["ca.key"], fourth.Data["ca.key"]) {
		t.Error("the CA is not renewed a year before its end")
	}
	// A replica that has not noticed yet goes on being trusted.
	if err := handshake(t, old, fourth.Data["ca.crt"], now); err != nil {
		t.Errorf("the certificate of the old CA is not trusted any more: %v", err)
	}
}

func TestBrokenSecretIsReplaced(t *testing.T) {
	namespace := env.Namespace(t)
	if err := env.Client.Create(t.Context(), &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "certs"}, Data: map[string][]byte{"ca.crt": []byte("nonsense")},
	}); err != nil {
		t.Fatal(err)
	}
	certificates := replica(t, namespace, time.Now)
	if err := certificates.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := handshake(t, certificates, secretOf(t, namespace).Data["ca.crt"], time.Now()); err != nil {
		t.Error(err)
	}
}

func TestOptions(t *testing.T) {
	key := client.ObjectKey{Namespace: "n", Name: "n"}
	for name, options := range map[string]webhookcerts.Options{
		"no client":  {Secret: key, Service: key},
		"no secret":  {Client: env.Client, Service: key},
		"no service": {Client: env.Client, Secret: key},
	} {
		if _, err := webhookcerts.New(options); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}
