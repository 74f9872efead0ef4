package packetmachine

import (
	"context"
	"errors"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/credentials"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/internal/capi/writeback"
	"github.com/packetyard/packetyard/pkg/packet"
)

// scope is everything that one reconcile is about.
type scope struct {
	packetMachine *infrav1.PacketMachine
	// machine, cluster and packetCluster can be nil while the PacketMachine is being deleted.
	machine       *clusterv1.Machine
	cluster       *clusterv1.Cluster
	packetCluster *infrav1.PacketCluster
	clusterName   string
	account       *credentials.Account
	writer        *writeback.Writer
}

func (s *scope) identity() (devices.Identity, error) {
	id := devices.Identity{
		Namespace: s.packetMachine.Namespace,
		Cluster:   s.clusterName,
		Machine:   s.packetMachine.Name,
	}
	if s.packetMachine.Spec.ProviderID != "" {
		var err error
		if id.DeviceID, err = packet.DeviceID(s.packetMachine.Spec.ProviderID); err != nil {
			return id, fmt.Errorf("spec.providerID %q: %w", s.packetMachine.Spec.ProviderID, err)
		}
	}
	return id, nil
}

// findOwners fills in the objects around the PacketMachine. It returns false if there is nothing to do without them.
func (r *Reconciler) findOwners(ctx context.Context, s *scope) (bool, error) {
	deleting := !s.packetMachine.DeletionTimestamp.IsZero()
	var err error
	if s.machine, err = util.GetOwnerMachine(ctx, r.Client, s.packetMachine.ObjectMeta); client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("reading the Machine: %w", err)
	}
	s.clusterName = s.packetMachine.Labels[clusterv1.ClusterNameLabel]
	if s.machine != nil {
		s.clusterName = s.machine.Spec.ClusterName
	}
	if s.clusterName == "" || (s.machine == nil && !deleting) {
		// Cluster API sets the owner and the label, and that is an event.
		return false, nil
	}
	cluster := &clusterv1.Cluster{}
	key := client.ObjectKey{Namespace: s.packetMachine.Namespace, Name: s.clusterName}
	switch err := r.Client.Get(ctx, key, cluster); {
	case apierrors.IsNotFound(err):
		return deleting, nil
	case err != nil:
		return false, fmt.Errorf("reading Cluster %s: %w", key, err)
	}
	s.cluster = cluster
	if cluster.Spec.InfrastructureRef.Kind != "PacketCluster" {
		return deleting, nil
	}
	packetCluster := &infrav1.PacketCluster{}
	key.Name = cluster.Spec.InfrastructureRef.Name
	switch err := r.Client.Get(ctx, key, packetCluster); {
	case apierrors.IsNotFound(err):
		return deleting, nil
	case err != nil:
		return false, fmt.Errorf("reading PacketCluster %s: %w", key, err)
	}
	s.packetCluster = packetCluster
	return true, nil
}

// findAccount fills in the account; done is true if there is none and the conditions say so.
func (r *Reconciler) findAccount(ctx context.Context, s *scope) (done bool, result ctrl.Result, err error) {
	s.account, err = r.Accounts.AccountOf(ctx, s.packetCluster)
	var missing *credentials.MissingError
	if errors.As(err, &missing) {
		set(s.packetMachine, infrav1.CredentialsAvailableCondition, false, infrav1.CredentialsMissingReason, missing.Error())
		return true, ctrl.Result{RequeueAfter: missingRetry}, nil
	}
	return err != nil, ctrl.Result{}, err
}
