package clusters_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"sigs.k8s.io/cluster-api/util/certs"
	"sigs.k8s.io/cluster-api/util/secret"
)

// clusterLabel is on the Nodes and tells of which cluster they are.
const clusterLabel = "bench.packetyard.dev/cluster"

// endpoint is the API server of a cluster, as far as the manager looks: it shows who comes with a certificate of the
// cluster's authority the cluster's Nodes.
type endpoint struct {
	cluster client.ObjectKey
	port    int

	mutex  sync.Mutex
	up     bool
	served *tls.Config
}

var errDown = errors.New("the control plane is not up yet")

// openEndpoint serves an endpoint at a port of the loopback address until the benchmark ends.
func openEndpoint(b *testing.B, cluster client.ObjectKey) *endpoint {
	b.Helper()
	e := &endpoint{cluster: cluster}
	target, err := url.Parse(env.Config.Host)
	if err != nil {
		b.Fatal(err)
	}
	if target.Host == "" {
		target = &url.URL{Scheme: "https", Host: env.Config.Host}
	}
	unlimited := rest.CopyConfig(env.Config)
	unlimited.QPS = -1
	transport, err := rest.TransportFor(unlimited)
	if err != nil {
		b.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{
		Transport:     transport,
		FlushInterval: -1,
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			if r.In.Method == http.MethodGet && r.In.URL.Path == "/api/v1/nodes" {
				query := r.Out.URL.Query()
				query.Set("labelSelector", clusterLabel+"="+cluster.Name)
				r.Out.URL.RawQuery = query.Encode()
			}
		},
		ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) { w.WriteHeader(http.StatusBadGateway) },
	}
	listener, err := tls.Listen("tcp4", "127.0.0.1:0", &tls.Config{
		MinVersion:         tls.VersionTLS13,
		GetConfigForClient: func(hello *tls.ClientHelloInfo) (*tls.Config, error) { return e.config(hello) },
	})
	if err != nil {
		b.Fatal(err)
	}
	e.port = listener.Addr().(*net.TCPAddr).Port
	server := &http.Server{Handler: proxy, ReadHeaderTimeout: time.Minute, ErrorLog: silent()}
	go func() { _ = server.Serve(listener) }()
	b.Cleanup(func() { _ = server.Close() })
	return e
}

// rise has the endpoint answer from now on.
func (e *endpoint) rise() {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	e.up = true
}

// config is how the endpoint speaks TLS: with a certificate by the cluster's authority, and with those alone who have one.
func (e *endpoint) config(hello *tls.ClientHelloInfo) (*tls.Config, error) {
	e.mutex.Lock()
	defer e.mutex.Unlock()
	if !e.up {
		return nil, errDown
	}
	if e.served != nil {
		return e.served, nil
	}
	authority := &corev1.Secret{}
	key := client.ObjectKey{Namespace: e.cluster.Namespace, Name: secret.Name(e.cluster.Name, secret.ClusterCA)}
	if err := env.Client.Get(hello.Context(), key, authority); err != nil {
		return nil, fmt.Errorf("reading the cluster's authority: %w", err)
	}
	certificate, err := certs.DecodeCertPEM(authority.Data[secret.TLSCrtDataName])
	if err != nil {
		return nil, fmt.Errorf("decoding the cluster's authority: %w", err)
	}
	signer, err := certs.DecodePrivateKeyPEM(authority.Data[secret.TLSKeyDataName])
	if err != nil {
		return nil, fmt.Errorf("decoding the key of the cluster's authority: %w", err)
	}
	serving, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(time.Now().UnixNano()), Subject: pkix.Name{CommonName: "kube-apiserver"},
		NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(24 * time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
		KeyUsage: x509.KeyUsageDigitalSignature,
	}
	signed, err := x509.CreateCertificate(rand.Reader, template, certificate, serving.Public(), signer)
	if err != nil {
		return nil, fmt.Errorf("signing the endpoint's certificate: %w", err)
	}
	clients := x509.NewCertPool()
	clients.AddCert(certificate)
	e.served = &tls.Config{
		MinVersion:   tls.VersionTLS13,
		Certificates: []tls.Certificate{{Certificate: [][]byte{signed}, PrivateKey: serving}},
		ClientAuth:   tls.RequireAndVerifyClientCert, ClientCAs: clients,
	}
	return e.served, nil
}
