package packet

import "encoding/json"

// DeviceUsage is what a device cost in a period (findDeviceUsages). All three
// are texts on the wire: decimal numbers, and the unit's name.
type DeviceUsage struct {
	// Quantity is in Units, which are begun hours.
	Quantity string `json:"quantity"`
	Unit     string `json:"unit"`
	// Total is in US dollars.
	Total string `json:"total"`
}

// DeviceUsageList is the answer to asking for a device's usages.
type DeviceUsageList struct {
	Usages []DeviceUsage `json:"usages"`
}

// ProjectUsage is what one thing of a project cost in a period
// (findProjectUsage).
type ProjectUsage struct {
	// Name is the device's host name.
	Name     string `json:"name"`
	Type     string `json:"type"`
	Facility string `json:"facility"`
	Plan     string `json:"plan"`
	// Price is in US dollars for each unit.
	Price    string `json:"price"`
	Quantity string `json:"quantity"`
	Unit     string `json:"unit"`
	Total    string `json:"total"`
}

// ProjectUsageList is the answer to asking for a project's usages.
type ProjectUsageList struct {
	Usages []ProjectUsage `json:"usages"`
}

// Bandwidth is how much went into a device and out of it
// (findInstanceBandwidth): one element for each direction.
type Bandwidth struct {
	Bandwidth []BandwidthSeries `json:"bandwidth"`
}

// BandwidthSeries is one direction of Bandwidth.
type BandwidthSeries struct {
	// Target is inbound or outbound.
	Target     string               `json:"target"`
	Tags       BandwidthTags        `json:"tags"`
	Datapoints []BandwidthDatapoint `json:"datapoints"`
}

// BandwidthTags say what a series was made of.
type BandwidthTags struct {
	AggregatedBy string `json:"aggregatedBy"`
	Name         string `json:"name"`
}

// BandwidthDatapoint is a rate at a time. On the wire it is a list of the two.
type BandwidthDatapoint struct {
	// Rate is in bytes a second, nil where nobody measured it.
	Rate *float64
	// When is in seconds since 1970.
	When int64
}

// MarshalJSON implements json.Marshaler.
func (d BandwidthDatapoint) MarshalJSON() ([]byte, error) {
	return json.Marshal([]any{d.Rate, d.When})
}

// Traffic is how much went into a device, or out of it, in each interval of a
// timeframe (findTraffic). The API's document does not say what it looks like.
type Traffic struct {
	Direction string            `json:"direction"`
	Interval  string            `json:"interval"`
	Bucket    string            `json:"bucket,omitempty"`
	Timeframe TrafficTimeframe  `json:"timeframe"`
	Traffic   []TrafficInterval `json:"traffic"`
}

// TrafficTimeframe is from when to when.
type TrafficTimeframe struct {
	StartedAt *Timestamp `json:"started_at"`
	EndedAt   *Timestamp `json:"ended_at"`
}

// TrafficInterval is a part of a timeframe.
type TrafficInterval struct {
	TrafficTimeframe
	// Value is in bytes, nil where nobody measured it.
	Value *int64 `json:"value"`
}
