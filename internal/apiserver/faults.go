package apiserver

import (
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
)

// faults are the rules by which requests go wrong. They are this process's
// own, and gone when it ends.
type faults struct {
	mu    sync.Mutex
	rules []*activeFault
}

// activeFault is a rule with what became of it.
type activeFault struct {
	fault
	// Matched counts the requests that the rule is about, Applied those that
	// went wrong.
	Matched int `json:"matched"`
	Applied int `json:"applied"`

	random *rand.Rand
}

// add takes a rule, in place of the one with its ID if there is one.
func (f *faults) add(rule fault) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	// A generator of its own for each rule makes what goes wrong depend on that
	// rule's requests alone.
	active := &activeFault{fault: rule, random: rand.New(rand.NewPCG(rule.Seed, rule.Seed))}
	if at := f.find(rule.ID); at >= 0 {
		f.rules[at] = active
		return nil
	}
	if len(f.rules) >= maxFaultRules {
		return refuse(http.StatusUnprocessableEntity, "there are %d rules already, which is all there may be", maxFaultRules)
	}
	f.rules = append(f.rules, active)
	return nil
}

func (f *faults) find(id string) int {
	return slices.IndexFunc(f.rules, func(rule *activeFault) bool { return rule.ID == id })
}

// remove takes a rule away, and tells whether it was there.
func (f *faults) remove(id string) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	at := f.find(id)
	if at >= 0 {
		f.rules = slices.Delete(f.rules, at, at+1)
	}
	return at >= 0
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.rules = nil
}

// list returns copies of all rules, in the order in which they are tried.
func (f *faults) list() []activeFault {
	f.mu.Lock()
	defer f.mu.Unlock()
	all := make([]activeFault, 0, len(f.rules))
	for _, rule := range f.rules {
		all = append(all, *rule)
	}
	return all
}

// choose finds what shall go wrong with a request: the first rule that is
// about it and whose turn it is. It is nil for nothing.
func (f *faults) choose(x *exchange) *fault {
	if f == nil {
		return nil
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, rule := range f.rules {
		if !rule.matches(x) {
			continue
		}
		rule.Matched++
		switch {
		case rule.Matched <= rule.Skip:
		case rule.Count > 0 && rule.Applied >= rule.Count:
		case rule.Probability != nil && rule.random.Float64() >= *rule.Probability:
		default:
			rule.Applied++
			chosen := rule.fault
			return &chosen
		}
	}
	return nil
}
