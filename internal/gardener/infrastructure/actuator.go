package infrastructure

import (
	"context"
	"errors"
	"time"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	extensionsinfrastructure "github.com/gardener/gardener/extensions/pkg/controller/infrastructure"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	reconcilerutils "github.com/gardener/gardener/pkg/controllerutils/reconciler"
	"github.com/gardener/gardener/pkg/utils/flow"
	"github.com/go-logr/logr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/internal/gardener/faults"
	"github.com/packetyard/packetyard/pkg/packet"
)

// The times after which a failed operation is tried again: where somebody has to change something first, which gardenlet tells
// the controller of by an annotation, and where something else is about to go.
const (
	retryPermanent = 10 * time.Minute
	retryInUse     = 30 * time.Second
)

// Actuator makes and deletes what an Infrastructure stands for. It implements Gardener's Actuator.
type Actuator struct {
	kube      client.Client
	reader    client.Reader
	connector *Connector
}

var _ extensionsinfrastructure.Actuator = (*Actuator)(nil)

// NewActuator makes an Actuator. The reader reads what must be as it is now, not as a cache has it.
func NewActuator(kube client.Client, reader client.Reader, connector *Connector) *Actuator {
	return &Actuator{kube: kube, reader: reader, connector: connector}
}

// Reconcile makes what is missing, and removes what is no longer wanted. A Shoot that has everything costs three requests to
// the Packet API at most: findProjectSSHKeys, getVirtualNetwork and findIPReservations.
func (a *Actuator) Reconcile(ctx context.Context, log logr.Logger, infra *extensionsv1alpha1.Infrastructure, cluster *extensionscontroller.Cluster) error {
	s := a.scope(log, infra, cluster)
	if err := s.read(); err != nil {
		return gardenerError(err)
	}
	if err := a.connect(ctx, s); err != nil {
		return gardenerError(err)
	}
	return gardenerError(s.reconcile(ctx))
}

// Restore takes over, by the state that gardenlet has brought, what another seed has made.
func (a *Actuator) Restore(ctx context.Context, log logr.Logger, infra *extensionsv1alpha1.Infrastructure, cluster *extensionscontroller.Cluster) error {
	return a.Reconcile(ctx, log, infra, cluster)
}

// Migrate leaves everything as it is: the state is complete after every step, and gardenlet takes it along.
func (a *Actuator) Migrate(context.Context, logr.Logger, *extensionsv1alpha1.Infrastructure, *extensionscontroller.Cluster) error {
	return nil
}

// Delete removes what was made for the Shoot, and nothing else. An Infrastructure without a state is searched for all the same,
// unless the credentials are of no use: nothing was made then.
func (a *Actuator) Delete(ctx context.Context, log logr.Logger, infra *extensionsv1alpha1.Infrastructure, cluster *extensionscontroller.Cluster) error {
	s := a.scope(log, infra, cluster)
	if err := s.readState(); err != nil {
		return gardenerError(err)
	}
	err := a.connect(ctx, s)
	if err == nil {
		err = s.delete(ctx)
	}
	if err != nil && infra.Status.State == nil && infra.Status.ProviderStatus == nil && faults.Permanent(err) {
		log.Info("Nothing was made for this Infrastructure, and the Packet API cannot be asked", "error", err.Error())
		return nil
	}
	return gardenerError(err)
}

// ForceDelete deletes what can be deleted, and leaves the rest to the owner of the project, as Gardener demands of it.
func (a *Actuator) ForceDelete(ctx context.Context, log logr.Logger, infra *extensionsv1alpha1.Infrastructure, cluster *extensionscontroller.Cluster) error {
	s := a.scope(log, infra, cluster)
	err := s.readState()
	if err == nil {
		err = a.connect(ctx, s)
	}
	if err == nil {
		err = errors.Join(s.deleteVLANs(ctx), s.deleteReservations(ctx), s.deleteSSHKeys(ctx))
	}
	if err != nil {
		log.Info("Something may be left over in the project of the Packet API", "tag", s.owner.Tags()[0], "name", s.owner.keyName(), "error", err.Error())
	}
	return nil
}

func (a *Actuator) scope(log logr.Logger, infra *extensionsv1alpha1.Infrastructure, cluster *extensionscontroller.Cluster) *scope {
	return &scope{
		kube: a.kube, reader: a.reader, log: log,
		infra: infra, cluster: cluster, owner: OwnerOf(infra.Namespace, cluster),
	}
}

func (a *Actuator) connect(ctx context.Context, s *scope) error {
	api, credentials, err := a.connector.Connect(ctx, s.infra.Spec.SecretRef, s.cluster)
	if err != nil {
		return err
	}
	s.api, s.project = api, credentials.ProjectID
	return nil
}

// gardenerError gives an error its code, and says when to try again. Without it, an error that only the Shoot's owner can mend would be
// tried again at once, and cost a request each time.
func gardenerError(err error) error {
	if flow.Errors(err) != nil {
		// What Gardener shows is about the Shoot, not about the flow: there is one task at a time.
		if tasks := flow.Errors(err).Errors; len(tasks) == 1 {
			err = tasks[0]
		}
	}
	err = faults.Coded(err)
	wait, asked := packet.RetryAfter(err)
	switch {
	case err == nil:
		return nil
	case asked:
		return &reconcilerutils.RequeueAfterError{Cause: err, RequeueAfter: wait}
	case faults.Permanent(err):
		return &reconcilerutils.RequeueAfterError{Cause: err, RequeueAfter: retryPermanent}
	case faults.IsInUse(err):
		return &reconcilerutils.RequeueAfterError{Cause: err, RequeueAfter: retryInUse}
	default:
		return err
	}
}
