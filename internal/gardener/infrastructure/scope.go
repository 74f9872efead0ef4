package infrastructure

import (
	"context"
	"encoding/json"
	"fmt"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
	"github.com/packetyard/packetyard/internal/gardener/decode"
	"github.com/packetyard/packetyard/pkg/packet"
)

// scope is one reconciliation of one Infrastructure.
type scope struct {
	kube   client.Client
	reader client.Reader
	log    logr.Logger

	infra   *extensionsv1alpha1.Infrastructure
	cluster *extensionscontroller.Cluster
	owner   Owner

	api     API
	project string

	config v1alpha1.InfrastructureConfig
	// state and status are what persist writes. Only one task at a time works with them.
	state  v1alpha1.InfrastructureState
	status v1alpha1.InfrastructureStatus

	// keys and blocks are the project's, as this reconciliation has read them.
	keys   []packet.SSHKey
	blocks []packet.IPReservation
}

// read fills in what the Infrastructure has: its configuration, state and status.
func (s *scope) read() error {
	config, err := decode.InfrastructureConfig(s.infra.Spec.ProviderConfig)
	if err != nil {
		return fmt.Errorf("spec.providerConfig: %w", err)
	}
	s.config = *config
	return s.readState()
}

func (s *scope) readState() error {
	state, err := readState(s.infra.Status.State)
	if err != nil {
		return err
	}
	s.state = *state
	status, err := decode.InfrastructureStatus(s.infra.Status.ProviderStatus)
	if err != nil {
		return fmt.Errorf("status.providerStatus: %w", err)
	}
	s.status = *status
	return nil
}

// readState reads the state that this extension has written. What has no kind is the state of terraform, which earlier versions
// of the extension used: what it names is found by its name instead.
func readState(raw *runtime.RawExtension) (*v1alpha1.InfrastructureState, error) {
	if raw != nil && len(raw.Raw) > 0 {
		kind := metav1.TypeMeta{}
		if err := json.Unmarshal(raw.Raw, &kind); err == nil && kind.Kind == "" && kind.APIVersion == "" {
			raw = nil
		}
	}
	state, err := decode.InfrastructureState(raw)
	if err != nil {
		return nil, fmt.Errorf("status.state: %w", err)
	}
	return state, nil
}

// persist writes the state and the provider's status, if they have changed. It is called after every step, before the next one.
func (s *scope) persist(ctx context.Context) error {
	state, err := decode.Encode(&s.state)
	if err != nil {
		return err
	}
	status, err := decode.Encode(&s.status)
	if err != nil {
		return err
	}
	before := s.infra.DeepCopy()
	s.infra.Status.State, s.infra.Status.ProviderStatus = state, status
	if same(before.Status.State, state) && same(before.Status.ProviderStatus, status) {
		return nil
	}
	if err := s.kube.Status().Patch(ctx, s.infra, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("writing the state of the Infrastructure: %w", err)
	}
	return nil
}

// same compares two objects as JSON, because the API server writes their fields in another order.
func same(a, b *runtime.RawExtension) bool {
	if a == nil || b == nil {
		return a == b
	}
	var left, right any
	return json.Unmarshal(a.Raw, &left) == nil && json.Unmarshal(b.Raw, &right) == nil && equality.Semantic.DeepEqual(left, right)
}

// networks is the part of the provider's status about networks.
func (s *scope) networks() *v1alpha1.NetworksStatus {
	if s.status.Networks == nil {
		s.status.Networks = &v1alpha1.NetworksStatus{}
	}
	return s.status.Networks
}
