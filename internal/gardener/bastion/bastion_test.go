package bastion_test

import (
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	v1beta1helper "github.com/gardener/gardener/pkg/api/core/v1beta1/helper"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	reconcilerutils "github.com/gardener/gardener/pkg/controllerutils/reconciler"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/gardener/account"
	"github.com/packetyard/packetyard/internal/gardener/bastion"
	"github.com/packetyard/packetyard/internal/gardener/infrastructure/infrastructuretest"
	"github.com/packetyard/packetyard/pkg/packet"
)

var seed *infrastructuretest.Environment

func TestMain(m *testing.M) {
	os.Exit(infrastructuretest.Run(m, func(e *infrastructuretest.Environment) { seed = e }))
}

// script is what gardenctl has a bastion run.
const script = "#!/bin/bash -eu\nid gardener || useradd gardener -mU\n"

// host is a Bastion and what reconciles it.
type host struct {
	*infrastructuretest.Shoot
	network  *infrastructuretest.Network
	actuator *bastion.Actuator
	bastion  *extensionsv1alpha1.Bastion
}

// Connect implements bastion.Connector, by a network that can break.
func (h *host) Connect(ctx context.Context, ref corev1.SecretReference, _ *extensionscontroller.Cluster) (*packet.Client, packet.Credentials, error) {
	credentials, err := account.Read(ctx, seed.Client, ref)
	if err != nil {
		return nil, credentials, err
	}
	api, err := packet.NewClient(packet.Config{
		BaseURL: credentials.APIURL, Token: credentials.APIToken, HTTPClient: &http.Client{Transport: h.network}, Retries: -1, QPS: -1,
	})
	return api, credentials, err
}

func withMachines(cluster *extensionscontroller.Cluster) {
	cluster.CloudProfile.Spec = gardencorev1beta1.CloudProfileSpec{
		Type: "packet",
		MachineTypes: []gardencorev1beta1.MachineType{
			{Name: "c3.medium.x86", CPU: resource.MustParse("24"), Architecture: ptr.To("amd64")},
			{Name: "c3.small.x86", CPU: resource.MustParse("8"), Architecture: ptr.To("amd64")},
		},
		MachineImages: []gardencorev1beta1.MachineImage{{Name: "ubuntu", Versions: []gardencorev1beta1.MachineImageVersion{
			{ExpirableVersion: gardencorev1beta1.ExpirableVersion{Version: "22.4.0", Classification: ptr.To(gardencorev1beta1.ClassificationSupported)}, Architectures: []string{"amd64"}},
			{ExpirableVersion: gardencorev1beta1.ExpirableVersion{Version: "24.4.0", Classification: ptr.To(gardencorev1beta1.ClassificationSupported)}, Architectures: []string{"amd64"}},
		}}},
		ProviderConfig: infrastructuretest.ProviderConfig("CloudProfileConfig",
			`"machineImages":[{"name":"ubuntu","versions":[{"version":"22.4.0","id":"ubuntu_22_04"},{"version":"24.4.0","id":"ubuntu_24_04"}]}]`),
	}
}

// newBastion is a Bastion such as gardenctl makes.
func newBastion(namespace string) *extensionsv1alpha1.Bastion {
	return &extensionsv1alpha1.Bastion{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "cli-x7k2p"},
		Spec: extensionsv1alpha1.BastionSpec{
			DefaultSpec: extensionsv1alpha1.DefaultSpec{Type: "packet"},
			UserData:    []byte(script),
			Ingress:     []extensionsv1alpha1.BastionIngressPolicy{{IPBlock: networkingv1.IPBlock{CIDR: "198.51.100.0/24"}}},
		},
	}
}

func newHost(t *testing.T) *host {
	t.Helper()
	server := apiservertest.Start(t, apiservertest.Options{})
	h := &host{Shoot: seed.NewShoot(t, server.URL, server.Token, withMachines), network: &infrastructuretest.Network{}}
	h.actuator = bastion.NewActuator(seed.Client, h)
	h.bastion = newBastion(h.Namespace)
	if err := seed.Client.Create(t.Context(), h.bastion); err != nil {
		t.Fatal(err)
	}
	return h
}

func (h *host) reconcile(t *testing.T) error {
	t.Helper()
	h.network.Forget()
	if err := seed.Client.Get(t.Context(), client.ObjectKeyFromObject(h.bastion), h.bastion); err != nil {
		t.Fatal(err)
	}
	return h.actuator.Reconcile(t.Context(), logr.Discard(), h.bastion, h.Cluster)
}

// waits tells that an error only says to come again.
func waits(err error) bool {
	later := (*reconcilerutils.RequeueAfterError)(nil)
	return errors.As(err, &later) && len(v1beta1helper.ExtractErrorCodes(later.Cause)) == 0
}

// serve reconciles until the Bastion has an address.
func (h *host) serve(t *testing.T) {
	t.Helper()
	for {
		err := h.reconcile(t)
		if err == nil {
			return
		}
		if !waits(err) {
			t.Fatalf("reconciling: %v", err)
		}
	}
}

