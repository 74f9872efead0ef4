package loadbalancers

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/packetyard/packetyard/pkg/packet"
)

// mortal is between a process and all that it speaks to. The process dies at
// one of its requests, which is carried out, but whose answer is lost. That is
// the same as to die before the next one.
type mortal struct {
	mu sync.Mutex
	// requests is how many it still has; negative means that it does not die.
	requests int
	dead     bool
}

// live makes it live for a number of requests from now on.
func (m *mortal) live(requests int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.requests, m.dead = requests, false
}

var errDead = errors.New("the process is dead")

func (m *mortal) wrap(next http.RoundTripper) http.RoundTripper {
	return roundTripper(func(r *http.Request) (*http.Response, error) {
		m.mu.Lock()
		last := m.requests == 0
		m.requests--
		dead := m.dead
		m.dead = m.dead || last
		m.mu.Unlock()
		switch {
		case dead:
			return nil, errDead
		case last:
			answer, err := next.RoundTrip(r)
			if err == nil {
				_ = answer.Body.Close()
			}
			return nil, errDead
		}
		return next.RoundTrip(r)
	})
}

// A process may die between any two calls. Nothing is leaked, duplicated or
// forgotten: whoever starts after it ends where it would have.
func TestDeathBetweenAnyTwoCalls(t *testing.T) {
	shared := annotated(AnnotationSharingKey, "front")
	for name, scenario := range map[string]struct {
		// prepare is done by a process that lives, change by the user.
		with    []with
		prepare bool
		change  func(w *world, name string)
		// addresses is how many the Service has in the end.
		addresses int
		// metalLB tells that there is MetalLB to be configured, too.
		metalLB bool
	}{
		"new Service":                         {addresses: 1, metalLB: true},
		"new Service of a shared address":     {with: []with{shared}, addresses: 1},
		"new Service of a user's reservation": {with: []with{annotated(AnnotationReservationTag, "users")}, addresses: 1},
		"another metro": {prepare: true, addresses: 1, metalLB: true, change: func(w *world, name string) {
			w.change(name, annotated(AnnotationEIPMetro, "sv"))
		}},
		"another source": {prepare: true, addresses: 1, change: func(w *world, name string) {
			w.change(name, annotated(AnnotationReservationTag, "users"))
		}},
		"another type of Service": {prepare: true, metalLB: true, change: func(w *world, name string) {
			w.change(name, func(s *corev1.Service) { s.Spec.Type = corev1.ServiceTypeNodePort })
		}},
		"deleted Service":                     {prepare: true, metalLB: true, change: func(w *world, name string) { w.deleteService(name) }},
		"deleted Service of a shared address": {prepare: true, with: []with{shared}, change: func(w *world, name string) { w.deleteService(name) }},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			w := newWorld(t)
			if scenario.metalLB {
				w = newMetalLBWorld(t, FormatResources, 1)
			}
			users := w.reserveByHand(packet.IPReservationCreate{Tags: []string{"users"}})
			life := &mortal{requests: -1}
			w.wrap = life.wrap
			deaths := 0
			for requests := 0; ; requests++ {
				life.live(-1)
				w.restart()
				service := fmt.Sprintf("web-%d", requests)
				w.service(service, scenario.with...)
				if scenario.prepare {
					w.address(service)
				}
				if scenario.change != nil {
					scenario.change(w, service)
				}
				w.restart()
				life.live(requests)
				if err := w.sync(service); err != nil && !life.dead {
					t.Fatalf("it failed without dying at request %d: %v", requests, err)
				}
				died := life.dead
				life.live(-1)
				w.restart()
				w.finishedAfterDeath(service, users.Address, scenario.addresses, fmt.Sprintf("death at request %d", requests))
				if !died {
					break
				}
				deaths++
			}
			t.Logf("%d deaths", deaths)
			if deaths < 3 {
				t.Errorf("only %d deaths: the scenario is no scenario", deaths)
			}
		})
	}
}

// finishedAfterDeath lets a new process finish what a dead one began, and
// checks that there is what should be, and nothing else.
func (w *world) finishedAfterDeath(name, users string, addresses int, when string) {
	w.t.Helper()
	var live *corev1.Service
	if services, err := w.kube.CoreV1().Services(w.namespace).List(w.t.Context(), metav1.ListOptions{}); err != nil {
		w.t.Fatal(err)
	} else if len(services.Items) > 0 {
		for range 2 {
			if err := w.syncIfThere(name); err != nil {
				w.t.Fatalf("%s: %v", when, err)
			}
		}
		if services, err = w.kube.CoreV1().Services(w.namespace).List(w.t.Context(), metav1.ListOptions{}); err == nil && len(services.Items) > 0 {
			live = &services.Items[0]
		}
	}
	var has []string
	if live != nil && shown(live) != "" {
		has = strings.Split(shown(live), ",")
	}
	if len(has) != addresses {
		w.t.Errorf("%s: the Service has %v", when, has)
	}
	reserved := slices.DeleteFunc(w.elasticAddresses(), func(a string) bool { return a == users })
	wanted := slices.DeleteFunc(slices.Clone(has), func(a string) bool { return a == users })
	if !slices.Equal(reserved, wanted) {
		w.t.Errorf("%s: reserved are %v, the Service has %v", when, reserved, has)
	}
	var pools []string
	for _, address := range has {
		pools = append(pools, "["+address+"/32]")
	}
	if pooled := w.pooled(); w.announcer != nil && !slices.Equal(pooled, pools) {
		w.t.Errorf("%s: pools are %v, the Service has %v", when, pooled, has)
	}
	if live != nil && addresses == 0 && (live.Spec.LoadBalancerIP != "" || live.Annotations[AnnotationAddresses] != "") {
		w.t.Errorf("%s: the Service still says %q", when, live.Spec.LoadBalancerIP)
	}
	if live != nil {
		w.deleteService(name)
		if err := w.syncIfThere(name); err != nil {
			w.t.Fatal(err)
		}
	}
}
