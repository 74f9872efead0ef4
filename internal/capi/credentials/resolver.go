package credentials

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/pkg/packet"
)

// Keys of the credentials Secret.
const (
	KeyAPIURL    = "apiURL"
	KeyAPIToken  = "apiToken"
	KeyProjectID = "projectID"
)

// secretTTL is how long the Secret is not read again: short enough that a rotated token is used at once, long enough that
// a thousand machines do not read it a thousand times.
const secretTTL = 5 * time.Second

const (
	// attempts per request are few and waits short, because a controller comes back by itself and should not keep a
	// worker busy meanwhile.
	apiRetries = 2
	apiMaxWait = 2 * time.Second
)

// Config tells where credentials come from and how the clients made of them behave.
type Config struct {
	// Reader reads the Secret, live: it is in no cache.
	Reader client.Reader
	// Secret holds the credentials of all clusters.
	Secret client.ObjectKey
	// Environment fills in what the Secret does not have, for running outside of a cluster.
	Environment packet.Credentials

	UserAgent  string
	QPS        float64
	Burst      int
	Timeout    time.Duration
	ListingTTL time.Duration
	Registerer prometheus.Registerer
	// Now is the time; time.Now if nil.
	Now func() time.Time
}

// Resolver hands out accounts.
type Resolver struct {
	config Config

	mutex    sync.Mutex
	shared   packet.Credentials
	sharedAt time.Time
	clients  map[clientKey]*packet.Client
	accounts map[packet.Credentials]*Account
}

// clientKey is what two accounts must have in common to share a client, and with it the limit of calls per second.
type clientKey struct{ url, token string }

// NewResolver returns a Resolver. Nothing is read yet.
func NewResolver(config Config) (*Resolver, error) {
	if config.Reader == nil {
		return nil, errors.New("finding Packet credentials needs a reader")
	}
	if config.Secret.Namespace == "" || config.Secret.Name == "" {
		return nil, fmt.Errorf("finding Packet credentials needs the namespace and name of a Secret, not %q", config.Secret)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	return &Resolver{
		config:   config,
		clients:  map[clientKey]*packet.Client{},
		accounts: map[packet.Credentials]*Account{},
	}, nil
}

// MissingError tells that there are no usable credentials, and what to do about it.
type MissingError struct {
	Secret client.ObjectKey
	Err    error
}

// Error implements error.
func (e *MissingError) Error() string {
	return fmt.Sprintf("no Packet API credentials: create Secret %s in namespace %s with the keys %s, %s and %s: %v",
		e.Secret.Name, e.Secret.Namespace, KeyAPIURL, KeyAPIToken, KeyProjectID, e.Err)
}

// Unwrap gives the reason.
func (e *MissingError) Unwrap() error { return e.Err }

// Account returns the account of a project. An empty project is the one that the credentials name. The error is a
// *MissingError if there are no credentials.
func (r *Resolver) Account(ctx context.Context, projectID string) (*Account, error) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	found, err := r.find(ctx)
	if err != nil {
		return nil, err
	}
	if projectID != "" {
		found.ProjectID = projectID
	}
	found = clean(found)
	if err := found.Validate(); err != nil {
		return nil, &MissingError{Secret: r.config.Secret, Err: err}
	}
	if account, ok := r.accounts[found]; ok {
		return account, nil
	}
	api, err := r.client(found)
	if err != nil {
		return nil, err
	}
	account := newAccount(api, found, r.config.ListingTTL)
	r.accounts[found] = account
	return account, nil
}

func (r *Resolver) find(ctx context.Context) (packet.Credentials, error) {
	now := r.config.Now()
	if !r.sharedAt.IsZero() && now.Sub(r.sharedAt) < secretTTL {
		return r.shared, nil
	}
	secret := &corev1.Secret{}
	if err := r.config.Reader.Get(ctx, r.config.Secret, secret); err != nil && !apierrors.IsNotFound(err) {
		return packet.Credentials{}, fmt.Errorf("reading Secret %s: %w", r.config.Secret, err)
	}
	found := clean(packet.Credentials{
		APIURL:    string(secret.Data[KeyAPIURL]),
		APIToken:  string(secret.Data[KeyAPIToken]),
		ProjectID: string(secret.Data[KeyProjectID]),
	}).Or(r.config.Environment)
	if found != r.shared {
		// Clients of a token that is no longer in use are dropped, so that rotating it often does not pile them up.
		clear(r.clients)
		clear(r.accounts)
	}
	r.shared = found
	// Credentials that do not work are looked for every time, so that creating the Secret has an effect at once.
	if found.APIToken != "" {
		r.sharedAt = now
	}
	return found, nil
}

func (r *Resolver) client(c packet.Credentials) (*packet.Client, error) {
	key := clientKey{c.APIURL, c.APIToken}
	if api, ok := r.clients[key]; ok {
		return api, nil
	}
	api, err := packet.NewClient(packet.Config{
		BaseURL:    c.APIURL,
		Token:      c.APIToken,
		UserAgent:  r.config.UserAgent,
		Timeout:    r.config.Timeout,
		Retries:    apiRetries,
		MaxWait:    apiMaxWait,
		QPS:        r.config.QPS,
		Burst:      r.config.Burst,
		Registerer: r.config.Registerer,
	})
	if err != nil {
		return nil, &MissingError{Secret: r.config.Secret, Err: err}
	}
	r.clients[key] = api
	return api, nil
}