// devices are those of the project that nobody has deleted yet.
func (h *host) devices(t *testing.T) []packet.Device {
	t.Helper()
	devices, err := h.API.Devices(context.Background(), h.Project, packet.DeviceFilter{})
	if err != nil {
		t.Fatal(err)
	}
	return slices.DeleteFunc(devices, func(d packet.Device) bool {
		return d.State == packet.StateDeprovisioning || d.State == packet.StateDeleted
	})
}

func (h *host) remove(t *testing.T) {
	t.Helper()
	for {
		err := h.actuator.Delete(t.Context(), logr.Discard(), h.bastion, h.Cluster)
		if err == nil {
			return
		}
		if !waits(err) {
			t.Fatalf("deleting: %v", err)
		}
	}
}

func TestLife(t *testing.T) {
	h := newHost(t)
	if _, err := h.API.CreateProjectSSHKey(t.Context(), h.Project, packet.SSHKeyCreate{Label: "somebody's", Key: infrastructuretest.Key}); err != nil {
		t.Fatal(err)
	}
	h.serve(t)
	devices := h.devices(t)
	if len(devices) != 1 {
		t.Fatalf("there are %d devices, want one", len(devices))
	}
	device := devices[0]
	if h.bastion.Status.Ingress == nil || device.IPAddresses[0].Address != h.bastion.Status.Ingress.IP {
		t.Errorf("the address is %+v, the device has %+v", h.bastion.Status.Ingress, device.IPAddresses)
	}
	if device.Plan.Slug != "c3.small.x86" || device.OperatingSystem.Slug != "ubuntu_24_04" || device.Metro.Code != "ny" {
		t.Errorf("the device is a %s with %s in %s", device.Plan.Slug, device.OperatingSystem.Slug, device.Metro.Code)
	}
	if len(device.SSHKeys) != 0 {
		t.Errorf("the project's SSH keys are on the device: %+v", device.SSHKeys)
	}
	h.serve(t)
	if calls := h.network.Requests(); len(calls) > 3 || len(h.devices(t)) != 1 {
		t.Errorf("a bastion that serves costs %v, and there are %d devices", calls, len(h.devices(t)))
	}
	h.remove(t)
	if devices := h.devices(t); len(devices) != 0 {
		t.Errorf("there are still %+v", devices)
	}
}

// MCM deletes devices that have both tags of a machine and no Machine.
func TestBastionIsNoMachine(t *testing.T) {
	h := newHost(t)
	h.serve(t)
	for _, tag := range h.devices(t)[0].Tags {
		if strings.Contains(tag, "kubernetes.io/") {
			t.Errorf("the device has the tag %q", tag)
		}
	}
}

// A process that dies when the device was made and nobody knows finds it by its tag.
func TestKilledWhileMakingTheDevice(t *testing.T) {
	h := newHost(t)
	h.network.Break(func(_ int, r *http.Request) infrastructuretest.Verdict {
		if r.Method == http.MethodPost {
			return infrastructuretest.Lose
		}
		return infrastructuretest.Pass
	})
	if err := h.reconcile(t); err == nil || waits(err) {
		t.Fatalf("the lost answer is no error: %v", err)
	}
	h.network.Break(nil)
	h.serve(t)
	if devices := h.devices(t); len(devices) != 1 {
		t.Errorf("there are %d devices, want one", len(devices))
	}
	for request := 1; request < 4; request++ {
		h.network.Forget()
		h.network.Break(infrastructuretest.KilledAt(request))
		_ = h.actuator.Delete(t.Context(), logr.Discard(), h.bastion, h.Cluster)
	}
	h.network.Break(nil)
	h.remove(t)
	if devices := h.devices(t); len(devices) != 0 {
		t.Errorf("there are still %+v", devices)
	}
}

// What a device lets in is in its user data, which it runs once: another ingress takes another device.
func TestIngressChanges(t *testing.T) {
	h := newHost(t)
	h.serve(t)
	before := h.devices(t)[0].ID
	h.bastion.Spec.Ingress[0].IPBlock.CIDR = "203.0.113.7/32"
	if err := seed.Client.Update(t.Context(), h.bastion); err != nil {
		t.Fatal(err)
	}
	h.serve(t)
	devices := h.devices(t)
	if len(devices) != 1 || devices[0].ID == before {
		t.Errorf("the devices are %+v", devices)
	}
	if rules := ingressOf(t, devices[0].Userdata); !strings.Contains(rules, "ip saddr 203.0.113.7/32 tcp dport 22 accept") || strings.Contains(rules, "198.51.100.0") {
		t.Errorf("the filter is\n%s", rules)
	}
}

// files are what the user data writes, in the order of the script: the packet filter, the Bastion's script, and the unit.
func files(t *testing.T, userdata string) []string {
	t.Helper()
	var contents []string
	for _, part := range strings.Split(userdata, "<<'CONTENT'\n")[1:] {
		encoded, _, _ := strings.Cut(part, "\nCONTENT\n")
		content, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil {
			t.Fatal(err)
		}
		contents = append(contents, string(content))
	}
	return contents
}

func ingressOf(t *testing.T, userdata string) string { return files(t, userdata)[0] }

