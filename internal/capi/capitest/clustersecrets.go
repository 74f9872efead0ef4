package capitest

import (
	"context"
	"fmt"
	"time"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller"

	"github.com/packetyard/packetyard/internal/capi/clustersecrets"
	"github.com/packetyard/packetyard/internal/capi/credentials"
)

// ClusterSecrets is a Setup for tests whose clusters need a certificate authority: it adds the controller that makes it.
func ClusterSecrets(ctx context.Context, mgr ctrl.Manager, _ *credentials.Resolver) error {
	reconciler := &clustersecrets.Reconciler{Client: mgr.GetClient(), Recorder: mgr.GetEventRecorder("packetclustersecrets"), TokenTTL: time.Hour}
	if err := reconciler.SetupWithManager(ctx, mgr, controller.Options{}); err != nil {
		return fmt.Errorf("adding the controller of clusters' Secrets: %w", err)
	}
	return nil
}
