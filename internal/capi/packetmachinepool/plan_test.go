package packetmachinepool

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// machine makes traits of a short description: letters are d(eleting), b(roken), o(utdated), r(eady), c(hosen).
func machine(name, letters string, age int) traits {
	has := func(letter string) bool { return strings.Contains(letters, letter) }
	return traits{
		name: name, created: epoch.Add(-time.Duration(age) * time.Hour),
		deleting: has("d"), broken: has("b"), outdated: has("o"), ready: has("r"), chosen: has("c"),
	}
}

func namesOf(machines []traits) string {
	var found []string
	for _, m := range machines {
		found = append(found, m.name)
	}
	return strings.Join(found, " ")
}

func TestPlan(t *testing.T) {
	for _, c := range []struct {
		name     string
		goal     goal
		machines []traits
		create   int
		remove   string
	}{
		{"from nothing", goal{replicas: 3}, nil, 3, ""},
		{"nothing to do", goal{replicas: 1}, []traits{machine("a", "r", 1)}, 0, ""},
		{"what is being deleted is replaced at once", goal{replicas: 1}, []traits{machine("a", "dr", 1)}, 1, ""},
		{"a broken one is replaced", goal{replicas: 2}, []traits{machine("a", "br", 2), machine("b", "r", 1)}, 1, "a"},
		{"youngest first", goal{replicas: 1}, []traits{machine("a", "r", 3), machine("b", "r", 1), machine("c", "r", 2)}, 0, "b c"},
		{"unready before young", goal{replicas: 2}, []traits{machine("a", "", 3), machine("b", "r", 1), machine("c", "r", 2)}, 0, "a"},
		{"chosen before unready", goal{replicas: 2}, []traits{machine("a", "", 3), machine("b", "r", 1), machine("c", "rc", 9)}, 0, "c"},
		{"to nothing", goal{}, []traits{machine("a", "r", 3), machine("b", "", 1)}, 0, "b a"},
		{"somebody else counts", goal{replicas: 5, external: true}, []traits{machine("a", "r", 3), machine("b", "bor", 1)}, 0, "b"},

		{"oldest first", goal{replicas: 1, policy: infrav1.PoolDeleteOldest}, []traits{machine("a", "r", 3), machine("b", "r", 1), machine("c", "r", 2)}, 0, "a c"},
		{"any first", goal{replicas: 1, policy: infrav1.PoolDeleteRandom}, []traits{machine("x", "r", 3), machine("k", "r", 1), machine("m", "r", 2)}, 0, "k m"},
		{"a change that waits for deletions", goal{replicas: 2, surge: 1, onDelete: true}, []traits{machine("a", "or", 2), machine("b", "dor", 1)}, 1, ""},

		{"a change begins with one more", goal{replicas: 2, surge: 1}, []traits{machine("a", "or", 2), machine("b", "or", 1)}, 1, ""},
		{"it waits for the new one", goal{replicas: 2, surge: 1}, []traits{machine("a", "or", 2), machine("b", "or", 1), machine("c", "", 0)}, 0, ""},
		{"then an old one goes", goal{replicas: 2, surge: 1}, []traits{machine("a", "or", 2), machine("b", "or", 1), machine("c", "r", 0)}, 0, "b"},
		{"while it goes there is no room", goal{replicas: 2, surge: 1}, []traits{machine("a", "or", 2), machine("b", "dor", 1), machine("c", "r", 0)}, 0, ""},
		{"an unready old one goes first", goal{replicas: 2, surge: 1}, []traits{machine("a", "o", 2), machine("b", "or", 1), machine("c", "r", 0)}, 0, "a"},
		{"a bad change that was taken back", goal{replicas: 2, surge: 1}, []traits{machine("a", "r", 2), machine("b", "r", 1), machine("c", "o", 0)}, 0, "c"},
		{"without surge one goes first", goal{replicas: 2, unavailable: 1}, []traits{machine("a", "or", 2), machine("b", "or", 1)}, 0, "b"},
		{"and is replaced when it is gone", goal{replicas: 2, unavailable: 1}, []traits{machine("a", "or", 2)}, 1, ""},
		{"a chosen new one waits for the old ones", goal{replicas: 1, surge: 1}, []traits{machine("a", "or", 2), machine("b", "rc", 1)}, 0, "a"},
		{"a change and fewer machines", goal{replicas: 1, surge: 1}, []traits{machine("a", "or", 3), machine("b", "or", 2), machine("c", "or", 1)}, 0, "c b"},
	} {
		t.Run(c.name, func(t *testing.T) {
			create, remove := plan(c.goal, c.machines)
			if create != c.create || namesOf(remove) != c.remove {
				t.Errorf("plan is to make %d and delete %q, want %d and %q", create, namesOf(remove), c.create, c.remove)
			}
		})
	}
}

