package infrastructure_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/gardener/gardener/extensions/pkg/util"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"

	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/gardener/faults"
	"github.com/packetyard/packetyard/internal/gardener/infrastructure/infrastructuretest"
	"github.com/packetyard/packetyard/pkg/packet"
)

// Wrong credentials cost one request per reconciliation, and an error that makes Gardener stop.
func TestWrongCredentialsAreNoStorm(t *testing.T) {
	s := newShoot(t, apiservertest.Start(t, apiservertest.Options{}), everything)
	s.Replace(t, "wrong")
	err := util.DetermineError(s.reconcile(t), faults.KnownCodes)
	wantCode(t, err, gardencorev1beta1.ErrorInfraUnauthenticated, "apiToken")
	if calls := s.network.Requests(); len(calls) != 1 {
		t.Errorf("that cost %v", calls)
	}
	if strings.Contains(err.Error(), "wrong") {
		t.Errorf("the error has the token in it: %v", err)
	}

	// A token that stops being valid later.
	ready := newShoot(t, apiservertest.Start(t, apiservertest.Options{}), everything)
	ready.mustReconcile(t)
	ready.Replace(t, "wrong")
	wantCode(t, ready.reconcile(t), gardencorev1beta1.ErrorInfraUnauthenticated, "apiToken")
	if calls := ready.network.Requests(); len(calls) != 1 {
		t.Errorf("that cost %v", calls)
	}
}

// What the ConfigValidator finds has the field, the value, and what is allowed; and nothing is made.
func TestBadConfigurations(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	for name, test := range map[string]struct {
		fields string
		change func(*extensionsv1alpha1.Infrastructure)
		texts  []string
	}{
		"unknown region": {change: func(i *extensionsv1alpha1.Infrastructure) { i.Spec.Region = "atlantis" }, texts: []string{`spec.region`, `"atlantis"`, "ny"}},
		"unknown field":  {fields: `"zones":3`, texts: []string{"spec.providerConfig", `unknown field "zones"`}},
		"another kind": {change: func(i *extensionsv1alpha1.Infrastructure) {
			i.Spec.ProviderConfig = infrastructuretest.ProviderConfig("WorkerConfig", "")
		}, texts: []string{"spec.providerConfig", "WorkerConfig"}},
		"no block":      {fields: `"networks":{"nodes":"10.0.0.1/25"}`, texts: []string{"spec.providerConfig.networks.nodes", "10.0.0.1/25"}},
		"foreign block": {fields: `"networks":{"nodes":"192.168.0.0/25"}`, texts: []string{"spec.providerConfig.networks.nodes", "192.168.0.0/25", "metro ny: none"}},
		"VLAN is taken": {fields: `"networks":{"vlan":{"vxlan":1000}}`, texts: []string{"spec.providerConfig.networks.vlan.vxlan", "1000", "another VLAN"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newShoot(t, server, test.fields)
			if name == "VLAN is taken" {
				s.useMetro(t)
			}
			if test.change != nil {
				test.change(s.infra)
			}
			before := s.project(t)
			problems := s.validate.Validate(t.Context(), s.infra)
			if len(problems) != 1 {
				t.Fatalf("there are %d problems, want one: %v", len(problems), problems)
			}
			for _, text := range test.texts {
				if !strings.Contains(problems[0].Error(), text) {
					t.Errorf("the error does not say %q: %v", text, problems[0])
				}
			}
			// Gardener gives every other kind of error ERR_CONFIGURATION_PROBLEM.
			if problems[0].Type == field.ErrorTypeInternal {
				t.Errorf("the error is internal: %v", problems[0])
			}
			if after := s.project(t); len(after.keys) != 0 || len(after.vlans) != len(before.vlans) {
				t.Errorf("something was made: %+v", after)
			}
		})
	}
}

// What the Packet API refuses has a code too.
func TestRefusals(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	large := newShoot(t, server, `"networks":{"privateReservation":{"prefixLength":22}}`)
	wantCode(t, large.reconcile(t), gardencorev1beta1.ErrorConfigurationProblem, "quantity 1024", "prefixLength")

	full := newShoot(t, server, `"networks":{"privateReservation":{"prefixLength":27}}`)
	for range 2 {
		if _, err := full.API.CreateIPReservation(t.Context(), full.Project, packet.IPReservationCreate{Type: packet.IPTypePrivateIPv4, Quantity: 128, Metro: "ny"}); err != nil {
			t.Fatal(err)
		}
	}
	wantCode(t, full.reconcile(t), gardencorev1beta1.ErrorInfraQuotaExceeded, "quota")

	vlan := newShoot(t, server, `"networks":{"vlan":{"vxlan":1500}}`)
	vlan.mustReconcile(t)
	vlan.change(t, func(infra *extensionsv1alpha1.Infrastructure) {
		infra.Spec.ProviderConfig = infrastructuretest.ProviderConfig("InfrastructureConfig", `"networks":{"vlan":{"vxlan":1501}}`)
	})
	wantCode(t, vlan.reconcile(t), gardencorev1beta1.ErrorConfigurationProblem, "1500", "1501")

	down := newShoot(t, server, everything)
	down.mustReconcile(t)
	down.network.Break(func(int, *http.Request) infrastructuretest.Verdict { return infrastructuretest.Drop })
	wantCode(t, down.reconcile(t), gardencorev1beta1.ErrorRetryableInfraDependencies, "out of order")
	down.network.Break(nil)
	down.mustReconcile(t)
	wantOne(t, down)
}

// Regions were facilities before there were metros, as in the seed's README.
func TestFacilityAsRegion(t *testing.T) {
	s := newShoot(t, apiservertest.Start(t, apiservertest.Options{}), `"networks":{"vlan":{}}`)
	s.infra.Spec.Region = "ewr1"
	s.change(t, func(infra *extensionsv1alpha1.Infrastructure) { infra.Spec.Region = "ewr1" })
	s.mustReconcile(t)
	if s.status(t).Metro != "ny" || s.state(t).Metro != "ny" {
		t.Errorf("the metro is %q", s.status(t).Metro)
	}
	s.mustReconcile(t)
	if calls := s.network.Requests(); slices.Contains(calls, "GET /facilities") {
		t.Errorf("the region is looked up again: %v", calls)
	}
}
