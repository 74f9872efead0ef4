package capacity

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/credentials"
	"github.com/packetyard/packetyard/pkg/packet"
)

// unknown tells why it is not known what a machine will be like.
type unknown struct {
	reason, message string
	// nothing is true where there is nothing to know, and what was known before is wrong.
	nothing bool
	// result and err tell when to look again.
	result ctrl.Result
	err    error
}

// look finds out what a machine will be like, with the credentials of a cluster, which may be nil. The field is that of the
// plan, for messages.
func (r *Reconciler) look(
	ctx context.Context, cluster *infrav1.PacketCluster, spec infrav1.PacketMachineSpec, field string,
) (corev1.ResourceList, infrav1.PacketNodeInfo, *unknown) {
	var none infrav1.PacketNodeInfo
	account, err := r.Accounts.AccountOf(ctx, cluster)
	var missing *credentials.MissingError
	if errors.As(err, &missing) {
		return nil, none, &unknown{reason: infrav1.CredentialsMissingReason, message: missing.Error(), result: ctrl.Result{RequeueAfter: credentialsRetry}}
	}
	if err != nil {
		return nil, none, &unknown{reason: infrav1.APIErrorReason, message: fmt.Sprintf("the credentials cannot be read, trying again: %v", err), err: err}
	}
	plan, known, err := r.plans.find(ctx, account.Client, spec.MachineType)
	switch {
	case packet.IsUnauthorized(err), packet.IsForbidden(err):
		return nil, none, &unknown{reason: infrav1.CredentialsRejectedReason, message: account.Refused(err), result: ctrl.Result{RequeueAfter: credentialsRetry}}
	case err != nil:
		why := &unknown{reason: infrav1.APIErrorReason, message: fmt.Sprintf("the Packet API cannot be asked, trying again: %v", err), err: err}
		if after, ok := packet.RetryAfter(err); ok {
			why.result, why.err = ctrl.Result{RequeueAfter: min(max(after, firstRetry), lastRetry)}, nil
		}
		return nil, none, why
	case !known:
		return nil, none, &unknown{
			reason: infrav1.CapacityPlanNotFoundReason, nothing: true, result: ctrl.Result{RequeueAfter: PlansTTL},
			message: fmt.Sprintf("%s: the Packet API has no plan %q: make a new template with the slug of one that it has", field, spec.MachineType),
		}
	}
	resources, info, err := Resources(plan, spec)
	if err != nil {
		return nil, none, &unknown{
			reason: infrav1.CapacityPlanIncompleteReason, nothing: true, result: ctrl.Result{RequeueAfter: PlansTTL},
			message: fmt.Sprintf("%v: annotate the MachineDeployment with capacity.cluster-autoscaler.kubernetes.io/cpu and /memory instead", err),
		}
	}
	return resources, info, nil
}
