package bastion

import (
	"context"
	"errors"
	"fmt"
	"time"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	extensionsbastion "github.com/gardener/gardener/extensions/pkg/controller/bastion"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
	reconcilerutils "github.com/gardener/gardener/pkg/controllerutils/reconciler"
	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/internal/gardener/decode"
	"github.com/packetyard/packetyard/internal/gardener/faults"
	"github.com/packetyard/packetyard/internal/gardener/infrastructure"
	"github.com/packetyard/packetyard/pkg/packet"
)

// The times after which to look again: while a device comes or goes, and where somebody has to change something first.
const (
	retryWaiting   = 10 * time.Second
	retryPermanent = 10 * time.Minute
)

// Connector connects to the Packet API with a Shoot's account; infrastructure.Connector is one.
type Connector interface {
	Connect(ctx context.Context, ref corev1.SecretReference, cluster *extensionscontroller.Cluster) (*packet.Client, packet.Credentials, error)
}

// Actuator makes and deletes the devices of Bastions. It implements Gardener's Actuator.
type Actuator struct {
	kube      client.Client
	connector Connector
}

var _ extensionsbastion.Actuator = (*Actuator)(nil)

// NewActuator makes an Actuator.
func NewActuator(kube client.Client, connector Connector) *Actuator {
	return &Actuator{kube: kube, connector: connector}
}

// Reconcile sees to it that there is one device for the Bastion, as the Bastion is now, and reports its address.
func (a *Actuator) Reconcile(ctx context.Context, log logr.Logger, bastion *extensionsv1alpha1.Bastion, cluster *extensionscontroller.Cluster) error {
	s, err := a.scope(ctx, log, bastion, cluster)
	if err != nil {
		return gardenerError(err)
	}
	from, problems := parseIngress(bastion.Spec.Ingress, field.NewPath("spec", "ingress"))
	if len(problems) > 0 {
		return gardenerError(faults.Configuration("%w", problems.ToAggregate()))
	}
	order, err := a.order(ctx, s, from)
	if err != nil {
		return gardenerError(err)
	}
	address, err := s.ensure(ctx, order)
	if err != nil {
		return gardenerError(err)
	}
	if bastion.Status.Ingress != nil && bastion.Status.Ingress.IP == address {
		return nil
	}
	before := bastion.DeepCopy()
	bastion.Status.Ingress = &corev1.LoadBalancerIngress{IP: address}
	if err := a.kube.Status().Patch(ctx, bastion, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("writing the address of the bastion: %w", err)
	}
	return nil
}

// Delete deletes the Bastion's device, and returns an error until it is gone.
func (a *Actuator) Delete(ctx context.Context, log logr.Logger, bastion *extensionsv1alpha1.Bastion, cluster *extensionscontroller.Cluster) error {
	s, err := a.scope(ctx, log, bastion, cluster)
	if err != nil {
		return gardenerError(err)
	}
	return gardenerError(s.remove(ctx))
}

// ForceDelete asks for the deletion of the device and waits for nothing, as Gardener demands of it.
func (a *Actuator) ForceDelete(ctx context.Context, log logr.Logger, bastion *extensionsv1alpha1.Bastion, cluster *extensionscontroller.Cluster) error {
	s, err := a.scope(ctx, log, bastion, cluster)
	if err == nil {
		err = s.remove(ctx)
	}
	if waiting := (*waitingError)(nil); err != nil && !errors.As(err, &waiting) {
		log.Info("The device of the bastion may be left over in the project of the Packet API", "tag", tagOf(bastion.Name), "error", err.Error())
	}
	return nil
}

func (a *Actuator) scope(ctx context.Context, log logr.Logger, bastion *extensionsv1alpha1.Bastion, cluster *extensionscontroller.Cluster) (*scope, error) {
	ref := corev1.SecretReference{Namespace: bastion.Namespace, Name: v1beta1constants.SecretNameCloudProvider}
	api, credentials, err := a.connector.Connect(ctx, ref, cluster)
	if err != nil {
		return nil, err
	}
	return &scope{
		log: log, api: api, project: credentials.ProjectID,
		bastion: bastion, cluster: cluster, owner: infrastructure.OwnerOf(bastion.Namespace, cluster),
	}, nil
}

// order is the device that the Bastion is to have.
func (a *Actuator) order(ctx context.Context, s *scope, from []allowed) (packet.DeviceCreate, error) {
	if s.cluster == nil || s.cluster.Shoot == nil || s.cluster.CloudProfile == nil {
		return packet.DeviceCreate{}, faults.Configuration("the Cluster %s has no Shoot or no CloudProfile", s.bastion.Namespace)
	}
	machine, err := chooseMachine(s.cluster.CloudProfile)
	if err != nil {
		return packet.DeviceCreate{}, err
	}
	metro, err := a.metro(ctx, s)
	if err != nil {
		return packet.DeviceCreate{}, err
	}
	return s.order(machine, metro, userData(from, s.bastion.Spec.UserData)), nil
}

// metro is where the Shoot's machines are: the Infrastructure knows, and without it the Packet API is asked.
func (a *Actuator) metro(ctx context.Context, s *scope) (string, error) {
	infrastructures := &extensionsv1alpha1.InfrastructureList{}
	if err := a.kube.List(ctx, infrastructures, client.InNamespace(s.bastion.Namespace)); err != nil {
		return "", fmt.Errorf("listing the Infrastructures in %s: %w", s.bastion.Namespace, err)
	}
	for _, infra := range infrastructures.Items {
		if status, err := decode.InfrastructureStatus(infra.Status.ProviderStatus); err == nil && status.Metro != "" {
			return status.Metro, nil
		}
	}
	return infrastructure.Metro(ctx, s.api, s.cluster.Shoot.Spec.Region)
}

// waitingError tells what is waited for.
type waitingError struct{ what string }

// Error implements error.
func (e *waitingError) Error() string { return e.what }

// gardenerError gives an error its code, and says when to try again.
func gardenerError(err error) error {
	waiting := (*waitingError)(nil)
	wait, asked := packet.RetryAfter(err)
	switch err := faults.Coded(err); {
	case err == nil:
		return nil
	case errors.As(err, &waiting):
		return &reconcilerutils.RequeueAfterError{Cause: err, RequeueAfter: retryWaiting}
	case asked:
		return &reconcilerutils.RequeueAfterError{Cause: err, RequeueAfter: wait}
	case faults.Permanent(err):
		return &reconcilerutils.RequeueAfterError{Cause: err, RequeueAfter: retryPermanent}
	default:
		return err
	}
}
