package apiserver

import (
	"net/http"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

const (
	// bandwidthStep is how far apart the service's datapoints were.
	bandwidthStep = 5 * time.Minute
	// maxDatapoints bounds an answer: longer periods have them further apart.
	maxDatapoints = 1000
	// defaultTimeframe is what traffic is told of unless asked otherwise.
	defaultTimeframe = time.Hour
)

// getBandwidth tells the rates of a device. Machine drivers do not measure
// any, so the datapoints have their times and no rates, as the service's had
// when it was without measurements.
func (a *API) getBandwidth(r *request) (response, error) {
	frame, err := a.timeframe(r, "from", "until")
	if err != nil {
		return response{}, err
	}
	if err := a.deviceExists(r); err != nil {
		return response{}, err
	}
	step := bandwidthStep
	for frame.until.Sub(frame.from)/step > maxDatapoints {
		step *= 2
	}
	var shown packet.Bandwidth
	for _, target := range []string{"inbound", "outbound"} {
		series := packet.BandwidthSeries{
			Target: target, Tags: packet.BandwidthTags{AggregatedBy: "sum", Name: target}, Datapoints: []packet.BandwidthDatapoint{},
		}
		for at := frame.from.Truncate(step); !at.After(frame.until); at = at.Add(step) {
			series.Datapoints = append(series.Datapoints, packet.BandwidthDatapoint{When: at.Unix()})
		}
		shown.Bandwidth = append(shown.Bandwidth, series)
	}
	return encode(http.StatusOK, shown)
}

// trafficInterval is how long the intervals of traffic are. Those that come
// again, as the hours of a day do, are shown one by one.
func trafficInterval(name string) time.Duration {
	switch name {
	case "minute":
		return time.Minute
	case "day", "day_of_week", "day_of_month":
		return 24 * time.Hour
	case "week":
		return 7 * 24 * time.Hour
	case "month", "month_of_year":
		return 30 * 24 * time.Hour
	case "year":
		return 365 * 24 * time.Hour
	default:
		return time.Hour
	}
}

// getTraffic tells the amounts of a device, which nobody measures either.
func (a *API) getTraffic(r *request) (response, error) {
	shown := packet.Traffic{
		Direction: r.query.Get("direction"), Interval: r.query.Get("interval"), Bucket: r.query.Get("bucket"), Traffic: []packet.TrafficInterval{},
	}
	if shown.Interval == "" {
		shown.Interval = "hour"
	}
	var p problems
	if shown.Direction == "" {
		p.add("direction can't be blank: it is one of inbound, outbound")
	}
	p.unless("direction", shown.Direction, "inbound", "outbound")
	p.unless("interval", shown.Interval, "minute", "hour", "day", "week", "month", "year", "hour_of_day", "day_of_week", "day_of_month", "month_of_year")
	p.unless("bucket", shown.Bucket, "internal", "external")
	if err := p.err(); err != nil {
		return response{}, err
	}
	frame, err := a.timeframe(r, "timeframe[started_at]", "timeframe[ended_at]")
	if err != nil {
		return response{}, err
	}
	if err := a.deviceExists(r); err != nil {
		return response{}, err
	}
	shown.Timeframe = packet.TrafficTimeframe{StartedAt: packet.NewTimestamp(frame.from), EndedAt: packet.NewTimestamp(frame.until)}
	step := trafficInterval(shown.Interval)
	for frame.until.Sub(frame.from)/step > maxDatapoints {
		step *= 2
	}
	for at := frame.from; at.Before(frame.until); at = at.Add(step) {
		end := at.Add(step)
		if end.After(frame.until) {
			end = frame.until
		}
		shown.Traffic = append(shown.Traffic, packet.TrafficInterval{
			TrafficTimeframe: packet.TrafficTimeframe{StartedAt: packet.NewTimestamp(at), EndedAt: packet.NewTimestamp(end)},
		})
	}
	return encode(http.StatusOK, shown)
}

// timeframe reads a period that is the last hour if nothing is said.
func (a *API) timeframe(r *request, from, until string) (period, error) {
	var p problems
	var frame period
	frame.until = p.moment(until, r.query.Get(until), a.clock.Now())
	frame.from = p.moment(from, r.query.Get(from), frame.until.Add(-defaultTimeframe))
	if len(p) == 0 && frame.from.After(frame.until) {
		p.add("%s %s is after %s %s", from, frame.from.Format(time.RFC3339), until, frame.until.Format(time.RFC3339))
	}
	return frame, p.err()
}

func (a *API) deviceExists(r *request) error {
	return a.store.Read(r.ctx, func(s *store.Snapshot) error {
		if _, ok := s.Devices.Get(r.id()); !ok {
			return errNotFound()
		}
		return nil
	})
}
