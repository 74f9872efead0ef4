package faults_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/gardener/gardener/extensions/pkg/util"
	v1beta1helper "github.com/gardener/gardener/pkg/api/core/v1beta1/helper"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/gardener/account"
	"github.com/packetyard/packetyard/internal/gardener/faults"
	"github.com/packetyard/packetyard/pkg/packet"
)

// asker asks an API server for something that it refuses.
type asker struct {
	*apiservertest.Server
	*packet.Client
	t *testing.T
}

// with is a client with another token, or of another server.
func (a asker) with(url, token string) *packet.Client {
	client, err := packet.NewClient(packet.Config{BaseURL: url, Token: token, QPS: -1, Retries: -1})
	if err != nil {
		a.t.Fatal(err)
	}
	return client
}

func (a asker) must(err error) {
	a.t.Helper()
	if err != nil {
		a.t.Fatal(err)
	}
}

func (a asker) device(change func(*packet.DeviceCreate)) error {
	order := packet.DeviceCreate{Hostname: "machine", Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da"}
	if change != nil {
		change(&order)
	}
	_, err := a.CreateDevice(a.t.Context(), a.ProjectID, order)
	return err
}

func (a asker) foreign(status int) string {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = w.Write([]byte("<html>a proxy</html>"))
	}))
	a.t.Cleanup(server.Close)
	return server.URL
}