// TestPlanReachesItsGoal follows plans in random worlds, where machines become ready, break, and take their time to go. It
// checks that the limits hold at every step and that the goal is reached once nothing breaks any more.
func TestPlanReachesItsGoal(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 1)) //nolint:gosec // Repeatable on purpose.
		g := goal{replicas: random.IntN(6), surge: random.IntN(3), unavailable: random.IntN(3)}
		if g.surge == 0 && g.unavailable == 0 {
			g.surge = 1
		}
		var world []traits
		for n := range random.IntN(8) {
			world = append(world, traits{name: fmt.Sprint("old-", n), outdated: random.IntN(2) == 0, ready: random.IntN(2) == 0, created: epoch.Add(time.Duration(n))})
		}
		began := len(world)
		reached := false
		for step := range 500 {
			readyBefore := countReady(world)
			create, remove := plan(g, world)
			removedReady := 0
			for _, gone := range remove {
				n := slices.IndexFunc(world, func(m traits) bool { return m.name == gone.name })
				world[n].deleting = true
				if gone.ready && !gone.broken {
					removedReady++
				}
			}
			for n := range create {
				world = append(world, traits{name: fmt.Sprintf("new-%d-%d", step, n), created: epoch.Add(time.Duration(1000 + step))})
			}
			if create > 0 && len(world) > max(began, g.replicas+g.surge+countDeleting(world)) {
				t.Fatalf("seed %d: %d machines, goal %+v", seed, len(world), g)
			}
			if removedReady > 0 && readyBefore-removedReady < g.replicas-g.unavailable {
				t.Fatalf("seed %d: %d of %d ready machines deleted, goal %+v", seed, removedReady, readyBefore, g)
			}
			world = slices.DeleteFunc(world, func(m traits) bool { return m.deleting && random.IntN(2) == 0 })
			for n := range world {
				world[n].ready = world[n].ready || random.IntN(3) == 0
				world[n].broken = world[n].broken || (step < 50 && random.IntN(50) == 0)
			}
			if reached = create == 0 && len(remove) == 0 && len(world) == g.replicas && countReady(world) == g.replicas &&
				!slices.ContainsFunc(world, func(m traits) bool { return m.outdated }); reached && step >= 50 {
				break
			}
		}
		if !reached {
			t.Fatalf("seed %d: goal %+v was not reached: %+v", seed, g, world)
		}
	}
}

func countReady(machines []traits) int {
	return countThat(machines, func(m traits) bool { return m.ready && !m.deleting && !m.broken })
}
func countDeleting(machines []traits) int {
	return countThat(machines, func(m traits) bool { return m.deleting })
}

func countThat(machines []traits, is func(traits) bool) (found int) {
	for _, m := range machines {
		if is(m) {
			found++
		}
	}
	return found
}

func TestSpread(t *testing.T) {
	at := func(domain string) traits { return traits{domain: domain} }
	if got := fmt.Sprint(spread(nil, nil, 2)); got != "[ ]" {
		t.Errorf("without domains: %q", got)
	}
	if got := fmt.Sprint(spread([]string{"da", "ny"}, []traits{at("da"), at("da"), at("sv")}, 3)); got != "[ny ny da]" {
		t.Errorf("%s, want the emptier domain to be filled first", got)
	}
	crowded := []traits{{name: "a", domain: "da", ready: true, created: epoch}, {name: "b", domain: "da", ready: true, created: epoch.Add(-time.Hour)}, {name: "c", domain: "ny", ready: true, created: epoch.Add(time.Hour)}}
	if _, remove := plan(goal{replicas: 2}, crowded); namesOf(remove) != "a" {
		t.Errorf("%s goes, want the younger of the two that share a domain", namesOf(remove))
	}
}
