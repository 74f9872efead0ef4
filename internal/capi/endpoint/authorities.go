package endpoint

import (
	"context"
	"crypto/x509"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util/secret"
)

// authorityTTL is how long a certificate authority is not read again. It lives ten years; who replaces it by hand waits
// this long.
const authorityTTL = 10 * time.Minute

// authorities remembers the certificate authorities of clusters, by their PacketClusters.
type authorities struct {
	reader client.Reader
	now    func() time.Time

	mutex sync.Mutex
	known map[types.NamespacedName]authority
}

type authority struct {
	pool *x509.CertPool
	read time.Time
}

// of returns the authority of a cluster, nil if it has none that can be read: then its API servers prove nothing.
func (a *authorities) of(ctx context.Context, key types.NamespacedName, cluster *clusterv1.Cluster) (*x509.CertPool, error) {
	a.mutex.Lock()
	found, ok := a.known[key]
	a.mutex.Unlock()
	if ok && a.now().Sub(found.read) < authorityTTL {
		return found.pool, nil
	}
	content := &corev1.Secret{}
	name := client.ObjectKey{Namespace: cluster.Namespace, Name: secret.Name(cluster.Name, secret.ClusterCA)}
	err := a.reader.Get(ctx, name, content)
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading the certificate authority in Secret %s: %w", name, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(content.Data[secret.TLSCrtDataName]) {
		return nil, nil
	}
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if a.known == nil {
		a.known = map[types.NamespacedName]authority{}
	}
	a.known[key] = authority{pool: pool, read: a.now()}
	return pool, nil
}

func (a *authorities) forget(key types.NamespacedName) {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	delete(a.known, key)
}
