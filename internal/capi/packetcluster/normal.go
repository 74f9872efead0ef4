package packetcluster

import (
	"context"
	"fmt"

	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"

	"sigs.k8s.io/cluster-api/util/finalizers"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

func (r *Reconciler) normal(ctx context.Context, s *scope) (ctrl.Result, error) {
	if done, result, err := r.findAccount(ctx, s); done {
		return result, err
	}
	// The finalizer guards the elastic IP, so it comes just before the first call that can reserve one.
	if added, err := finalizers.EnsureFinalizer(ctx, r.Client, s.packetCluster, infrav1.ClusterFinalizer); err != nil {
		return ctrl.Result{}, fmt.Errorf("adding the finalizer: %w", err)
	} else if added {
		if s.writer, err = r.versions.New(s.packetCluster); err != nil {
			return ctrl.Result{}, err
		}
	}
	if err := r.ensureCloudConfig(ctx, s); err != nil {
		return ctrl.Result{}, err
	}
	s.packetCluster.Status.FailureDomains = failureDomains(s.packetCluster.Spec)
	ready, result, err := r.ensureEndpoint(ctx, s)
	if err != nil || !ready {
		return result, err
	}
	if s.packetCluster.Spec.VIPManager == infrav1.VIPManagerKubeVIP {
		if ready, result, err = r.ensureBGP(ctx, s); err != nil || !ready {
			return result, err
		}
	}
	s.packetCluster.Status.Initialization.Provisioned = ptr.To(true)
	return result, nil
}
