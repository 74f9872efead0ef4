package webhookcerts

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Keys of the Secret.
const (
	keyAuthorityCert = "ca.crt"
	keyAuthorityKey  = "ca.key"
)

// writeAttempts bounds how often replicas that start together may get in each other's way.
const writeAttempts = 10

// ensureSecret reads the certificates from the Secret, or makes and stores what is missing or about to expire. Replicas
// agree because the API server lets only one of them create the Secret, and only one update a given version of it.
func ensureSecret(ctx context.Context, c client.Client, key client.ObjectKey, dnsNames []string, now time.Time) (*bundle, error) {
	for range writeAttempts {
		secret := &corev1.Secret{}
		err := c.Get(ctx, key, secret)
		exists := err == nil
		if err != nil && !apierrors.IsNotFound(err) {
			return nil, fmt.Errorf("reading Secret %s: %w", key, err)
		}

		b := &bundle{
			caCerts: secret.Data[keyAuthorityCert],
			caKey:   secret.Data[keyAuthorityKey],
			cert:    secret.Data[corev1.TLSCertKey],
			key:     secret.Data[corev1.TLSPrivateKeyKey],
		}
		switch err := b.check(dnsNames, now); {
		case err == nil:
			return b, nil
		case errors.Is(err, errServing):
			if err := b.issue(dnsNames, now); err != nil {
				return nil, err
			}
		default:
			if b, err = newBundle(b.caCerts, dnsNames, now); err != nil {
				return nil, err
			}
		}

		secret.Data = map[string][]byte{
			keyAuthorityCert:        b.caCerts,
			keyAuthorityKey:         b.caKey,
			corev1.TLSCertKey:       b.cert,
			corev1.TLSPrivateKeyKey: b.key,
		}
		if exists {
			// The resource version that was read goes along, so a write of another replica in between is a conflict.
			err = c.Update(ctx, secret)
		} else {
			secret.ObjectMeta = metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name}
			secret.Type = corev1.SecretTypeTLS
			err = c.Create(ctx, secret)
		}
		switch {
		case err == nil:
			return b, nil
		case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
			continue
		default:
			return nil, fmt.Errorf("writing Secret %s: %w", key, err)
		}
	}
	return nil, fmt.Errorf("writing Secret %s: others changed it %d times in a row", key, writeAttempts)
}
