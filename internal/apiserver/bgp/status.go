package bgp

import (
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// review is how long a request for global BGP is looked at. People did that,
// who checked that the project owns its number and its blocks.
func review(profile lifecycle.Profile) time.Duration {
	switch profile {
	case lifecycle.Fast:
		return 5 * time.Second
	case lifecycle.Realistic:
		return time.Hour
	default:
		return 0
	}
}

// Status is that of a project's BGP at a time. It follows from the record and
// the clock, so that nobody has to be there when a review is over.
func Status(config *store.BGPConfig, profile lifecycle.Profile, now time.Time) string {
	if config.Status == packet.BGPRequested && !now.Before(config.CreatedAt.Add(review(profile))) {
		return packet.BGPEnabled
	}
	return config.Status
}
