package manager

import (
	"context"
	"fmt"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/packetyard/packetyard/internal/capi/clustersecrets"
	"github.com/packetyard/packetyard/internal/capi/encryption"
)

// setupClusterSecrets adds what makes the Secrets of new clusters, and what tells whether they are stored encrypted.
func setupClusterSecrets(ctx context.Context, mgr ctrl.Manager, o Options) error {
	reconciler := &clustersecrets.Reconciler{
		Client:           mgr.GetClient(),
		Recorder:         mgr.GetEventRecorder("packetclustersecrets-controller"),
		WatchFilterValue: o.WatchFilterValue,
		TokenTTL:         o.BootstrapTokenTTL,
	}
	if o.EncryptionCheckInterval > 0 {
		watch, err := encryption.NewWatch(mgr.GetConfig(), o.EncryptionCheckInterval, metrics.Registry)
		if err != nil {
			return err
		}
		if err := mgr.Add(watch); err != nil {
			return fmt.Errorf("adding the watch for encryption at rest: %w", err)
		}
		reconciler.Encryption = watch
	}
	return named("clusters' Secrets", reconciler.SetupWithManager(ctx, mgr, controllerOptions(o)))
}
