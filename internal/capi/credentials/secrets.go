package credentials

import (
	"context"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/pkg/packet"
)

// Keys of a credentials Secret.
const (
	KeyAPIURL    = "apiURL"
	KeyAPIToken  = "apiToken"
	KeyProjectID = "projectID"
)

// secretTTL is how long a Secret is not read again: short enough that a rotated token is used at once also where the watch
// is late, long enough that a thousand machines do not read it a thousand times.
const secretTTL = 5 * time.Second

// MissingError tells that there are no usable credentials, and what to do about it.
type MissingError struct {
	Secret client.ObjectKey
	// Own is true where a PacketCluster names the Secret.
	Own bool
	Err error
}

// Error implements error.
func (e *MissingError) Error() string {
	if e.Own {
		return fmt.Sprintf("no Packet API credentials: create Secret %s in namespace %s with the key %s; %s and %s are those of the manager where it has none: %v",
			e.Secret.Name, e.Secret.Namespace, KeyAPIToken, KeyProjectID, KeyAPIURL, e.Err)
	}
	return fmt.Sprintf("no Packet API credentials: create Secret %s in namespace %s with the keys %s, %s and %s: %v",
		e.Secret.Name, e.Secret.Namespace, KeyAPIURL, KeyAPIToken, KeyProjectID, e.Err)
}

// Unwrap gives the reason.
func (e *MissingError) Unwrap() error { return e.Err }

// secrets reads Secrets, each at most once per secretTTL for all who ask.
type secrets struct {
	reader client.Reader
	clock  clock

	mutex sync.Mutex
	known map[client.ObjectKey]*packet.ListingCache[packet.Credentials]
}

func newSecrets(reader client.Reader, now func() time.Time) *secrets {
	return &secrets{reader: reader, clock: clock{now: now}, known: map[client.ObjectKey]*packet.ListingCache[packet.Credentials]{}}
}

// read gives what a Secret holds; nothing if there is none.
func (s *secrets) read(ctx context.Context, key client.ObjectKey) (packet.Credentials, error) {
	s.mutex.Lock()
	entry, ok := s.known[key]
	if !ok {
		entry = packet.NewListingCache(func(ctx context.Context) (packet.Credentials, error) {
			return s.fetch(ctx, key)
		}, "Secret "+key.String(), secretTTL, s.clock)
		s.known[key] = entry
	}
	s.mutex.Unlock()
	found, err := entry.Recent(ctx)
	if err == nil && found.APIToken == "" {
		// Credentials that do not work are looked for every time, so that creating the Secret has an effect at once.
		s.forget(key)
	}
	return found, err
}

// forget has a Secret read anew by the next who asks.
func (s *secrets) forget(key client.ObjectKey) {
	s.mutex.Lock()
	defer s.mutex.Unlock()
	delete(s.known, key)
}

func (s *secrets) fetch(ctx context.Context, key client.ObjectKey) (packet.Credentials, error) {
	secret := &corev1.Secret{}
	if err := s.reader.Get(ctx, key, secret); err != nil && !apierrors.IsNotFound(err) {
		return packet.Credentials{}, fmt.Errorf("reading Secret %s: %w", key, err)
	}
	return clean(packet.Credentials{
		APIURL:    string(secret.Data[KeyAPIURL]),
		APIToken:  string(secret.Data[KeyAPIToken]),
		ProjectID: string(secret.Data[KeyProjectID]),
	}), nil
}

// clock gives the time to the caches of Secrets, which never sleep.
type clock struct {
	packet.SystemClock
	now func() time.Time
}

// Now implements packet.Clock.
func (c clock) Now() time.Time { return c.now() }
