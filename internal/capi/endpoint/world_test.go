package endpoint_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/klog/v2"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/pkg/packet"
)

var env *capitest.Environment

func TestMain(m *testing.M) {
	ctrl.SetLogger(klog.Background())
	os.Exit(capitest.Run(m, capitest.DefinitionsOnly, func(e *capitest.Environment) (func(), error) {
		env = e
		return func() {}, nil
	}))
}

// controlPlane is a cluster with control plane machines whose devices are real ones of the Packet API. What listens behind
// a device's address is a TLS server with a certificate of the cluster's authority, for as long as the test wants it.
type controlPlane struct {
	*capitest.World
	t              *testing.T
	cluster        *clusterv1.Cluster
	infrastructure *infrav1.PacketCluster
	machines       map[string]*infrav1.PacketMachine
	owners         map[string]*clusterv1.Machine

	mutex sync.Mutex
	// doors are what answers at the addresses of devices.
	doors map[string]string
	asked int
}

func newControlPlane(t *testing.T, change ...func(*infrav1.PacketCluster)) *controlPlane {
	t.Helper()
	c := &controlPlane{
		World: capitest.NewWorld(t, env, apiservertest.Options{}), t: t, doors: map[string]string{},
		machines: map[string]*infrav1.PacketMachine{}, owners: map[string]*clusterv1.Machine{},
	}
	c.Dial = c.dial
	c.Add(capitest.ClusterSecrets)
	c.Run()
	c.cluster, c.infrastructure = c.Cluster(c.Namespace, "demo", change...)
	c.Eventually(func() error {
		if err := c.Get(c.infrastructure); err != nil {
			return err
		}
		if !ptr.Deref(c.infrastructure.Status.Initialization.Provisioned, false) {
			return fmt.Errorf("not provisioned: %v", c.infrastructure.Status.Conditions)
		}
		return nil
	})
	c.SetStatus(c.cluster, func() { c.cluster.Status.Initialization.InfrastructureProvisioned = ptr.To(true) })
	c.Eventually(func() error {
		return c.Get(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: "demo-ca"}})
	})
	return c
}

// start makes control plane machines, the first of which has the address, and makes the control plane initialised.
func (c *controlPlane) start(names ...string) {
	c.t.Helper()
	for n, name := range names {
		c.add(name)
		if n == 0 {
			c.holds(name)
			c.SetStatus(c.cluster, func() { c.cluster.Status.Initialization.ControlPlaneInitialized = ptr.To(true) })
		}
	}
}

// add makes a control plane machine whose API server answers.
func (c *controlPlane) add(name string) {
	c.t.Helper()
	c.owners[name], c.machines[name] = c.Machine(c.cluster, capitest.MachineOptions{Name: name, ControlPlane: true, UserData: capitest.UserData})
	c.Eventually(func() error {
		if err := c.Get(c.machines[name]); err != nil {
			return err
		}
		if !ptr.Deref(c.machines[name].Status.Initialization.Provisioned, false) {
			return fmt.Errorf("machine %s is not provisioned: %v", name, c.machines[name].Status.Conditions)
		}
		return nil
	})
	c.answer(name, c.server("demo-ca"))
}

func (c *controlPlane) device(name string) string {
	c.t.Helper()
	id, err := packet.DeviceID(c.machines[name].Spec.ProviderID)
	if err != nil {
		c.t.Fatal(err)
	}
	return id
}

// server is an API server with a certificate of an authority that is kept in a Secret.
func (c *controlPlane) server(authority string) string {
	c.t.Helper()
	secret := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: c.Namespace, Name: authority}}
	if err := c.Get(secret); err != nil {
		c.t.Fatal(err)
	}
	pair, err := tls.X509KeyPair(secret.Data["tls.crt"], secret.Data["tls.key"])
	if err != nil {
		c.t.Fatal(err)
	}
	ca, err := x509.ParseCertificate(pair.Certificate[0])
	if err != nil {
		c.t.Fatal(err)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		c.t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.ParseIP(c.infrastructure.Spec.ControlPlaneEndpoint.Host)},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, ca, key.Public(), pair.PrivateKey)
	if err != nil {
		c.t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/readyz" {
			w.WriteHeader(http.StatusNotFound)
		}
	}))
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}}}
	server.StartTLS()
	c.t.Cleanup(server.Close)
	return server.Listener.Addr().String()
}

// answer makes something answer at a machine's addresses; nothing does if it is empty.
func (c *controlPlane) answer(name, server string) {
	c.t.Helper()
	device, err := c.Packet.Device(c.t.Context(), c.device(name))
	if err != nil {
		c.t.Fatal(err)
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	for _, ip := range device.IPAddresses {
		if ip.Management {
			c.doors[ip.Address] = server
		}
	}
}

func (c *controlPlane) dial(ctx context.Context, network, address string) (net.Conn, error) {
	host, port, err := net.SplitHostPort(address)
	if err != nil || port != "6443" {
		return nil, fmt.Errorf("%s is no address of an API server: %w", address, err)
	}
	c.mutex.Lock()
	server := c.doors[host]
	c.asked++
	c.mutex.Unlock()
	if server == "" {
		return nil, errors.New("connection refused")
	}
	var dialer net.Dialer
	return dialer.DialContext(ctx, network, server)
}

func (c *controlPlane) looks() int {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return c.asked
}

// holder is the device that has the address; empty for none.
func (c *controlPlane) holder() (string, error) {
	for _, ip := range c.ElasticIPs() {
		if ip.Address != c.infrastructure.Spec.ControlPlaneEndpoint.Host {
			continue
		}
		r, err := c.Packet.IPReservation(c.t.Context(), ip.ID, packet.Include("assignments"))
		if err != nil {
			return "", err
		}
		if len(r.Assignments) > 1 {
			return "", fmt.Errorf("%d devices have the address", len(r.Assignments))
		}
		if len(r.Assignments) == 1 {
			return r.Assignments[0].AssignedTo.ID(), nil
		}
	}
	return "", nil
}

// holds waits until a machine has the address, and the status says so.
func (c *controlPlane) holds(name string) {
	c.t.Helper()
	c.Eventually(func() error {
		holder, err := c.holder()
		if err != nil || holder != c.device(name) {
			return fmt.Errorf("device %s has the address, want %s: %w", holder, c.device(name), err)
		}
		if err := c.Get(c.infrastructure); err != nil {
			return err
		}
		if got := c.infrastructure.Status.ElasticIP.AssignedTo; got != holder {
			return fmt.Errorf("the status says that %q has the address, want %s", got, holder)
		}
		return nil
	})
}

// keeps fails the test if the address leaves a machine while several looks are had.
func (c *controlPlane) keeps(name string) {
	c.t.Helper()
	before := c.looks()
	for c.looks() < before+20 {
		c.Never(100*time.Millisecond, func() error {
			holder, err := c.holder()
			if err != nil || holder != c.device(name) {
				return fmt.Errorf("the address went to device %q: %w", holder, err)
			}
			return nil
		})
	}
}

func assigns(r *http.Request) bool {
	return r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/ips") && strings.Contains(r.URL.Path, "/devices/")
}

func releases(r *http.Request) bool {
	return r.Method == http.MethodDelete && strings.Contains(r.URL.Path, "/ips/")
}
