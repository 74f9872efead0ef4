package mcm_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"testing"

	"github.com/gardener/machine-controller-manager/pkg/apis/machine/v1alpha1"
	"github.com/gardener/machine-controller-manager/pkg/util/provider/machinecodes/codes"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/mcm"
)

// mcmWorkers is how many machines MCM works on at once.
const mcmWorkers = 50

// each works on machines as MCM does.
func each(machines int, work func(n int)) {
	var group sync.WaitGroup
	queue := make(chan int)
	for range mcmWorkers {
		group.Go(func() {
			for n := range queue {
				work(n)
			}
		})
	}
	for n := range machines {
		queue <- n
	}
	close(queue)
	group.Wait()
}

// creation is MCM's flow for one Machine (triggerCreationFlow of its machine controller), without its waits: status, creation,
// initialization, status. It returns the provider ID.
func (r *rig) creation(class *v1alpha1.MachineClass, name string) (string, error) {
	m := machine(name)
	for {
		status, err := r.status(class, m)
		switch code := codeOf(err); {
		case err == nil && m.Spec.ProviderID != "":
			return status.ProviderID, nil
		case err == nil:
			m.Spec.ProviderID = status.ProviderID
			continue
		case code == codes.NotFound:
		case code == codes.Unavailable || code == codes.DeadlineExceeded || code == codes.Aborted:
			r.clock.advance(mcm.DefaultSettleTime / mcmWorkers)
			continue
		default:
			return "", err
		}
		response, err := r.create(class, m)
		switch code := codeOf(err); {
		case err == nil:
			m.Spec.ProviderID = response.ProviderID
		case code == codes.Unavailable || code == codes.DeadlineExceeded || code == codes.Aborted:
			r.clock.advance(mcm.DefaultSettleTime / mcmWorkers)
			continue
		default:
			return "", err
		}
		if _, err := r.initialize(class, m); err != nil {
			return "", err
		}
	}
}

// Each machine takes one request that makes a device, also where one answer in twenty is lost, and what else is asked grows
// with the pages of the listing.
func TestFiveHundredMachinesCostOneCreateEach(t *testing.T) {
	for name, test := range map[string]struct{ answers, requests float64 }{
		"all answers arrive":            {0, 0},
		"one answer in twenty is lost":  {0.05, 0},
		"one request in a hundred, too": {0.05, 0.01},
	} {
		t.Run(name, func(t *testing.T) {
			const machines = 500
			r := newRig(t, apiservertest.Options{})
			chance := rand.New(rand.NewPCG(1, 2))
			r.wire.fault = func(request *http.Request) *fault {
				luck := chance.Float64()
				switch {
				case kindOf(request) != createDevice || luck >= test.answers+test.requests:
					return nil
				case luck < test.requests:
					return &fault{drop: true}
				}
				return &fault{lose: true}
			}
			class := r.class(nil)
			var mutex sync.Mutex
			found := map[string]bool{}
			each(machines, func(n int) {
				providerID, err := r.creation(class, fmt.Sprintf("node-%d", n))
				if err != nil {
					t.Errorf("machine %d: %v", n, err)
				}
				mutex.Lock()
				defer mutex.Unlock()
				found[providerID] = true
			})
			if devices := len(r.devices()); devices != machines || len(found) != machines {
				t.Errorf("there are %d devices and %d provider IDs, want %d", devices, len(found), machines)
			}
			creates := r.wire.count(createDevice)
			if most := machines + machines/20; creates > most {
				t.Errorf("%d devices were asked for, want at most %d", creates, most)
			}
			t.Logf("%d machines: %d creates, %d listings, %d reads of one device", machines, creates, r.wire.count(listDevices), r.wire.count(readDevice))

			// The safety sweep asks for every class in turn.
			before := r.wire.count("")
			for range 10 {
				if listed := r.list(class); len(listed) != machines {
					t.Fatalf("listed are %d machines", len(listed))
				}
			}
			if asked := r.wire.count("") - before; asked > 1 {
				t.Errorf("ten classes took %d listings, want one", asked)
			}
		})
	}
}

// BenchmarkFiveHundredMachines prints what MCM's machines cost the Packet API.
func BenchmarkFiveHundredMachines(b *testing.B) {
	const machines = 500
	for b.Loop() {
		r := newRig(b, apiservertest.Options{})
		class := r.class(nil)
		ids := make([]string, machines)
		each(machines, func(n int) {
			var err error
			if ids[n], err = r.creation(class, fmt.Sprintf("node-%d", n)); err != nil {
				b.Errorf("machine %d: %v", n, err)
			}
		})
		b.ReportMetric(float64(r.wire.count(createDevice))/machines, "creates/machine")
		b.ReportMetric(float64(r.wire.count(""))/machines, "calls/creation")
		before := r.wire.count("")
		for range 10 {
			r.list(class)
		}
		b.ReportMetric(float64(r.wire.count("")-before), "calls/sweep-of-10-classes")
		before = r.wire.count("")
		each(machines, func(n int) { r.deleteLikeMCM(class, of(fmt.Sprintf("node-%d", n), ids[n])) })
		b.ReportMetric(float64(r.wire.count("")-before)/machines, "calls/deletion")
	}
}
