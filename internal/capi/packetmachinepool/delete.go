package packetmachinepool

import (
	"context"
	"fmt"
	"strings"

	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/controller/controllerutil"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// delete deletes all machines of the pool and waits until they are gone, each with its device. The finalizer is dropped only
// after a live listing that has none.
func (r *Reconciler) delete(ctx context.Context, s *scope) (ctrl.Result, error) {
	if !controllerutil.ContainsFinalizer(s.pool, infrav1.MachinePoolFinalizer) {
		return ctrl.Result{}, nil
	}
	found, orphans, err := members(ctx, r.Reader, s)
	if err != nil {
		return ctrl.Result{}, err
	}
	if len(found) == 0 && len(orphans) == 0 {
		ctrl.LoggerFrom(ctx).Info("All machines of the pool are gone")
		controllerutil.RemoveFinalizer(s.pool, infrav1.MachinePoolFinalizer)
		return ctrl.Result{}, nil
	}
	var names []string
	for _, m := range found {
		names = append(names, m.packetMachine.Name)
		if err := r.remove(ctx, s, m, "The pool is being deleted"); err != nil {
			return ctrl.Result{}, err
		}
	}
	if err := r.deleteOrphans(ctx, s, orphans); err != nil {
		return ctrl.Result{}, err
	}
	const shown = 10
	if more := len(names) - shown; more > 0 {
		names = append(names[:shown], fmt.Sprintf("%d more", more))
	}
	count(s.pool, found, nil)
	set(s.pool, infrav1.MachinesReadyCondition, false, infrav1.MachinesDeletingReason, "waiting until the machines are gone: "+strings.Join(names, ", "))
	// Every machine that goes is an event.
	return ctrl.Result{}, nil
}
