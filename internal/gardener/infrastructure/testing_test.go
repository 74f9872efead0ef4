package infrastructure_test

import (
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"

	v1beta1helper "github.com/gardener/gardener/pkg/api/core/v1beta1/helper"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	reconcilerutils "github.com/gardener/gardener/pkg/controllerutils/reconciler"
	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/gardener/decode"
	"github.com/packetyard/packetyard/internal/gardener/infrastructure"
	"github.com/packetyard/packetyard/internal/gardener/infrastructure/infrastructuretest"
	"github.com/packetyard/packetyard/pkg/packet"
)

var seed *infrastructuretest.Environment

func TestMain(m *testing.M) {
	os.Exit(infrastructuretest.Run(m, func(e *infrastructuretest.Environment) { seed = e }))
}

// everything asks for all that an Infrastructure can have.
const everything = `"networks":{"vlan":{},"privateReservation":{"prefixLength":27}}`

// shoot is a Shoot with an Infrastructure and what reconciles it.
type shoot struct {
	*infrastructuretest.Shoot
	network  *infrastructuretest.Network
	actuator *infrastructure.Actuator
	validate *infrastructure.ConfigValidator
	infra    *extensionsv1alpha1.Infrastructure
}

func newShoot(t testing.TB, server *apiservertest.Server, fields string) *shoot {
	t.Helper()
	s := &shoot{Shoot: seed.NewShoot(t, server.URL, server.Token, nil), network: &infrastructuretest.Network{}}
	s.use(seed.Client)
	s.infra = s.Infrastructure(t, fields)
	return s
}

// use has the Kubernetes API asked by another client.
func (s *shoot) use(kube client.Client) {
	connector := infrastructure.NewConnector(seed.Client, "").Through(s.network)
	s.actuator = infrastructure.NewActuator(kube, seed.Client, connector)
	s.validate = infrastructure.NewConfigValidator(seed.Client, connector)
}

// reconcile does what Gardener's reconciler does with the Infrastructure as it is in the API, and counts from zero.
func (s *shoot) reconcile(t testing.TB) error {
	t.Helper()
	s.read(t)
	s.network.Forget()
	if problems := s.validate.Validate(t.Context(), s.infra); len(problems) > 0 {
		return problems.ToAggregate()
	}
	return s.actuator.Reconcile(t.Context(), logr.Discard(), s.infra, s.Cluster)
}

func (s *shoot) mustReconcile(t testing.TB) {
	t.Helper()
	if err := s.reconcile(t); err != nil {
		t.Fatalf("reconciling: %v", err)
	}
	s.read(t)
}

func (s *shoot) remove(t testing.TB) error {
	t.Helper()
	s.read(t)
	s.network.Forget()
	return s.actuator.Delete(t.Context(), logr.Discard(), s.infra, s.Cluster)
}

func (s *shoot) read(t testing.TB) {
	t.Helper()
	s.infra = &extensionsv1alpha1.Infrastructure{}
	if err := seed.Client.Get(t.Context(), client.ObjectKey{Namespace: s.Namespace, Name: "infrastructure"}, s.infra); err != nil {
		t.Fatal(err)
	}
}

// change changes the Infrastructure as gardenlet does.
func (s *shoot) change(t testing.TB, change func(*extensionsv1alpha1.Infrastructure)) {
	t.Helper()
	s.read(t)
	change(s.infra)
	if err := seed.Client.Update(t.Context(), s.infra); err != nil {
		t.Fatal(err)
	}
}

func (s *shoot) changeStatus(t testing.TB, change func(*extensionsv1alpha1.InfrastructureStatus)) {
	t.Helper()
	s.read(t)
	change(&s.infra.Status)
	if err := seed.Client.Status().Update(t.Context(), s.infra); err != nil {
		t.Fatal(err)
	}
}

func (s *shoot) state(t testing.TB) *v1alpha1.InfrastructureState {
	t.Helper()
	state, err := decode.InfrastructureState(s.infra.Status.State)
	if err != nil {
		t.Fatal(err)
	}
	return state
}

func (s *shoot) status(t testing.TB) *v1alpha1.InfrastructureStatus {
	t.Helper()
	status, err := decode.InfrastructureStatus(s.infra.Status.ProviderStatus)
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// project is what a Shoot's project has.
type project struct {
	keys  []packet.SSHKey
	vlans []packet.VirtualNetwork
	// reserved are the private blocks that somebody has asked for.
	reserved []packet.IPReservation
	// given are those that the API has given the project by itself.
	given []packet.IPReservation
}

func (s *shoot) project(t testing.TB) project {
	t.Helper()
	ctx := context.Background()
	var p project
	var errs [3]error
	p.keys, errs[0] = s.API.ProjectSSHKeys(ctx, s.Project)
	p.vlans, errs[1] = s.API.VirtualNetworks(ctx, s.Project)
	blocks, err := s.API.IPReservations(ctx, s.Project, packet.IPTypes(packet.IPTypePrivateIPv4))
	errs[2] = err
	if err := errors.Join(errs[:]...); err != nil {
		t.Fatal(err)
	}
	for _, block := range blocks {
		if block.Management {
			p.given = append(p.given, block)
		} else {
			p.reserved = append(p.reserved, block)
		}
	}
	return p
}

// useMetro has the project have private addresses in the metro, as it has after anything was made there.
func (s *shoot) useMetro(t testing.TB) string {
	t.Helper()
	if _, err := s.API.CreateVirtualNetwork(t.Context(), s.Project, packet.VirtualNetworkCreate{Metro: "ny", Description: "somebody else's"}); err != nil {
		t.Fatal(err)
	}
	return block(s.project(t).given[0])
}

func block(r packet.IPReservation) string {
	return r.Network + "/" + string(rune('0'+r.CIDR/10)) + string(rune('0'+r.CIDR%10))
}

// cause is the error that Gardener writes into the status.
func cause(err error) error { return reconcilerutils.ReconcileErrCauseOrErr(err) }

func wantCode(t *testing.T, err error, code gardencorev1beta1.ErrorCode, texts ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("there is no error, want %s", code)
	}
	if codes := v1beta1helper.ExtractErrorCodes(cause(err)); !slices.Equal(codes, []gardencorev1beta1.ErrorCode{code}) {
		t.Errorf("the codes are %v, want %s: %v", codes, code, cause(err))
	}
	for _, text := range texts {
		if !strings.Contains(cause(err).Error(), text) {
			t.Errorf("the error does not say %q: %v", text, cause(err))
		}
	}
}
