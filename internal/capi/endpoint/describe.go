package endpoint

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/event"
	"sigs.k8s.io/controller-runtime/pkg/predicate"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"
	"sigs.k8s.io/cluster-api/util"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/credentials"
	"github.com/packetyard/packetyard/pkg/packet"
)

// moving passes what matters of control plane machines: that they come, that they get a device, and that they go.
func moving() predicate.Predicate {
	provider := func(object client.Object) string {
		switch machine := object.(type) {
		case *infrav1.PacketMachine:
			return machine.Spec.ProviderID + machine.Status.InstanceStatus
		case *clusterv1.Machine:
			return machine.Spec.ProviderID
		}
		return ""
	}
	return predicate.And(
		predicate.NewPredicateFuncs(func(object client.Object) bool {
			_, ok := object.GetLabels()[clusterv1.MachineControlPlaneLabel]
			return ok
		}),
		predicate.Funcs{UpdateFunc: func(e event.UpdateEvent) bool {
			return e.ObjectOld.GetDeletionTimestamp().IsZero() != e.ObjectNew.GetDeletionTimestamp().IsZero() || provider(e.ObjectOld) != provider(e.ObjectNew)
		}})
}

// describe gathers what is known of a cluster, but for its devices.
func (r *Reconciler) describe(ctx context.Context, key types.NamespacedName, owner *clusterv1.Cluster, packetCluster *infrav1.PacketCluster) (cluster, error) {
	elasticIP := packetCluster.Status.ElasticIP
	c := cluster{
		address:     Address{ReservationID: elasticIP.ReservationID, IP: elasticIP.Address},
		initialized: owner.Status.Initialization.ControlPlaneInitialized != nil && *owner.Status.Initialization.ControlPlaneInitialized,
		failures:    r.failuresOf(key),
	}
	if packetCluster.Spec.ElasticIP.Type != infrav1.ElasticIPGlobalIPv4 {
		c.metro = packetCluster.Spec.Metro
	}
	authority, err := r.authorities.of(ctx, key, owner)
	if err != nil {
		return cluster{}, err
	}
	if authority != nil {
		endpoint := packetCluster.Spec.ControlPlaneEndpoint
		c.server = &server{name: endpoint.Host, port: endpoint.Port, authority: authority}
	}
	return c, nil
}

// members are the devices of the control plane, from a listing that began after a moment.
func (r *Reconciler) members(ctx context.Context, owner *clusterv1.Cluster, account *credentials.Account, moment time.Time) ([]member, error) {
	listed, err := account.Devices.OfClusterSince(ctx, owner.Namespace, owner.Name, moment)
	if err != nil {
		return nil, fmt.Errorf("listing the devices of the cluster: %w", err)
	}
	machines := &infrav1.PacketMachineList{}
	if err := r.Client.List(ctx, machines, client.InNamespace(owner.Namespace),
		client.MatchingLabels{clusterv1.ClusterNameLabel: owner.Name}, client.HasLabels{clusterv1.MachineControlPlaneLabel}); err != nil {
		return nil, fmt.Errorf("listing the control plane's PacketMachines: %w", err)
	}
	var members []member
	for _, device := range listed {
		if !packet.HasTags(device.Tags, packet.TagRoleMaster) {
			continue
		}
		at := slices.IndexFunc(machines.Items, func(m infrav1.PacketMachine) bool { return isOf(&m, device) })
		if at < 0 {
			members = append(members, member{device: device, leaving: true})
			continue
		}
		leaving, err := r.leaving(ctx, &machines.Items[at])
		if err != nil {
			return nil, err
		}
		members = append(members, member{device: device, leaving: leaving})
	}
	return members, nil
}

// isOf tells whether a device is a machine's.
func isOf(machine *infrav1.PacketMachine, device *packet.Device) bool {
	if machine.Spec.ProviderID == "" {
		// It is about to be recorded.
		return packet.HasTags(device.Tags, packet.MachineTag(machine.Name))
	}
	id, err := packet.DeviceID(machine.Spec.ProviderID)
	return err == nil && strings.EqualFold(id, device.ID)
}

// leaving tells whether a machine is being deleted: its Machine goes first, and takes its time.
func (r *Reconciler) leaving(ctx context.Context, machine *infrav1.PacketMachine) (bool, error) {
	if !machine.DeletionTimestamp.IsZero() {
		return true, nil
	}
	owner, err := util.GetOwnerMachine(ctx, r.Client, machine.ObjectMeta)
	if client.IgnoreNotFound(err) != nil {
		return false, fmt.Errorf("reading the Machine of PacketMachine %s: %w", machine.Name, err)
	}
	return owner != nil && !owner.DeletionTimestamp.IsZero(), nil
}

// failed reports an error of the Packet API. Nothing is known then, so nothing is moved.
func (r *Reconciler) failed(ctx context.Context, key types.NamespacedName, err error) (ctrl.Result, error) {
	if packet.IsUnauthorized(err) {
		// The PacketCluster's own controller says so.
		return ctrl.Result{RequeueAfter: 3 * r.Interval}, nil
	}
	if after, ok := packet.RetryAfter(err); ok {
		ctrl.LoggerFrom(ctx).Info("The Packet API asks to wait", "after", after.String(), "cluster", key.String())
		return ctrl.Result{RequeueAfter: max(after, time.Second)}, nil
	}
	return ctrl.Result{}, err
}

func (r *Reconciler) failuresOf(key types.NamespacedName) int {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	return r.failures[key]
}

func (r *Reconciler) setFailures(key types.NamespacedName, count int) {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if count == 0 {
		delete(r.failures, key)
		return
	}
	r.failures[key] = count
}
