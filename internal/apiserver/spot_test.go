package apiserver_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/market"
	"github.com/packetyard/packetyard/pkg/packet"
)

// spotDevices are the IDs of a bid's devices that there are.
func spotDevices(t *testing.T, server *apiservertest.Server, id string) []string {
	t.Helper()
	status, text := send(t, server, server.Token, "GET", "/spot-market-requests/"+id, nil)
	var bid packet.SpotMarketRequest
	if err := json.Unmarshal([]byte(text), &bid); err != nil || status != 200 {
		t.Fatalf("GET of a bid: %d %s", status, text)
	}
	var ids []string
	for _, device := range bid.Devices {
		ids = append(ids, device.ID())
	}
	return ids
}

// TestASpotInstanceIsOutbid bids just below the price on demand, waits for an
// hour in which servers are rare, and for the one after it.
func TestASpotInstanceIsOutbid(t *testing.T) {
	const plan, metro, hourly, bid = "c3.small.x86", "da", 0.75, 0.74
	clock := newClock()
	peak := clock.Now().Truncate(market.Interval)
	for market.Price(plan, metro, hourly, peak) <= bid {
		peak = peak.Add(market.Interval)
	}
	before := peak.Add(-market.Interval)
	clock.advance(before.Sub(clock.Now()))
	server := apiservertest.Start(t, apiservertest.Options{Clock: clock})
	c := server.Client(t)
	_, made := raw(t, server, "POST", "/projects/"+server.ProjectID+"/spot-market-requests", fmt.Sprintf(
		`{"devices_max":1,"max_bid_price":%v,"metro":%q,"instance_parameters":{"plan":%q,"operating_system":"ubuntu_24_04","hostname":"cheap"}}`,
		bid, metro, plan))
	id := made["id"].(string)
	first := spotDevices(t, server, id)
	if len(first) != 1 {
		t.Fatalf("a bid above the price has the devices %v, want one", first)
	}
	device := waitForState(t, c, first[0], packet.StateActive)
	if !device.SpotInstance || *device.SpotPriceMax != bid || device.TerminationTime != nil {
		t.Errorf("the device is %+v, want a spot instance without an end", device)
	}

	clock.advance(peak.Sub(clock.Now()))
	device = waitForDevice(t, c, first[0], func(d *packet.Device, err error) bool { return err == nil && d.TerminationTime != nil })
	if left := device.TerminationTime.Sub(clock.Now()); left != 2*time.Minute {
		t.Errorf("a device that is outbid stays for %v, want 2 minutes", left)
	}
	if left := spotDevices(t, server, id); len(left) != 0 {
		t.Errorf("the bid still has the devices %v", left)
	}
	clock.advance(2 * time.Minute)
	waitGone(t, c, first[0])

	after := peak
	for market.Price(plan, metro, hourly, after) > bid {
		after = after.Add(market.Interval)
	}
	clock.advance(after.Sub(clock.Now()))
	until(t, "the bid has a device again", func() bool { return len(spotDevices(t, server, id)) == 1 })
}

// TestSpotInput refuses bids that cannot be meant, and devices whose bid is
// too low.
func TestSpotInput(t *testing.T) {
	server := apiservertest.Start(t, apiservertest.Options{})
	requests, devices := "/projects/"+server.ProjectID+"/spot-market-requests", "/projects/"+server.ProjectID+"/devices"
	parameters := `"instance_parameters":{"plan":"c3.small.x86","operating_system":"ubuntu_24_04"}`
	order := `{"plan":"c3.small.x86","operating_system":"ubuntu_24_04","metro":"da","spot_instance":true`
	for _, test := range []struct {
		path, body string
		texts      []string
	}{
		{requests, `{"devices_min":-1,"max_bid_price":-1,"end_at":"2020-01-01T00:00:00Z"}`, []string{
			"devices_min -1 is not from 1 to 100", "max_bid_price -1 is not above 0", "end_at 2020-01-01T00:00:00Z is not in the future"}},
		{requests, `{"devices_min":3,"devices_max":2,"max_bid_price":1}`, []string{"devices_max 2 is less than devices_min 3"}},
		{requests, `{"max_bid_price":1,"end_at":"soon"}`, []string{"end_at: reading a time"}},
		{requests, `{"max_bid_price":1,` + parameters + `}`, []string{"Facility can't be blank"}},
		{requests, `{"max_bid_price":1,"metro":"da","instance_parameters":{}}`, []string{"plan can't be blank", "operating_system can't be blank"}},
		{requests, `{"max_bid_price":1,"facilities":["nowhere1"],` + parameters + `}`, []string{`facility "nowhere1" is not one of`}},
		{devices, order + `}`, []string{"spot_price_max 0 is not above 0"}},
		{devices, order + `,"spot_price_max":0.01}`, []string{"spot_price_max 0.01 is below the market's price: c3.small.x86 costs"}},
		{devices, strings.Replace(order, "true", "false", 1) + `,"spot_price_max":1}`, []string{"spot_instance must be true"}},
	} {
		answer, body := raw(t, server, "POST", test.path, test.body)
		texts := errorsOf(body)
		if answer.StatusCode != http.StatusUnprocessableEntity || len(texts) != len(test.texts) {
			t.Errorf("%s: %d %q, want 422 with %d texts", test.body, answer.StatusCode, texts, len(test.texts))
			continue
		}
		for i, want := range test.texts {
			if !strings.Contains(texts[i], want) {
				t.Errorf("%s: %q, want it to have %q", test.body, texts[i], want)
			}
		}
	}
	if answer, body := raw(t, server, "POST", devices, order+`,"spot_price_max":10}`); answer.StatusCode != http.StatusCreated || body["spot_price_max"] != 10.0 {
		t.Errorf("a device with a bid of 10: %d, %v", answer.StatusCode, body["spot_price_max"])
	}
}

// TestUsagesOfALongTime counts begun hours, within the period asked for.
func TestUsagesOfALongTime(t *testing.T) {
	clock := newClock()
	server := apiservertest.Start(t, apiservertest.Options{Clock: clock})
	began := clock.Now()
	device, err := server.Client(t).CreateDevice(t.Context(), server.ProjectID, order("used"))
	if err != nil {
		t.Fatal(err)
	}
	clock.advance(100*time.Hour + time.Minute)
	for query, want := range map[string]string{
		"": `{"quantity":"101","unit":"hour","total":"75.75"}`,
		"?created[after]=" + began.Add(90*time.Hour).Format(time.RFC3339): `{"quantity":"11","unit":"hour","total":"8.25"}`,
		fmt.Sprintf("?created[before]=%d", began.Add(time.Hour).Unix()):   `{"quantity":"1","unit":"hour","total":"0.75"}`,
	} {
		if status, text := send(t, server, server.Token, "GET", "/devices/"+device.ID+"/usages"+query, nil); !strings.Contains(text, want) {
			t.Errorf("usages%s: %d %s, want %s", query, status, text, want)
		}
	}
	for _, path := range []string{
		"/usages?created[after]=soon", "/bandwidth?from=soon", "/bandwidth?from=2&until=1", "/traffic", "/traffic?direction=up",
		"/traffic?direction=inbound&interval=moment", "/traffic?direction=inbound&timeframe[started_at]=x",
	} {
		if status, text := send(t, server, server.Token, "GET", "/devices/"+device.ID+path, nil); status != 422 {
			t.Errorf("%s: %d %s, want 422", path, status, text)
		}
	}
}
