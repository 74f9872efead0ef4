package loadbalancers

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/cloud-provider/api"

	"github.com/packetyard/packetyard/pkg/packet"
)

// One request in five fails: 429, 500, a broken connection, silence, half a
// page; some of them carried out nevertheless. Processes die in between, too.
// Everything converges, and nothing is duplicated or leaked.
func TestOneCallInFiveFails(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint("seed_", seed), func(t *testing.T) {
			w := newWorld(t, func(c *Config) { c.Setting.Implementation = KubeVIP })
			w.timeout = 200 * time.Millisecond
			users := w.reserveByHand(packet.IPReservationCreate{Quantity: 8, Tags: []string{"users"}})
			w.restart()
			kinds := [][]with{nil, {annotated(AnnotationEIPMetro, "sv")}, {annotated(AnnotationReservationTag, "users")}, {annotated(AnnotationSharingKey, "front")}}
			var names []string
			for i := range 16 {
				names = append(names, fmt.Sprintf("web-%d", i))
				w.service(names[i], append(slices.Clone(kinds[i%len(kinds)]), withPort(int32(1000+i)))...)
			}
			w.network.breakBy(oneInFive(seed))
			chance := rand.New(rand.NewPCG(seed, 0))
			// converge syncs Services in any order until all succeeded, as the
			// service controller would, and restarts now and then.
			converge := func(names []string) {
				t.Helper()
				failures := 0
				for left := slices.Clone(names); len(left) > 0; {
					i := chance.IntN(len(left))
					if err := w.syncIfThere(left[i]); err == nil {
						left = slices.Delete(left, i, i+1)
					} else if failures++; failures > 500 {
						t.Fatalf("it does not converge: %v", err)
					}
					if chance.IntN(6) == 0 {
						w.restart()
					}
				}
			}
			check := func(when string, names []string) {
				t.Helper()
				// The shared address and those of Services that have one of their own.
				wanted := map[string]bool{}
				for _, name := range names {
					address := shown(w.live(name))
					if address == "" {
						t.Errorf("%s: Service %s has no address", when, name)
					}
					prefix, _ := block(users)
					if !prefix.Contains(parseAddresses(address)[0]) {
						wanted[address] = true
					}
				}
				reserved := slices.DeleteFunc(w.elasticAddresses(), func(a string) bool { return a == users.Address })
				if !slices.Equal(reserved, keys(wanted)) {
					t.Errorf("%s: reserved are %v, the Services have %v", when, reserved, keys(wanted))
				}
			}
			converge(names)
			converge(names)
			check("at first", names)
			for i, name := range names[:8] {
				w.change(name, func(s *corev1.Service) {
					switch i % 4 {
					case 0:
						annotated(AnnotationEIPMetro, "ny")(s)
					case 1:
						delete(s.Annotations, AnnotationEIPMetro)
						annotated(AnnotationReservationTag, "users")(s)
					case 2:
						delete(s.Annotations, AnnotationReservationTag)
					case 3:
						delete(s.Annotations, AnnotationSharingKey)
					}
				})
			}
			converge(names)
			check("changed", names)
			for _, name := range names[4:12] {
				w.deleteService(name)
			}
			converge(names)
			check("with half of them gone", slices.Concat(names[:4], names[12:]))
			for _, name := range slices.Concat(names[:4], names[12:]) {
				w.deleteService(name)
			}
			converge(names)
			check("with all of them gone", nil)
			for w.sweep(t.Context()) != nil {
			}
			if left := w.elastic(); len(left) != 1 {
				t.Errorf("left are %v", left)
			}
			t.Logf("%d requests: %v", w.network.count(""), w.network.counts)
		})
	}
}

// The API says how long to wait, and that is how long it is waited for.
func TestRetryAfterIsHonoured(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.API = busy{c.API} })
	w.service("web")
	var later *api.RetryError
	if err := w.sync("web"); !errors.As(err, &later) || later.RetryAfter() != 42*time.Second {
		t.Errorf("got %v", err)
	}
}

type busy struct{ API }

func (busy) CreateIPReservation(context.Context, string, packet.IPReservationCreate, ...packet.QueryOption) (*packet.IPReservation, error) {
	return nil, &packet.Error{StatusCode: http.StatusTooManyRequests, Messages: []string{"Too many requests"}, RetryAfter: 42 * time.Second}
}

// An address that is not granted yet is looked at again at a fixed delay,
// rather than ever more seldom, and no other is reserved meanwhile.
func TestAPendingAddressIsWaitedForAtAFixedDelay(t *testing.T) {
	state := packet.IPStatePending
	w := newWorld(t, func(c *Config) { c.API = inState{c.API, &state} })
	w.service("web")
	for range 3 {
		var later *api.RetryError
		if err := w.sync("web"); !errors.As(err, &later) || later.RetryAfter() != pendingRetry || !strings.Contains(err.Error(), "approval") {
			t.Fatalf("got %v", err)
		}
	}
	if n := len(w.elastic()); n != 1 || w.reasons()[ReasonPending] != 3 {
		t.Errorf("%d addresses are reserved", n)
	}
	state = packet.IPStateCreated
	w.config.Reservations.Forget()
	if w.address("web") == "" {
		t.Error("the granted address is not used")
	}
}

// So is one of the user's.
func TestAPendingReservationOfTheUsers(t *testing.T) {
	w := newWorld(t)
	w.reserveByHand(packet.IPReservationCreate{Quantity: 256})
	pending := w.reserveByHand(packet.IPReservationCreate{Tags: []string{"users"}})
	if pending.State != packet.IPStatePending {
		t.Fatalf("a reservation over the quota is %s", pending.State)
	}
	w.service("web", annotated(AnnotationReservationTag, "users"))
	var later *api.RetryError
	if err := w.sync("web"); !errors.As(err, &later) || later.RetryAfter() != pendingRetry {
		t.Errorf("got %v", err)
	}
	// One that nobody would approve is an error at once, and reserves nothing.
	w.service("own", withPort(81))
	if err := w.sync("own"); err == nil || len(w.elastic()) != 2 {
		t.Errorf("over the quota: %v, reserved are %v", err, w.elasticAddresses())
	}
}

// inState gives reservations a state that only a person at Packet could.
type inState struct {
	API
	state *string
}

func (s inState) IPReservations(ctx context.Context, project string, options ...packet.QueryOption) ([]packet.IPReservation, error) {
	all, err := s.API.IPReservations(ctx, project, options...)
	for i := range all {
		all[i].State = *s.state
	}
	return all, err
}

func (s inState) CreateIPReservation(ctx context.Context, project string, create packet.IPReservationCreate, options ...packet.QueryOption) (*packet.IPReservation, error) {
	made, err := s.API.CreateIPReservation(ctx, project, create, options...)
	if err == nil {
		made.State = *s.state
	}
	return made, err
}
