package store

import (
	"time"

	"github.com/packetyard/packetyard/pkg/packet"
)

// SpotMarketRequest is a bid for a number of devices. As long as the market's
// price is not above it, devices are made, each in one transaction with this
// record.
type SpotMarketRequest struct {
	ID        string `json:"id"`
	ProjectID string `json:"projectID"`
	// Order is what is asked for, with Hostnames in place of its own, one for
	// each device.
	Order     packet.DeviceCreate `json:"order"`
	Hostnames []string            `json:"hostnames"`
	// DevicesMin is how many servers must be free before the first device is
	// made, DevicesMax how many devices are made.
	DevicesMin int `json:"devicesMin"`
	DevicesMax int `json:"devicesMax"`
	// MaxBidPrice is for each device and hour, in US dollars.
	MaxBidPrice float64 `json:"maxBidPrice"`
	// EndAt is when the devices go; nil for never.
	EndAt *time.Time `json:"endAt,omitempty"`
	// DeviceIDs are the devices that were made, but for those that were outbid
	// since, in the place of which others are made.
	DeviceIDs []string  `json:"deviceIDs,omitempty"`
	CreatedBy string    `json:"createdBy,omitempty"`
	CreatedAt time.Time `json:"createdAt"`
	UpdatedAt time.Time `json:"updatedAt"`
}

// OnSpotMarket names the group of the devices that were bought on the spot
// market.
const OnSpotMarket = "spot-market"

func (s *Snapshot) registerSpotMarketRequests() {
	register(s, &s.SpotMarketRequests, "spot-market-requests/", Table[SpotMarketRequest]{
		id:     func(v *SpotMarketRequest) string { return v.ID },
		groups: func(v *SpotMarketRequest) []string { return []string{InProject(v.ProjectID)} },
	})
}
