package webhookcerts

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	admissionv1 "k8s.io/api/admissionregistration/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
)

// checkInterval is how often the Secret is read again: often enough that a replica picks up what another one renewed long
// before the old certificate ends.
const checkInterval = time.Hour

// Options tell what to make certificates for.
type Options struct {
	// Client reads and writes without a cache, since it is used before any cache runs.
	Client client.Client
	// Secret is where the certificates are kept.
	Secret client.ObjectKey
	// Service is the Service that the API server calls the webhooks by.
	Service client.ObjectKey
	// Now is the time; time.Now if nil.
	Now func() time.Time
}

// Certificates keeps the certificates of the webhooks.
type Certificates struct {
	options  Options
	dnsNames []string
	injector injector
	mutex    sync.Mutex
	current  atomic.Pointer[tls.Certificate]
}

// New returns Certificates that have not been read or made yet: call Ensure before serving.
func New(options Options) (*Certificates, error) {
	switch {
	case options.Client == nil:
		return nil, errors.New("webhook certificates need a client")
	case options.Secret.Namespace == "" || options.Secret.Name == "":
		return nil, fmt.Errorf("webhook certificates need the namespace and name of a Secret, not %q", options.Secret)
	case options.Service.Namespace == "" || options.Service.Name == "":
		return nil, fmt.Errorf("webhook certificates need the namespace and name of a Service, not %q", options.Service)
	}
	if options.Now == nil {
		options.Now = time.Now
	}
	host := options.Service.Name + "." + options.Service.Namespace + ".svc"
	return &Certificates{
		options:  options,
		dnsNames: []string{host, host + ".cluster.local"},
		injector: injector{client: options.Client, service: options.Service, generations: map[string]injected{}},
	}, nil
}

// Ensure reads or renews the certificates, tells the API server about their authority, and only then serves with them. It
// is safe to call at any time and from several replicas.
func (c *Certificates) Ensure(ctx context.Context) error {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	b, err := ensureSecret(ctx, c.options.Client, c.options.Secret, c.dnsNames, c.options.Now())
	if err != nil {
		return err
	}
	pair, err := tls.X509KeyPair(b.cert, b.key)
	if err != nil {
		return fmt.Errorf("reading the webhook certificate: %w", err)
	}
	if err := c.injector.inject(ctx, b.caCerts); err != nil {
		return err
	}
	c.current.Store(&pair)
	return nil
}

// GetCertificate hands the serving certificate to a TLS server; see tls.Config.
func (c *Certificates) GetCertificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	if pair := c.current.Load(); pair != nil {
		return pair, nil
	}
	return nil, errors.New("the webhook certificate does not exist yet")
}

// Ready is a readiness check: it fails until the API server was told about the certificates.
func (c *Certificates) Ready(*http.Request) error {
	_, err := c.GetCertificate(nil)
	return err
}

// SetupWithManager keeps the certificates and what was written into the API server up to date while the manager runs.
// Every replica does so, leader or not, since each serves webhooks.
func (c *Certificates) SetupWithManager(mgr ctrl.Manager) error {
	// Whatever happened to whichever object, there is one thing to do.
	same := handler.EnqueueRequestsFromMapFunc(func(context.Context, client.Object) []reconcile.Request {
		return []reconcile.Request{{NamespacedName: c.options.Secret}}
	})
	labelled := builder.WithPredicates(predicate.NewPredicateFuncs(func(object client.Object) bool {
		return object.GetLabels()[InjectLabel] == c.options.Service.Name
	}), predicate.GenerationChangedPredicate{})
	notLeader := false
	return ctrl.NewControllerManagedBy(mgr).
		Named("webhook-certificates").
		WatchesMetadata(&apiextensionsv1.CustomResourceDefinition{}, same, labelled).
		WatchesMetadata(&admissionv1.ValidatingWebhookConfiguration{}, same, labelled).
		WatchesMetadata(&admissionv1.MutatingWebhookConfiguration{}, same, labelled).
		WithOptions(controller.Options{NeedLeaderElection: &notLeader, MaxConcurrentReconciles: 1}).
		Complete(reconcile.Func(func(ctx context.Context, _ reconcile.Request) (reconcile.Result, error) {
			if err := c.Ensure(ctx); err != nil {
				return reconcile.Result{}, err
			}
			return reconcile.Result{RequeueAfter: checkInterval}, nil
		}))
}
