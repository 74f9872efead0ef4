package credentials

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"sigs.k8s.io/controller-runtime/pkg/client"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	// attempts per request are few and waits short, because a controller comes back by itself and should not keep a
	// worker busy meanwhile.
	apiRetries = 2
	apiMaxWait = 2 * time.Second
)

// Config tells where credentials come from and how the clients made of them behave.
type Config struct {
	// Reader reads Secrets, live: they are in no cache.
	Reader client.Reader
	// Secret holds the credentials of all clusters that bring none of their own.
	Secret client.ObjectKey
	// Environment fills in what that Secret does not have, for running outside of a cluster.
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
	config  Config
	secrets *secrets

	mutex    sync.Mutex
	clients  map[clientKey]*packet.Client
	listings map[packet.Credentials]listings
	accounts map[accountKey]*Account
}

// clientKey is what two accounts must have in common to share a client, and with it the limit of calls per second.
type clientKey struct{ url, token string }

func clientKeyOf(c packet.Credentials) clientKey { return clientKey{c.APIURL, c.APIToken} }

type accountKey struct {
	credentials packet.Credentials
	secret      client.ObjectKey
}

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
		secrets:  newSecrets(config.Reader, config.Now),
		clients:  map[clientKey]*packet.Client{},
		listings: map[packet.Credentials]listings{},
		accounts: map[accountKey]*Account{},
	}, nil
}

// SharedSecret is the Secret of all clusters that bring no credentials of their own.
func (r *Resolver) SharedSecret() client.ObjectKey { return r.config.Secret }

// Forget has a Secret read anew by the next who asks for an account, because it changed.
func (r *Resolver) Forget(secret client.ObjectKey) { r.secrets.forget(secret) }

// SecretOf is the Secret that a cluster names for its credentials; false if it names none.
func SecretOf(cluster *infrav1.PacketCluster) (client.ObjectKey, bool) {
	name := cluster.Spec.CredentialsRef.Name
	return client.ObjectKey{Namespace: cluster.Namespace, Name: name}, name != ""
}

// AccountOf returns the account of a cluster: that of the Secret it names, which the manager's own credentials complete, or
// the manager's. The cluster may be nil, where it is gone already: then it is the manager's. The error is a *MissingError
// if there are no credentials.
func (r *Resolver) AccountOf(ctx context.Context, cluster *infrav1.PacketCluster) (*Account, error) {
	if cluster == nil {
		return r.Account(ctx, "")
	}
	key, own := SecretOf(cluster)
	if !own {
		return r.Account(ctx, cluster.Spec.ProjectID)
	}
	found, err := r.secrets.read(ctx, key)
	if err != nil {
		return nil, err
	}
	if found.APIToken == "" {
		return nil, &MissingError{Secret: key, Own: true, Err: errors.New("there is no API token")}
	}
	shared, err := r.shared(ctx)
	if err != nil {
		return nil, err
	}
	return r.account(found.Or(shared), cluster.Spec.ProjectID, key, true)
}

// Account returns the account that the manager's own credentials give for a project. An empty project is the one that the
// credentials name. The error is a *MissingError if there are no credentials.
func (r *Resolver) Account(ctx context.Context, projectID string) (*Account, error) {
	found, err := r.shared(ctx)
	if err != nil {
		return nil, err
	}
	return r.account(found, projectID, r.config.Secret, false)
}

func (r *Resolver) shared(ctx context.Context) (packet.Credentials, error) {
	found, err := r.secrets.read(ctx, r.config.Secret)
	return found.Or(r.config.Environment), err
}

func (r *Resolver) account(found packet.Credentials, projectID string, secret client.ObjectKey, own bool) (*Account, error) {
	if projectID != "" {
		found.ProjectID = projectID
	}
	found = clean(found)
	if err := found.Validate(); err != nil {
		return nil, &MissingError{Secret: secret, Own: own, Err: err}
	}
	r.mutex.Lock()
	defer r.mutex.Unlock()
	key := accountKey{found, secret}
	if account, ok := r.accounts[key]; ok {
		return account, nil
	}
	// Clients of tokens that are no longer in use are dropped, so that rotating one often does not pile them up.
	r.drop(secret, found)
	api, err := r.client(found, secret, own)
	if err != nil {
		return nil, err
	}
	shared, ok := r.listings[found]
	if !ok {
		shared = newListings(api, found.ProjectID, r.config.ListingTTL)
		r.listings[found] = shared
	}
	account := &Account{
		Client: api, ProjectID: found.ProjectID, Devices: shared.devices, Reports: shared.reports,
		ElasticIPs: shared.elasticIPs, Supply: shared.supply, Networks: shared.networks,
		secret: secret, credentials: found,
	}
	r.accounts[key] = account
	return account, nil
}

// drop forgets what a Secret's former token was used for, where no other Secret has the same. The caller holds the lock.
func (r *Resolver) drop(secret client.ObjectKey, now packet.Credentials) {
	dropped := map[clientKey]bool{}
	for key := range r.accounts {
		if key.secret == secret && clientKeyOf(key.credentials) != clientKeyOf(now) {
			delete(r.accounts, key)
			dropped[clientKeyOf(key.credentials)] = true
		}
	}
	for key := range r.accounts {
		delete(dropped, clientKeyOf(key.credentials))
	}
	for key := range dropped {
		delete(r.clients, key)
	}
	for key := range r.listings {
		if dropped[clientKeyOf(key)] {
			delete(r.listings, key)
		}
	}
}

func (r *Resolver) client(c packet.Credentials, secret client.ObjectKey, own bool) (*packet.Client, error) {
	key := clientKeyOf(c)
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
		return nil, &MissingError{Secret: secret, Own: own, Err: err}
	}
	r.clients[key] = api
	return api, nil
}
