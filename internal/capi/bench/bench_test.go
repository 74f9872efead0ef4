package bench_test

import (
	"flag"
	"fmt"
	"net/http"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	ctrl "sigs.k8s.io/controller-runtime"

	clusterv1 "sigs.k8s.io/cluster-api/api/core/v1beta2"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/capi/capitest"
	"github.com/packetyard/packetyard/internal/capi/manager"
)

var env *capitest.Environment

func TestMain(m *testing.M) {
	flag.Parse()
	ctrl.SetLogger(logr.Discard())
	os.Exit(capitest.Run(m, capitest.DefinitionsOnly, func(e *capitest.Environment) (func(), error) {
		env = e
		return func() {}, nil
	}))
}

var (
	fleet       = flag.Int("machines", 1000, "number of machines")
	compression = flag.Int64("compression", 10, "how much faster than in production time goes in the steady state: every interval is divided by it")
)

// production are the intervals that the manager's flags default to.
func production() capitest.Intervals {
	defaults := manager.DefaultOptions()
	return capitest.Intervals{
		Poll: defaults.Packet.PollInterval, Resync: defaults.Packet.ResyncInterval, Listing: defaults.Packet.ListingTTL,
		Sync: defaults.SyncPeriod, Concurrency: defaults.Concurrency,
	}
}

// compressed are intervals of a time that goes faster.
func compressed(intervals capitest.Intervals) capitest.Intervals {
	for _, interval := range []*time.Duration{&intervals.Resync, &intervals.Endpoint, &intervals.Sync} {
		*interval /= time.Duration(*compression)
	}
	return intervals
}

// limits are those that the manager's flags default to.
func limits() capitest.Limits {
	defaults := manager.DefaultOptions()
	return capitest.Limits{
		KubernetesQPS: defaults.KubeAPIQPS, KubernetesBurst: defaults.KubeAPIBurst,
		PacketQPS: defaults.Packet.QPS, PacketBurst: defaults.Packet.Burst,
	}
}

func newWorld(b *testing.B) *capitest.World {
	b.Helper()
	w := capitest.NewWorld(b, env, apiservertest.Options{Profile: lifecycle.Instant})
	w.Intervals = production()
	return w
}

// machines makes the objects of so many workers, with bootstrap data.
func machines(b *testing.B, w *capitest.World, cluster *clusterv1.Cluster, count int) {
	b.Helper()
	const writers = 20
	var wait sync.WaitGroup
	for writer := range writers {
		wait.Go(func() {
			for n := writer; n < count; n += writers {
				w.Machine(cluster, capitest.MachineOptions{Name: fmt.Sprintf("%s-%04d", cluster.Name, n), UserData: capitest.UserData})
			}
		})
	}
	wait.Wait()
}

// calls are what a World's controllers asked of the two APIs since it was made.
type calls struct {
	// packet are all calls to the Packet API, of which creations ask for devices, and listings are pages of the project's
	// devices, and events pages of what happened in it.
	packet, creations, listings, events int
	reads, writes                       int64
}

func count(w *capitest.World) calls {
	var c calls
	for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete} {
		c.packet += len(w.Network.Requests(method, ""))
	}
	c.creations = len(w.Network.Requests(http.MethodPost, "/devices"))
	c.listings = len(w.Network.Requests(http.MethodGet, "/devices"))
	c.events = len(w.Network.Requests(http.MethodGet, "/events"))
	c.reads, c.writes = w.KubernetesCalls()
	return c
}

func (c calls) since(before calls) calls {
	return calls{
		packet: c.packet - before.packet, creations: c.creations - before.creations,
		listings: c.listings - before.listings, events: c.events - before.events,
		reads: c.reads - before.reads, writes: c.writes - before.writes,
	}
}
