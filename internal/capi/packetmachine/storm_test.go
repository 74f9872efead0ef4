package packetmachine_test

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"testing"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/internal/capi/capitest"
)

// oneInFive lets one call in five go wrong: before it is carried out, after it, or in the middle of its answer. The choice
// is the same every time.
func oneInFive(seed uint64) capitest.Fault {
	var mutex sync.Mutex
	random := rand.New(rand.NewPCG(seed, seed))
	return func(r *http.Request) capitest.Verdict {
		mutex.Lock()
		defer mutex.Unlock()
		if random.IntN(5) != 0 {
			return capitest.Verdict{}
		}
		switch random.IntN(5) {
		case 0:
			return capitest.Verdict{Status: http.StatusTooManyRequests, Body: `{"errors":["slow down"]}`}
		case 1:
			return capitest.Verdict{Status: http.StatusInternalServerError, Body: `{"errors":["Oh snap"]}`}
		case 2:
			return capitest.Verdict{Status: http.StatusBadGateway, Body: `<html>bad gateway</html>`}
		case 3:
			if r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/devices") {
				return capitest.Verdict{Status: http.StatusOK, Body: `{"devices":[{"id":"00000000-0000-4000-8000-00000000`}
			}
			return capitest.Verdict{Status: http.StatusServiceUnavailable, Body: `{"errors":["down"]}`}
		default:
			return capitest.Verdict{Lose: true}
		}
	}
}

// Whatever goes wrong on the way, each machine gets one device, and none is left in the end.
func TestAnAPIThatFailsOneCallInFive(t *testing.T) {
	w := newWorld(t)
	w.Run()
	cluster, _ := w.ReadyCluster(w.Namespace, "demo")
	var (
		mutex sync.Mutex
		made  int
		fault = oneInFive(1)
	)
	w.Network.Break(func(r *http.Request) capitest.Verdict {
		verdict := fault(r)
		if capitest.IsCreation(r) && verdict.Status == 0 {
			mutex.Lock()
			made++
			mutex.Unlock()
		}
		return verdict
	})
	const count = 40
	var machines []*infrav1.PacketMachine
	for n := range count {
		_, machine := w.Machine(cluster, capitest.MachineOptions{Name: fmt.Sprintf("demo-%d", n), ControlPlane: n < 3, UserData: capitest.UserData})
		machines = append(machines, machine)
	}
	for _, machine := range machines {
		becomesActive(t, w, machine)
	}
	if n := len(w.Devices()); n != count {
		t.Errorf("%d devices for %d machines", n, count)
	}
	for _, machine := range machines {
		if err := w.Client.Delete(t.Context(), machine); err != nil {
			t.Fatal(err)
		}
	}
	for _, machine := range machines {
		isGone(t, w, machine)
	}
	mutex.Lock()
	defer mutex.Unlock()
	if made != count {
		t.Errorf("%d devices were ever made for %d machines", made, count)
	}
	if n := len(w.Devices()); n != 0 {
		t.Errorf("%d devices are left", n)
	}
	t.Logf("%d machines: %d requests, %d of them to create a device", count, len(w.Network.Requests(http.MethodGet, ""))+
		len(w.Network.Requests(http.MethodPost, ""))+len(w.Network.Requests(http.MethodDelete, "")), len(w.Network.Requests(http.MethodPost, "/devices")))
}
