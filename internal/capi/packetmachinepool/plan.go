package packetmachinepool

import (
	"cmp"
	"slices"
	"strings"
	"time"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
)

// goal is what a pool should come to.
type goal struct {
	// replicas is how many machines there should be.
	replicas int
	// surge is how many more there may be while machines are replaced; devices that are on their way out count as well,
	// since hardware that is being given back is still rented.
	surge int
	// unavailable is how many fewer may be ready while machines are replaced.
	unavailable int
	// onDelete means that an outdated machine stays until somebody deletes it.
	onDelete bool
	// policy tells which machines go first when there are too many; empty is Newest.
	policy infrav1.PacketMachinePoolDeletePolicy
	// external means that somebody else decides how many machines there are, so that only broken ones go.
	external bool
}

// traits are what decides about the fate of one machine of a pool.
type traits struct {
	name string
	// domain is where the machine is, empty if that was not for the pool to choose.
	domain  string
	created time.Time
	// deleting means that the machine is on its way out already.
	deleting bool
	// broken means that the machine has to go, whatever the numbers say: its device is gone, or a health check gave it up.
	broken bool
	// outdated means that the machine was made from something else than what the pool wants now.
	outdated bool
	// ready means that the machine works and has done so for long enough.
	ready bool
	// chosen means that somebody asked for this machine to go first, by the annotation cluster.x-k8s.io/delete-machine.
	chosen bool
}

// plan tells how many machines to make now and which to delete, on the way to a goal. It changes nothing by itself, and
// following it and asking again ends at the goal.
//
// Replacing goes as with a Deployment: never more than replicas+surge machines, and never fewer than replicas-unavailable
// that are ready, as far as that is for the pool to decide. A machine that is not ready goes before one that is.
func plan(g goal, machines []traits) (create int, remove []traits) {
	var staying []traits
	leaving := 0
	for _, m := range machines {
		switch {
		case m.deleting:
			leaving++
		case m.broken:
			leaving++
			remove = append(remove, m)
		default:
			staying = append(staying, m)
		}
	}
	if g.external {
		return 0, remove
	}
	rolling := !g.onDelete && slices.ContainsFunc(staying, outdated)
	limit := g.replicas
	if rolling {
		limit += g.surge
	}
	for len(staying) > limit {
		n := first(staying, anyOf, g.policy)
		remove = append(remove, staying[n])
		staying = slices.Delete(staying, n, n+1)
		leaving++
	}
	current, notYetReady := 0, 0
	for _, m := range staying {
		if !m.outdated {
			current++
			if !m.ready {
				notYetReady++
			}
		}
	}
	if rolling {
		// What is not ready yet among the new ones is no replacement for an old one.
		spare := len(staying) - notYetReady - (g.replicas - g.unavailable)
		for ; spare > 0; spare-- {
			n := first(staying, outdated, g.policy)
			if n < 0 {
				break
			}
			remove = append(remove, staying[n])
			staying = slices.Delete(staying, n, n+1)
			leaving++
		}
		return max(0, min(g.replicas-current, limit-len(staying)-leaving)), remove
	}
	return max(0, g.replicas-len(staying)), remove
}

func anyOf(traits) bool { return true }

func outdated(m traits) bool { return m.outdated }

// first is the index of the machine of a kind that is to go before all others of that kind, -1 if there is none.
func first(machines []traits, kind func(traits) bool, policy infrav1.PacketMachinePoolDeletePolicy) int {
	crowd := map[string]int{}
	for _, m := range machines {
		crowd[m.domain]++
	}
	best := -1
	for n := range machines {
		if kind(machines[n]) && (best < 0 || before(machines[n], machines[best], crowd, policy) < 0) {
			best = n
		}
	}
	return best
}

// before orders machines by who is to go first: what somebody chose, what does not work, what would be replaced anyway,
// what is in the most crowded failure domain, what has the age that the policy says. The name makes the order complete, so
// that asking twice gives the same answer.
func before(a, b traits, crowd map[string]int, policy infrav1.PacketMachinePoolDeletePolicy) int {
	return cmp.Or(
		yesFirst(a.chosen, b.chosen),
		yesFirst(!a.ready, !b.ready),
		yesFirst(a.outdated, b.outdated),
		cmp.Compare(crowd[b.domain], crowd[a.domain]),
		byAge(a, b, policy),
		strings.Compare(a.name, b.name),
	)
}

// byAge orders machines by age. Names of machines end in random letters, so going by them is what Random means.
func byAge(a, b traits, policy infrav1.PacketMachinePoolDeletePolicy) int {
	switch policy {
	case infrav1.PoolDeleteRandom:
		return 0
	case infrav1.PoolDeleteOldest:
		return a.created.Compare(b.created)
	default:
		return b.created.Compare(a.created)
	}
}

func yesFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	default:
		return 1
	}
}

// spread chooses the failure domains of new machines, so that the domains differ by as little as possible. The domains
// are taken in the order in which they are written.
func spread(domains []string, machines []traits, count int) []string {
	chosen := make([]string, count)
	if len(domains) == 0 {
		return chosen
	}
	crowd := map[string]int{}
	for _, m := range machines {
		if !m.deleting && !m.broken {
			crowd[m.domain]++
		}
	}
	for n := range chosen {
		best := domains[0]
		for _, domain := range domains[1:] {
			if crowd[domain] < crowd[best] {
				best = domain
			}
		}
		chosen[n] = best
		crowd[best]++
	}
	return chosen
}
