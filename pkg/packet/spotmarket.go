package packet

import (
	"encoding/json"
)

// SpotPrice is what a plan costs an hour on the spot market, in US dollars.
type SpotPrice struct {
	Price float64 `json:"price"`
}

// SpotPrices are the prices by place, the code of a facility or of a metro,
// and then by the slug of the plan.
type SpotPrices map[string]map[string]SpotPrice

// SpotPriceList is the answer to asking for prices (findSpotMarketPrices,
// findMetroSpotMarketPrices).
type SpotPriceList struct {
	SpotMarketPrices SpotPrices `json:"spot_market_prices"`
}

// SpotPriceHistory is the answer to asking for earlier prices
// (findSpotMarketPricesHistory).
type SpotPriceHistory struct {
	PricesHistory SpotPriceSeries `json:"prices_history"`
}

// SpotPriceSeries is prices at times. A datapoint is a list of two: the price
// in US dollars an hour, and the time in seconds since 1970.
type SpotPriceSeries struct {
	Datapoints [][2]json.Number `json:"datapoints"`
}

// SpotMarketRequest is a bid for devices (findSpotMarketRequestById).
type SpotMarketRequest struct {
	ID         string `json:"id"`
	Href       string `json:"href"`
	DevicesMin int    `json:"devices_min"`
	DevicesMax int    `json:"devices_max"`
	// MaxBidPrice is for each device and hour, in US dollars.
	MaxBidPrice float64    `json:"max_bid_price"`
	EndAt       *Timestamp `json:"end_at,omitempty"`
	Metro       *Metro     `json:"metro,omitempty"`
	// Instances refers to where Devices are listed.
	Instances *Href      `json:"instances,omitempty"`
	Devices   []Href     `json:"devices"`
	Plan      *Plan      `json:"plan,omitempty"`
	Project   *Href      `json:"project,omitempty"`
	CreatedAt *Timestamp `json:"created_at,omitempty"`
}

// SpotMarketRequestList is the answer to listing bids, which has no pages.
type SpotMarketRequestList struct {
	SpotMarketRequests []SpotMarketRequest `json:"spot_market_requests"`
}

// SpotMarketRequestCreate is a new bid (createSpotMarketRequest).
type SpotMarketRequestCreate struct {
	DevicesMin  int     `json:"devices_min,omitempty"`
	DevicesMax  int     `json:"devices_max,omitempty"`
	MaxBidPrice float64 `json:"max_bid_price"`
	// EndAt is when the devices go again.
	EndAt *Timestamp `json:"end_at,omitempty"`
	// Metro is a code or an ID. Without one Facilities, by code or ID, say where.
	Metro              string                 `json:"metro,omitempty"`
	Facilities         []string               `json:"facilities,omitempty"`
	InstanceParameters SpotInstanceParameters `json:"instance_parameters"`
}

// SpotInstanceParameters are what the devices of a bid have in common, and
// their host names.
type SpotInstanceParameters struct {
	DeviceCreate
	Hostnames []string `json:"hostnames,omitempty"`
}
