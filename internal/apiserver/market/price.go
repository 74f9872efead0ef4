// Package market says what servers cost on the spot market, where the highest
// bid gets what nobody rents on demand.
//
// The service's market had prices that moved with what was left of each plan
// in each metro, and they are gone with it. These move by themselves: a price
// is a function of the plan, the metro and the time, so that every replica
// knows it, and its history, without keeping anything.
package market

import (
	"hash/fnv"
	"math"
	"strconv"
	"time"
)

// Interval is how long a price stays.
const Interval = time.Hour

// The share of the price on demand that a price on the market is, most of the
// time and at peaks, when servers are rare.
const (
	lowest   = 0.15
	usual    = 0.45
	peak     = 1.30
	peakRate = 0.02
)

// Price is what a server costs an hour, in US dollars and cents, in a metro
// at a time. Hourly is what its plan costs on demand.
func Price(plan, metro string, hourly float64, at time.Time) float64 {
	hour := at.Unix() / int64(Interval/time.Second)
	// A day has the same mood, and each hour is a little off it.
	share := lowest + (usual-lowest)*(0.7*noise(plan, metro, "day", hour/24)+0.3*noise(plan, metro, "hour", hour))
	if noise(plan, metro, "peak", hour) < peakRate {
		share = peak
	}
	return max(0.01, math.Round(hourly*share*100)/100)
}

// noise is a number from 0 to below 1 that only the arguments decide.
func noise(plan, metro, what string, number int64) float64 {
	hash := fnv.New64a()
	// A hash takes every byte.
	_, _ = hash.Write([]byte(plan + "/" + metro + "/" + what + "/" + strconv.FormatInt(number, 10)))
	// The last bytes of what is hashed move the highest bits of FNV too little.
	mixed := hash.Sum64()
	mixed ^= mixed >> 33
	mixed *= 0xff51afd7ed558ccd
	mixed ^= mixed >> 33
	return float64(mixed>>11) / (1 << 53)
}
