package market

import (
	"testing"
	"time"
)

// TestPrices looks at a year of prices: they must stay within their bounds,
// hold for an hour, move, and rise above the price on demand now and then.
func TestPrices(t *testing.T) {
	const hourly = 2.5
	start := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	peaks, hours := 0, 365*24
	seen := map[float64]bool{}
	for hour := range hours {
		at := start.Add(time.Duration(hour) * time.Hour)
		price := Price("c3.large.arm64", "da", hourly, at)
		if again := Price("c3.large.arm64", "da", hourly, at.Add(59*time.Minute)); again != price {
			t.Fatalf("the price moves from %v to %v within the hour of %v", price, again, at)
		}
		if price > hourly {
			peaks++
		} else if price < lowest*hourly-0.01 || price > usual*hourly+0.01 {
			t.Errorf("the price at %v is %v, want from %v to %v", at, price, lowest*hourly, usual*hourly)
		}
		seen[price] = true
	}
	if share := float64(peaks) / float64(hours); share < peakRate/2 || share > peakRate*2 {
		t.Errorf("%d of %d hours are peaks, want about %v of them", peaks, hours, peakRate)
	}
	if len(seen) < 20 {
		t.Errorf("there are %d different prices in a year, want them to move", len(seen))
	}
	if Price("c3.large.arm64", "da", hourly, start) == Price("c3.large.arm64", "am", hourly, start) &&
		Price("c3.large.arm64", "da", hourly, start) == Price("c3.large.arm64", "ny", hourly, start) {
		t.Error("three metros have the same price at the same time")
	}
	if price := Price("t", "da", 0.001, start); price != 0.01 {
		t.Errorf("the least price is %v, want a cent", price)
	}
}