// The user data is a script that a shell understands, and brings the Bastion's own as it is.
func TestUserData(t *testing.T) {
	h := newHost(t)
	h.bastion.Spec.Ingress = []extensionsv1alpha1.BastionIngressPolicy{
		{IPBlock: networkingv1.IPBlock{CIDR: "198.51.100.7/24", Except: []string{"198.51.100.128/25"}}},
		{IPBlock: networkingv1.IPBlock{CIDR: "2001:db8::/48"}},
	}
	if err := seed.Client.Update(t.Context(), h.bastion); err != nil {
		t.Fatal(err)
	}
	h.serve(t)
	userdata := h.devices(t)[0].Userdata
	contents := files(t, userdata)
	if len(contents) != 3 || contents[1] != script {
		t.Fatalf("the files are %q", contents)
	}
	for _, want := range []string{
		"policy drop", "meta l4proto { 1, 58 } accept", "ip saddr 198.51.100.0/24 tcp dport 22 ip saddr != 198.51.100.128/25 accept", "ip6 saddr 2001:db8::/48 tcp dport 22 accept",
		"iptables -w -A gardener-bastion-0 -s 198.51.100.128/25 -j RETURN", "ip6tables -w -A gardener-bastion -s 2001:db8::/48 -p tcp --dport 22 -j gardener-bastion-1",
	} {
		if !strings.Contains(contents[0], want) {
			t.Errorf("the packet filter has no %q:\n%s", want, contents[0])
		}
	}
	for _, text := range []string{userdata, contents[0]} {
		check := exec.CommandContext(t.Context(), "sh", "-n")
		check.Stdin = strings.NewReader(text)
		if out, err := check.CombinedOutput(); err != nil {
			t.Errorf("the shell does not understand it: %v: %s\n%s", err, out, text)
		}
	}
}

func TestBadBastions(t *testing.T) {
	h := newHost(t)
	for name, test := range map[string]struct {
		change func(*extensionsv1alpha1.BastionSpec, *gardencorev1beta1.CloudProfileSpec)
		text   string
	}{
		"no ingress": {func(s *extensionsv1alpha1.BastionSpec, _ *gardencorev1beta1.CloudProfileSpec) { s.Ingress = nil }, "spec.ingress: Required value"},
		"bad block": {func(s *extensionsv1alpha1.BastionSpec, _ *gardencorev1beta1.CloudProfileSpec) {
			s.Ingress[0].IPBlock.CIDR = "everybody"
		}, `spec.ingress[0].ipBlock.cidr: Invalid value: "everybody"`},
		"bad except": {func(s *extensionsv1alpha1.BastionSpec, _ *gardencorev1beta1.CloudProfileSpec) {
			s.Ingress[0].IPBlock.Except = []string{"10.0.0.0/8"}
		}, "spec.ingress[0].ipBlock.except[0]"},
		"cloud-config": {func(s *extensionsv1alpha1.BastionSpec, _ *gardencorev1beta1.CloudProfileSpec) {
			s.UserData = []byte("#cloud-config\n")
		}, "spec.userData: Invalid value"},
		"no image":    {func(_ *extensionsv1alpha1.BastionSpec, p *gardencorev1beta1.CloudProfileSpec) { p.ProviderConfig = nil }, "ubuntu 24.4.0"},
		"no machines": {func(_ *extensionsv1alpha1.BastionSpec, p *gardencorev1beta1.CloudProfileSpec) { p.MachineTypes = nil }, "no suitable machine found"},
	} {
		t.Run(name, func(t *testing.T) {
			broken, cluster := h.bastion.DeepCopy(), *h.Cluster
			cluster.CloudProfile = cluster.CloudProfile.DeepCopy()
			test.change(&broken.Spec, &cluster.CloudProfile.Spec)
			problems := bastion.ConfigValidator{}.Validate(t.Context(), broken, &cluster)
			if len(problems) != 1 || !strings.Contains(problems[0].Error(), test.text) {
				t.Errorf("the problems are %v, want %q", problems, test.text)
			}
		})
	}
	if problems := (bastion.ConfigValidator{}).Validate(t.Context(), h.bastion, h.Cluster); len(problems) != 0 {
		t.Errorf("a good one has %v", problems)
	}
}

func TestWrongCredentials(t *testing.T) {
	h := newHost(t)
	h.Replace(t, "wrong")
	for what, err := range map[string]error{
		"reconciling": h.reconcile(t),
		"deleting":    h.actuator.Delete(t.Context(), logr.Discard(), h.bastion, h.Cluster),
	} {
		codes := v1beta1helper.ExtractErrorCodes(reconcilerutils.ReconcileErrCauseOrErr(err))
		if !slices.Equal(codes, []gardencorev1beta1.ErrorCode{gardencorev1beta1.ErrorInfraUnauthenticated}) {
			t.Errorf("%s gives the codes %v: %v", what, codes, err)
		}
	}
	if err := h.actuator.ForceDelete(t.Context(), logr.Discard(), h.bastion, h.Cluster); err != nil {
		t.Errorf("deleting by force: %v", err)
	}
}
