package apiserver

import (
	"math"
	"net/http"
	"strconv"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func usageRoutes() []Route {
	return []Route{
		{http.MethodGet, "/devices/{id}/usages", "findDeviceUsages", (*API).listDeviceUsages, ofDevice},
		{http.MethodGet, "/projects/{id}/usages", "findProjectUsage", (*API).listProjectUsages, ofProject},
		{http.MethodGet, "/devices/{id}/bandwidth", "findInstanceBandwidth", (*API).getBandwidth, ofDevice},
		{http.MethodGet, "/devices/{id}/traffic", "findTraffic", (*API).getTraffic, ofDevice},
	}
}

// usageUnit is what devices are counted in.
const usageUnit = "hour"

// listDeviceUsages tells what a device cost: its plan's price for every begun
// hour of the period that was asked for.
func (a *API) listDeviceUsages(r *request) (answer response, err error) {
	period, err := a.usagePeriod(r)
	if err != nil {
		return response{}, err
	}
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		row, ok := s.Devices.Get(r.id())
		if !ok {
			return errNotFound()
		}
		shown := packet.DeviceUsageList{Usages: []packet.DeviceUsage{}}
		if hours := period.hours(row.Value.CreatedAt); hours > 0 {
			shown.Usages = append(shown.Usages, packet.DeviceUsage{
				Quantity: strconv.Itoa(hours), Unit: usageUnit, Total: dollars(a.cost(s, row.Value, period)),
			})
		}
		answer, err = encode(http.StatusOK, shown)
		return err
	})
	return answer, err
}

// listProjectUsages tells that for each of a project's devices. Those that
// are gone are not on it: the server keeps no books.
func (a *API) listProjectUsages(r *request) (answer response, err error) {
	period, err := a.usagePeriod(r)
	if err != nil {
		return response{}, err
	}
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		shown := packet.ProjectUsageList{Usages: []packet.ProjectUsage{}}
		for _, row := range s.Devices.In(store.InProject(r.id())) {
			hours, price := period.hours(row.Value.CreatedAt), a.hourlyPrice(s, row.Value)
			if hours == 0 {
				continue
			}
			shown.Usages = append(shown.Usages, packet.ProjectUsage{
				Name:     row.Value.Hostname,
				Type:     "Instance",
				Facility: row.Value.Facility,
				Plan:     row.Value.Plan,
				Price:    dollars(price),
				Quantity: strconv.Itoa(hours),
				Unit:     usageUnit,
				Total:    dollars(a.cost(s, row.Value, period)),
			})
		}
		answer, err = encode(http.StatusOK, shown)
		return err
	})
	return answer, err
}

// cost is what a device cost in a period, in dollars.
func (a *API) cost(s *store.Snapshot, device *store.Device, in period) float64 {
	hours := in.hours(device.CreatedAt)
	plan, ok := a.catalogue.Plan(device.Plan)
	if !device.SpotInstance || !ok {
		return float64(hours) * a.hourlyPrice(s, device)
	}
	// On the spot market every hour has its price.
	cost, at := 0.0, in.from
	if device.CreatedAt.After(at) {
		at = device.CreatedAt
	}
	for range hours {
		cost += spotPrice(plan, device.Metro, at)
		at = at.Add(time.Hour)
	}
	return cost
}

// hourlyPrice is what a device costs an hour now, in dollars.
func (a *API) hourlyPrice(s *store.Snapshot, device *store.Device) float64 {
	if reservation, ok := s.HardwareReservations.Get(device.HardwareReservationID); ok && reservation.Value.CustomRate != nil {
		return *reservation.Value.CustomRate
	}
	plan, ok := a.catalogue.Plan(device.Plan)
	switch {
	case !ok || plan.Pricing == nil:
		return 0
	case device.SpotInstance:
		return spotPrice(plan, device.Metro, a.clock.Now())
	default:
		return plan.Pricing.Hour
	}
}

func dollars(amount float64) string {
	return strconv.FormatFloat(amount, 'f', 2, 64)
}

// period is a time from a moment to before another.
type period struct{ from, until time.Time }

// hours counts the begun hours of the period in which something was there
// that was made at a time and still is.
func (p period) hours(madeAt time.Time) int {
	from := p.from
	if madeAt.After(from) {
		from = madeAt
	}
	return int(math.Ceil(max(p.until.Sub(from), 0).Hours()))
}

// usagePeriod reads created[after] and created[before].
func (a *API) usagePeriod(r *request) (period, error) {
	var p problems
	found := period{
		from:  p.moment("created[after]", r.query.Get("created[after]"), time.Time{}),
		until: p.moment("created[before]", r.query.Get("created[before]"), a.clock.Now()),
	}
	// What has not come has cost nothing.
	if now := a.clock.Now(); found.until.After(now) {
		found.until = now
	}
	return found, p.err()
}

// moment reads a time: RFC 3339, a day, or seconds since 1970, which is what
// packngo sends.
func (p *problems) moment(field, text string, otherwise time.Time) time.Time {
	if text == "" {
		return otherwise
	}
	// Later than that no year has four digits.
	const most = 1 << 37
	if seconds, err := strconv.ParseInt(text, 10, 64); err == nil && seconds >= 0 && seconds < most {
		return time.Unix(seconds, 0).UTC()
	}
	var at packet.Timestamp
	if err := at.UnmarshalJSON([]byte(strconv.Quote(text))); err == nil {
		return at.Time
	}
	p.add("%s %q is neither RFC 3339, for example 2006-01-02T15:04:05Z, nor seconds since 1970", field, shortened(text))
	return otherwise
}
