package packetcluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"sigs.k8s.io/cluster-api/util/conditions"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/pkg/packet"
)

func set(cluster *infrav1.PacketCluster, kind string, ok bool, reason, message string) {
	status := metav1.ConditionFalse
	if ok {
		status = metav1.ConditionTrue
	}
	conditions.Set(cluster, metav1.Condition{Type: kind, Status: status, Reason: reason, Message: message})
}

// summarize sets Ready from the other conditions: it is the first of them that is a problem, with its own reason and
// message, since Cluster API shows this one condition to the user of a Cluster.
func summarize(cluster *infrav1.PacketCluster) {
	for _, kind := range []string{infrav1.CredentialsAvailableCondition, infrav1.ElasticIPReadyCondition, infrav1.BGPReadyCondition} {
		if condition := conditions.Get(cluster, kind); condition != nil && condition.Status == metav1.ConditionFalse {
			set(cluster, infrav1.ReadyCondition, false, condition.Reason, condition.Message)
			return
		}
	}
	if condition := conditions.Get(cluster, infrav1.ElasticIPReadyCondition); condition != nil {
		set(cluster, infrav1.ReadyCondition, true, condition.Reason, "")
	}
}

// apiFailure reports an error of the Packet API and decides when to try again. Only a refusal is a fact; a failed try
// leaves what is known as it is.
func (r *Reconciler) apiFailure(ctx context.Context, s *scope, reason string, err error) (ctrl.Result, error) {
	return r.apiFailureOf(ctx, s, infrav1.ElasticIPReadyCondition, reason, err)
}

// apiFailureOf is apiFailure for another condition than that of the elastic IP.
func (r *Reconciler) apiFailureOf(ctx context.Context, s *scope, kind, reason string, err error) (ctrl.Result, error) {
	log := ctrl.LoggerFrom(ctx)
	var answer *packet.Error
	switch {
	case packet.IsUnauthorized(err), packet.IsForbidden(err):
		set(s.packetCluster, infrav1.CredentialsAvailableCondition, false, infrav1.CredentialsRejectedReason, s.account.Refused(err))
		log.Error(err, "The Packet API refuses the token")
		return ctrl.Result{RequeueAfter: refusedRetry}, nil

	case !packet.IsTransient(err) && ctx.Err() == nil && errors.As(err, &answer):
		set(s.packetCluster, kind, false, reason, err.Error())
		r.Recorder.Eventf(s.packetCluster, nil, "Warning", reason, "Reconcile", "%.900s", err.Error())
		log.Error(err, "The Packet API refuses the request")
		return ctrl.Result{RequeueAfter: refusedRetry}, nil

	default:
		if s.packetCluster.Status.Initialization.Provisioned == nil {
			set(s.packetCluster, kind, false, reason,
				fmt.Sprintf("the Packet API cannot be asked, trying again: %v", err))
		}
		if after, ok := packet.RetryAfter(err); ok {
			log.Info("The Packet API asks to wait", "after", after.String(), "error", err.Error())
			return ctrl.Result{RequeueAfter: min(max(after, time.Second), lastRetry)}, nil
		}
		return ctrl.Result{}, err
	}
}
