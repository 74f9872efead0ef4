package worker

import (
	"slices"
	"strings"
	"testing"

	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
)

func TestWrongCredentialsHaveACode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testPool())
	w.reconcile()
	// The token was good and is no longer, and there is a machine whose network is asked for.
	w.updateSecret(func(data map[string][]byte) { data["apiToken"] = []byte("revoked") })
	pool := testPool()
	pool.Minimum = 2
	w.setPools(pool)
	last := w.operate("reconcile")
	if last.State != gardencorev1beta1.LastOperationStateSucceeded {
		t.Fatalf("there is no Infrastructure to report to, and yet: %s", last.Description)
	}
	w.infrastructure("other", "10.64.0.0/25")
	last = w.operate("reconcile")
	if last.State != gardencorev1beta1.LastOperationStateError || !slices.Contains(w.worker.Status.LastError.Codes, gardencorev1beta1.ErrorInfraUnauthenticated) {
		t.Errorf("last operation is %v, error is %v", last, w.worker.Status.LastError)
	}
	if strings.Contains(last.Description, "revoked") {
		t.Errorf("the token is in the status: %s", last.Description)
	}
}

// TestFailedMachinesHaveACode: what the driver was told of a machine reaches the owner of the Shoot.
func TestFailedMachinesHaveACode(t *testing.T) {
	t.Parallel()
	w := newWorld(t, testPool())
	w.mcm.failure = "creating device shoot--foobar--packet-pool-z1-1: createDevice: 503 Service Unavailable: The metro ny has no provisionable c3.small.x86 servers matching your criteria"
	last := w.operate("reconcile")
	if last.State != gardencorev1beta1.LastOperationStateError || !slices.Contains(w.worker.Status.LastError.Codes, gardencorev1beta1.ErrorInfraResourcesDepleted) {
		t.Errorf("last operation is %v, error is %v", last, w.worker.Status.LastError)
	}
}
