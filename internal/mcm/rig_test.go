package mcm_test

import (
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	"github.com/gardener/machine-controller-manager/pkg/util/provider/driver"
	"github.com/gardener/machine-controller-manager/pkg/util/provider/machinecodes/codes"
	"github.com/gardener/machine-controller-manager/pkg/util/provider/machinecodes/status"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/internal/machines/none"
	"github.com/packetyard/packetyard/internal/mcm"
	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	clusterTag = "kubernetes.io/cluster/shoot--foo--bar"
	roleTag    = "kubernetes.io/role/node"
	plan       = "c3.small.x86"
	// bootstrap is user data with what nobody may see.
	bootstrap = "#!/bin/sh\nkubeadm join --token abcdef.0123456789abcdef"
)

// rig is a driver, a real API server, and the wire between them.
type rig struct {
	t       testing.TB
	api     *apiservertest.Server
	client  *packet.Client
	wire    *wire
	clock   *clock
	options mcm.Options
	driver  *mcm.Driver
}

func newRig(t testing.TB, options apiservertest.Options) *rig {
	t.Helper()
	server := apiservertest.Start(t, options)
	r := &rig{t: t, api: server, client: server.Client(t), wire: &wire{counts: map[string]int{}}, clock: &clock{}}
	// Nothing happens by itself, unless a test wants it to.
	r.options = mcm.Options{HTTPClient: &http.Client{Transport: r.wire}, Clock: r.clock, QPS: -1, NetworkPoll: time.Hour}
	r.restart()
	return r
}

// restart makes another driver, which remembers nothing.
func (r *rig) restart() { r.driver = mcm.New(r.options) }

// class is a MachineClass with a few fields more than are needed, or others.
func (r *rig) class(fields map[string]any) *v1alpha1.MachineClass {
	r.t.Helper()
	spec := map[string]any{
		"apiURL": r.api.URL, "projectID": r.api.ProjectID, "metro": "ny", "machineType": plan, "OS": "ubuntu_24_04",
		"tags": []string{clusterTag, roleTag},
	}
	for name, value := range fields {
		if spec[name] = value; value == nil {
			delete(spec, name)
		}
	}
	raw, err := json.Marshal(spec)
	if err != nil {
		r.t.Fatal(err)
	}
	return &v1alpha1.MachineClass{ObjectMeta: metav1.ObjectMeta{Name: "pool-a1b2c", Namespace: "shoot--foo--bar"}, Provider: "Packet", ProviderSpec: runtime.RawExtension{Raw: raw}}
}

func (r *rig) secret() *corev1.Secret {
	return &corev1.Secret{Data: map[string][]byte{"apiToken": []byte(r.api.Token), "userData": []byte(bootstrap)}}
}

func machine(name string) *v1alpha1.Machine {
	return &v1alpha1.Machine{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "shoot--foo--bar"}}
}

// of is a Machine that has a device.
func of(name, providerID string) *v1alpha1.Machine {
	m := machine(name)
	m.Spec.ProviderID = providerID
	return m
}

func (r *rig) create(class *v1alpha1.MachineClass, m *v1alpha1.Machine) (*driver.CreateMachineResponse, error) {
	return r.driver.CreateMachine(r.t.Context(), &driver.CreateMachineRequest{Machine: m, MachineClass: class, Secret: r.secret()})
}

func (r *rig) mustCreate(class *v1alpha1.MachineClass, name string) *driver.CreateMachineResponse {
	r.t.Helper()
	response, err := r.create(class, machine(name))
	if err != nil {
		r.t.Fatalf("creating %s: %v", name, err)
	}
	return response
}

func (r *rig) status(class *v1alpha1.MachineClass, m *v1alpha1.Machine) (*driver.GetMachineStatusResponse, error) {
	return r.driver.GetMachineStatus(r.t.Context(), &driver.GetMachineStatusRequest{Machine: m, MachineClass: class, Secret: r.secret()})
}