// The errors are those that the real client makes of the real API server's answers.
func TestCodesOfRealErrors(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{Configure: func(c *apiserver.Config) {
		c.Capacity = []apiserver.Capacity{{Plan: "m3.large.x86", Servers: 0}}
	}})
	// One whose devices take their time.
	slow := apiservertest.Start(t, apiservertest.Options{Profile: lifecycle.Fast})
	a := asker{server, server.Client(t), t}
	for name, test := range map[string]struct {
		code gardencorev1beta1.ErrorCode
		fail func(asker) error
	}{
		"wrong token": {gardencorev1beta1.ErrorInfraUnauthenticated, func(a asker) error {
			_, err := a.with(a.URL, "wrong").Project(t.Context(), a.ProjectID)
			return err
		}},
		"no token": {gardencorev1beta1.ErrorInfraUnauthenticated, func(asker) error {
			_, err := account.FromSecret(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "shoot", Name: "cloudprovider"}})
			return err
		}},
		"read-only token": {gardencorev1beta1.ErrorInfraUnauthorized, func(a asker) error {
			key, err := a.CreateProjectAPIKey(t.Context(), a.ProjectID, packet.APIKeyCreate{Description: "reads", ReadOnly: true})
			a.must(err)
			_, err = a.with(a.URL, key.Token).CreateVirtualNetwork(t.Context(), a.ProjectID, packet.VirtualNetworkCreate{Metro: "da"})
			return err
		}},
		"project of somebody else": {gardencorev1beta1.ErrorInfraUnauthorized, func(a asker) error {
			_, err := a.ProjectSSHKeys(t.Context(), "00000000-0000-4000-8000-000000000000")
			return err
		}},
		"no devices left in the quota": {gardencorev1beta1.ErrorInfraQuotaExceeded, func(a asker) error {
			a.must(a.SetMaxDevices(t.Context(), a.ProjectID, map[string]int{"c3.medium.x86": 0}))
			return a.device(func(d *packet.DeviceCreate) { d.Plan = "c3.medium.x86" })
		}},
		"no addresses left in the quota": {gardencorev1beta1.ErrorInfraQuotaExceeded, func(a asker) error {
			ask := packet.IPReservationCreate{Type: packet.IPTypePublicIPv4, Quantity: 256, Metro: "da", FailOnApprovalRequired: true}
			_, err := a.CreateIPReservation(t.Context(), a.ProjectID, ask)
			a.must(err)
			_, err = a.CreateIPReservation(t.Context(), a.ProjectID, ask)
			return err
		}},
		"no servers": {gardencorev1beta1.ErrorInfraResourcesDepleted, func(a asker) error {
			return a.device(func(d *packet.DeviceCreate) { d.Plan = "m3.large.x86" })
		}},
		"no reserved servers": {gardencorev1beta1.ErrorInfraResourcesDepleted, func(a asker) error {
			return a.device(func(d *packet.DeviceCreate) { d.HardwareReservationID = "next-available" })
		}},
		"bid too low": {gardencorev1beta1.ErrorInfraResourcesDepleted, func(a asker) error {
			return a.device(func(d *packet.DeviceCreate) { d.SpotInstance, d.SpotPriceMax = true, 0.001 })
		}},
		"unknown plan": {gardencorev1beta1.ErrorConfigurationProblem, func(a asker) error {
			return a.device(func(d *packet.DeviceCreate) { d.Plan = "z9.huge" })
		}},
		"unknown reservation": {gardencorev1beta1.ErrorConfigurationProblem, func(a asker) error {
			return a.device(func(d *packet.DeviceCreate) { d.HardwareReservationID = "00000000-0000-4000-8000-000000000000" })
		}},
		"locked device": {gardencorev1beta1.ErrorInfraDependencies, func(a asker) error {
			device, err := a.CreateDevice(t.Context(), a.ProjectID,
				packet.DeviceCreate{Hostname: "locked", Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da", Locked: true})
			a.must(err)
			return a.DeleteDevice(t.Context(), device.ID, true)
		}},
		"device on its way": {gardencorev1beta1.ErrorRetryableInfraDependencies, func(asker) error {
			a := asker{slow, slow.Client(t), t}
			device, err := a.CreateDevice(t.Context(), a.ProjectID,
				packet.DeviceCreate{Hostname: "new", Plan: "c3.small.x86", OperatingSystem: "ubuntu_24_04", Metro: "da"})
			a.must(err)
			return a.DeleteDevice(t.Context(), device.ID, false)
		}},
		"VLAN with a gateway": {gardencorev1beta1.ErrorRetryableInfraDependencies, func(a asker) error {
			vlan, err := a.CreateVirtualNetwork(t.Context(), a.ProjectID, packet.VirtualNetworkCreate{Metro: "da"})
			a.must(err)
			_, err = a.CreateMetalGateway(t.Context(), a.ProjectID, packet.MetalGatewayCreate{VirtualNetworkID: vlan.ID, PrivateIPv4SubnetSize: 8})
			a.must(err)
			return a.DeleteVirtualNetwork(t.Context(), vlan.ID)
		}},
		"too many requests": {gardencorev1beta1.ErrorInfraRateLimitsExceeded, func(a asker) error {
			busy := apiservertest.Start(t, apiservertest.Options{Configure: func(c *apiserver.Config) { c.RateLimit.Requests = 1 }})
			_, err := busy.Client(t).Metros(t.Context())
			a.must(err)
			_, err = busy.Client(t).Metros(t.Context())
			return err
		}},
		"nobody answers": {gardencorev1beta1.ErrorRetryableInfraDependencies, func(a asker) error {
			_, err := a.with("http://127.0.0.1:9/metal/v1", a.Token).Metros(t.Context())
			return err
		}},
		"a proxy that is out of order": {gardencorev1beta1.ErrorRetryableInfraDependencies, func(a asker) error {
			_, err := a.with(a.foreign(http.StatusBadGateway), a.Token).Metros(t.Context())
			return err
		}},
		"a proxy that wants to know who asks": {gardencorev1beta1.ErrorRetryableConfigurationProblem, func(a asker) error {
			_, err := a.with(a.foreign(http.StatusUnauthorized), a.Token).Metros(t.Context())
			return err
		}},
		"another server": {gardencorev1beta1.ErrorRetryableConfigurationProblem, func(a asker) error {
			_, err := a.with(a.foreign(http.StatusNotFound), a.Token).ProjectSSHKeys(t.Context(), a.ProjectID)
			return err
		}},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.fail(a)
			if err == nil {
				t.Fatal("there is no error")
			}
			// As it comes, wrapped, as a field's error, and as a text in the status of a Machine.
			for _, seen := range []error{
				err, fmt.Errorf("making a machine: %w", err),
				field.ErrorList{field.InternalError(field.NewPath("spec"), faults.Coded(err))}.ToAggregate(),
				errors.New("Cloud provider message - machine codes error: code = [Internal] message = [" + err.Error() + "]"),
			} {
				determined := util.DetermineError(seen, faults.KnownCodes)
				if codes := v1beta1helper.ExtractErrorCodes(determined); !slices.Equal(codes, []gardencorev1beta1.ErrorCode{test.code}) {
					t.Errorf("the codes are %v, want %s: %v", codes, test.code, seen)
				}
			}
			coded := faults.Coded(err)
			if faults.Code(coded) != test.code || !errors.Is(coded, err) || !strings.Contains(coded.Error(), err.Error()) {
				t.Errorf("the error becomes %v", coded)
			}
			if coded := faults.Coded(coded); strings.Count(coded.Error(), err.Error()) != 1 {
				t.Errorf("an error that has a code gets another one: %v", coded)
			}
			t.Log(coded)
		})
	}
}

// The codes with which Gardener stops, and others.
func TestPermanent(t *testing.T) {
	for text, want := range map[string]bool{
		"findProjectById: 401 Unauthorized: Invalid authentication token":                true,
		"createDevice: 422 Unprocessable Entity: plan \"x\" is not one of: c3.small":     true,
		"findMetros: 500 Internal Server Error: oops":                                    false,
		"findMetros: no answer from the API: EOF":                                        false,
		"Operation cannot be fulfilled on infrastructures: the object has been modified": false,
		"context deadline exceeded":                                                      false,
	} {
		if got := faults.Permanent(errors.New(text)); got != want {
			t.Errorf("%q is permanent: %v, want %v", text, got, want)
		}
	}
	if faults.Permanent(nil) || faults.Coded(nil) != nil || faults.Code(nil) != "" || faults.IsInUse(nil) {
		t.Error("no error is one")
	}
	if err := faults.Configuration("no %s", "way"); !faults.Permanent(err) || err.Error() != "no way" {
		t.Errorf("a configuration problem is %v", err)
	}
}
