package mcm_test

import (
	"fmt"
	"testing"

	"github.com/gardener/machine-controller-manager/pkg/util/provider/machinecodes/codes"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
)

// TestCodesOfCreateMachine is the table of what MCM is told, which decides when it tries again and whether the
// cluster-autoscaler turns to other pools.
func TestCodesOfCreateMachine(t *testing.T) {
	r := newRig(t, apiservertest.Options{})
	for n, test := range []struct {
		status int
		text   string
		code   codes.Code
		// waits tells that the device may exist nevertheless, so that none is asked for at once.
		waits bool
	}{
		{400, "The request body is no JSON", codes.InvalidArgument, false},
		{401, "Invalid authentication token", codes.Unauthenticated, false},
		{402, "Payment required", codes.ResourceExhausted, false},
		{403, "You are not authorized to view this project", codes.PermissionDenied, false},
		{404, "Not found", codes.FailedPrecondition, false},
		{408, "Request timed out", codes.DeadlineExceeded, true},
		{409, "Somebody else is changing it", codes.Aborted, false},
		{413, "The request is too large", codes.InvalidArgument, false},
		{422, `plan "x9" is not one of: c3.small.x86`, codes.InvalidArgument, false},
		{422, `plan "c3.small.x86" is over the project's quota: it has 2 of the 2 devices that max_devices allows`, codes.ResourceExhausted, false},
		{422, "You have exceeded the limit of devices", codes.ResourceExhausted, false},
		{422, "spot_price_max 0.1 is below the market price", codes.ResourceExhausted, false},
		{422, "The facility ny5 has no provisionable c3.small.x86 servers matching your criteria", codes.ResourceExhausted, false},
		{429, "Too many requests", codes.Unavailable, false},
		{500, "Oh snap, something went wrong!", codes.Unavailable, true},
		{502, "Bad gateway", codes.Unavailable, true},
		{503, "The metro ny has no provisionable c3.small.x86 servers matching your criteria", codes.ResourceExhausted, false},
		{503, "There are no available hardware reservations for selected plan and facility", codes.ResourceExhausted, false},
		{503, "Service unavailable", codes.Unavailable, true},
		{504, "Gateway timeout", codes.DeadlineExceeded, true},
	} {
		t.Run(fmt.Sprintf("%d %s", test.status, test.text), func(t *testing.T) {
			name := fmt.Sprintf("node-%d", n)
			r.wire.breaks(createDevice, -1, fault{status: test.status, body: fmt.Sprintf(`{"errors":[%q]}`, test.text)})
			_, err := r.create(r.class(nil), machine(name))
			r.wants(err, test.code, name, test.text)
			r.wire.mend()
			_, err = r.create(r.class(nil), machine(name))
			if test.waits {
				r.wants(err, codes.Unavailable, "lost")
			} else if err != nil {
				t.Errorf("asking again: %v", err)
			}
		})
	}
}