func (r *rig) initialize(class *v1alpha1.MachineClass, m *v1alpha1.Machine) (*driver.InitializeMachineResponse, error) {
	return r.driver.InitializeMachine(r.t.Context(), &driver.InitializeMachineRequest{Machine: m, MachineClass: class, Secret: r.secret()})
}

func (r *rig) delete(class *v1alpha1.MachineClass, m *v1alpha1.Machine) error {
	_, err := r.driver.DeleteMachine(r.t.Context(), &driver.DeleteMachineRequest{Machine: m, MachineClass: class, Secret: r.secret()})
	return err
}

func (r *rig) list(class *v1alpha1.MachineClass) map[string]string {
	r.t.Helper()
	response, err := r.driver.ListMachines(r.t.Context(), &driver.ListMachinesRequest{MachineClass: class, Secret: r.secret()})
	if err != nil {
		r.t.Fatalf("listing: %v", err)
	}
	return response.MachineList
}

// deleteLikeMCM deletes as often as MCM would, without its waits.
func (r *rig) deleteLikeMCM(class *v1alpha1.MachineClass, m *v1alpha1.Machine) {
	r.t.Helper()
	for {
		err := r.delete(class, m)
		if err == nil {
			return
		}
		if codeOf(err) != codes.Aborted {
			r.t.Fatalf("deleting %s: %v", m.Name, err)
		}
	}
}

// devices are all of the project.
func (r *rig) devices() []packet.Device {
	r.t.Helper()
	devices, err := r.client.Devices(r.t.Context(), r.api.ProjectID, packet.DeviceFilter{})
	if err != nil {
		r.t.Fatal(err)
	}
	return devices
}

// device is the only one of the project.
func (r *rig) device() packet.Device {
	r.t.Helper()
	devices := r.devices()
	if len(devices) != 1 {
		r.t.Fatalf("there are %d devices, want 1", len(devices))
	}
	return devices[0]
}

// until reads the only device of the project until it is in a state.
func (r *rig) until(state packet.DeviceState) packet.Device {
	r.t.Helper()
	for {
		if device := r.device(); device.State == state {
			return device
		}
		if r.t.Context().Err() != nil {
			r.t.Fatal(r.t.Context().Err())
		}
	}
}

// codeOf is the code of an error as MCM reads it: from the text.
func codeOf(err error) codes.Code {
	known, ok := status.FromError(err)
	if !ok {
		return 0
	}
	return known.Code()
}

// wants checks what MCM reads in an error, and that no secret is in it.
func (r *rig) wants(err error, code codes.Code, words ...string) {
	r.t.Helper()
	if err == nil || codeOf(err) != code {
		r.t.Fatalf("the error is %v, want one of code %s", err, code)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			r.t.Errorf("error %q does not mention %q", err, word)
		}
	}
	for _, secret := range []string{r.api.Token, bootstrap, "0123456789abcdef"} {
		if strings.Contains(err.Error(), secret) {
			r.t.Errorf("error %q shows a secret", err)
		}
	}
}

// clock is the system's, moved on by the test. Who sleeps by it does not wait.
type clock struct {
	mutex sync.Mutex
	ahead time.Duration
}

func (c *clock) Now() time.Time {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	return time.Now().Add(c.ahead)
}

func (c *clock) Sleep(ctx context.Context, d time.Duration) error {
	c.advance(d)
	return ctx.Err()
}

func (c *clock) advance(by time.Duration) {
	c.mutex.Lock()
	defer c.mutex.Unlock()
	c.ahead += by
}

// hardware is a driver of machines whose machines begin and end when the test says.
type hardware struct {
	none.Driver
	// hold keeps machines from being ready, and from being gone, as long as it is open.
	hold chan struct{}
	fail error
}

func (h *hardware) Provision(ctx context.Context, spec machines.Spec) error {
	if h.fail != nil {
		return h.fail
	}
	return h.wait(ctx)
}

func (h *hardware) Deprovision(ctx context.Context, _ string) error { return h.wait(ctx) }

func (h *hardware) wait(ctx context.Context) error {
	if h.hold == nil {
		return nil
	}
	select {
	case <-h.hold:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
