package capacity

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/packetyard/packetyard/pkg/packet"
)

// PlansTTL is how long a listing of plans is used. Plans are added once in a while and hardly ever change.
const PlansTTL = time.Hour

// listing has the plans that one account can use.
type listing = packet.ListingCache[map[string]packet.Plan]

// plans shares one listing of plans among all templates of an account.
type plans struct {
	clock packet.Clock

	mutex sync.Mutex
	// listings are by client, since accounts with the same token share that. It holds a handful: a token that is rotated
	// makes a new client, and those that were not asked for within two hours are dropped.
	listings map[*packet.Client]*listing
	used     map[*packet.Client]time.Time
}

func newPlans(clock packet.Clock) *plans {
	return &plans{clock: clock, listings: map[*packet.Client]*listing{}, used: map[*packet.Client]time.Time{}}
}

// find returns a plan by its slug; known is false if the API has none of that name. A failed listing is an error.
func (p *plans) find(ctx context.Context, api *packet.Client, slug string) (plan packet.Plan, known bool, err error) {
	all, err := p.of(api).Recent(ctx)
	if err != nil {
		return packet.Plan{}, false, err
	}
	plan, known = all[slug]
	return plan, known, nil
}

func (p *plans) of(api *packet.Client) *listing {
	p.mutex.Lock()
	defer p.mutex.Unlock()
	now := p.clock.Now()
	for client, last := range p.used {
		if now.Sub(last) > 2*PlansTTL {
			delete(p.listings, client)
			delete(p.used, client)
		}
	}
	p.used[api] = now
	if found, ok := p.listings[api]; ok {
		return found
	}
	made := packet.NewListingCache(func(ctx context.Context) (map[string]packet.Plan, error) {
		all, err := api.Plans(ctx)
		if err != nil {
			return nil, fmt.Errorf("listing the plans: %w", err)
		}
		bySlug := make(map[string]packet.Plan, len(all))
		for _, plan := range all {
			bySlug[plan.Slug] = plan
		}
		return bySlug, nil
	}, "the list of plans", PlansTTL, p.clock)
	p.listings[api] = made
	return made
}
