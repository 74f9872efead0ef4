package apiserver

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/internal/apiserver/market"
	"github.com/packetyard/packetyard/pkg/packet"
)

// spotPrice is what a plan costs an hour on the spot market of a metro.
func spotPrice(plan *catalogue.Plan, metro string, at time.Time) float64 {
	return market.Price(plan.Slug, metro, plan.Pricing.Hour, at)
}

// affordable are the places where a plan costs no more than a bid.
func (a *API) affordable(places []*packet.Facility, plan *catalogue.Plan, bid float64, at time.Time) ([]*packet.Facility, error) {
	var p problems
	var affordable []*packet.Facility
	for _, place := range places {
		if price := spotPrice(plan, place.Metro.Code, at); price > bid {
			p.add("spot_price_max %v is below the market's price: %s costs %v in %s", bid, plan.Slug, price, place.Metro.Code)
			continue
		}
		affordable = append(affordable, place)
	}
	if len(affordable) == 0 {
		return nil, p.err()
	}
	return affordable, nil
}

func (a *API) listFacilityPrices(r *request) (response, error) {
	facility := r.query.Get("facility")
	var p problems
	p.unless("facility", facility, a.catalogue.FacilityCodes()...)
	prices := packet.SpotPrices{}
	for i := range a.catalogue.Facilities {
		if place := &a.catalogue.Facilities[i]; facility == "" || place.Code == facility {
			prices[place.Code] = a.pricesIn(place.Metro.Code, r.query.Get("plan"))
		}
	}
	return a.answerPrices(r, p, prices)
}

func (a *API) listMetroPrices(r *request) (response, error) {
	metro := r.query.Get("metro")
	var p problems
	p.unless("metro", metro, a.catalogue.MetroCodes()...)
	prices := packet.SpotPrices{}
	for i := range a.catalogue.Metros {
		if code := a.catalogue.Metros[i].Code; metro == "" || code == metro {
			prices[code] = a.pricesIn(code, r.query.Get("plan"))
		}
	}
	return a.answerPrices(r, p, prices)
}

func (a *API) answerPrices(r *request, p problems, prices packet.SpotPrices) (response, error) {
	p.unless("plan", r.query.Get("plan"), a.catalogue.PlanSlugs()...)
	if err := p.err(); err != nil {
		return response{}, err
	}
	return encode(http.StatusOK, packet.SpotPriceList{SpotMarketPrices: prices})
}

// pricesIn are the prices of all plans in a metro, or of one.
func (a *API) pricesIn(metro, only string) map[string]packet.SpotPrice {
	now := a.clock.Now()
	prices := map[string]packet.SpotPrice{}
	for i := range a.catalogue.Plans {
		if plan := &a.catalogue.Plans[i]; only == "" || plan.Slug == only {
			prices[plan.Slug] = packet.SpotPrice{Price: spotPrice(plan, metro, now)}
		}
	}
	return prices
}

// listPriceHistory shows the prices of a plan in one place, which is named by
// a facility or a metro, in the order of time. There is no telling those to
// come.
func (a *API) listPriceHistory(r *request) (response, error) {
	var p problems
	plan, ok := a.catalogue.Plan(r.query.Get("plan"))
	if !ok {
		p.notOneOf("plan", r.query.Get("plan"), a.catalogue.PlanSlugs())
	}
	metro := r.query.Get("metro")
	if code := r.query.Get("facility"); code != "" || metro == "" {
		facility, ok := a.catalogue.Facility(code)
		switch {
		case !ok:
			p.notOneOf("facility", code, a.catalogue.FacilityCodes())
		case metro == "":
			metro = facility.Metro.Code
		}
	}
	if metro != "" && !slices.Contains(a.catalogue.MetroCodes(), metro) {
		p.notOneOf("metro", metro, a.catalogue.MetroCodes())
	}
	for _, name := range []string{"from", "until"} {
		if r.query.Get(name) == "" {
			p.add("%s can't be blank: it is a time, RFC 3339 or seconds since 1970", name)
		}
	}
	if err := p.err(); err != nil {
		return response{}, err
	}
	frame, err := a.timeframe(r, "from", "until")
	if err != nil {
		return response{}, err
	}
	if now := a.clock.Now(); frame.until.After(now) {
		frame.until = now
	}
	step := market.Interval
	for frame.until.Sub(frame.from)/step > maxDatapoints {
		step *= 2
	}
	shown := packet.SpotPriceHistory{PricesHistory: packet.SpotPriceSeries{Datapoints: [][2]json.Number{}}}
	for at := frame.from.Truncate(step); !at.After(frame.until); at = at.Add(step) {
		shown.PricesHistory.Datapoints = append(shown.PricesHistory.Datapoints, [2]json.Number{
			json.Number(strconv.FormatFloat(spotPrice(plan, metro, at), 'f', -1, 64)),
			json.Number(strconv.FormatInt(at.Unix(), 10)),
		})
	}
	return encode(http.StatusOK, shown)
}
