package devices_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/pkg/packet"
)

// movable is a clock that runs, and can be put forward.
type movable struct {
	packet.SystemClock
	forward atomic.Int64
}

func (m *movable) Now() time.Time { return m.SystemClock.Now().Add(time.Duration(m.forward.Load())) }

func (m *movable) After(d time.Duration) <-chan time.Time { return time.After(d) }

func (m *movable) pass(d time.Duration) { m.forward.Add(int64(d)) }

// counted counts the listings and the questions for one device.
type counted struct {
	*packet.Client
	listings, questions int
}

func (c *counted) ProjectEvents(ctx context.Context, projectID string, since time.Time, options ...packet.QueryOption) ([]packet.Event, error) {
	c.listings++
	return c.Client.ProjectEvents(ctx, projectID, since, options...)
}

func (c *counted) DeviceEvents(ctx context.Context, deviceID string, options ...packet.QueryOption) ([]packet.Event, error) {
	c.questions++
	return c.Client.DeviceEvents(ctx, deviceID, options...)
}

func (c *counted) expect(t *testing.T, listings, questions int) {
	t.Helper()
	if c.listings != listings || c.questions != questions {
		t.Errorf("%d listings and %d questions for single devices, want %d and %d", c.listings, c.questions, listings, questions)
	}
}

// yard is a project with some active devices.
type yard struct {
	*apiservertest.Server
	clock   *movable
	reader  *counted
	devices []*packet.Device
}

func newYard(t *testing.T, count int) *yard {
	t.Helper()
	clock := &movable{}
	y := &yard{Server: apiservertest.Start(t, apiservertest.Options{Profile: lifecycle.Instant, Clock: clock}), clock: clock}
	y.reader = &counted{Client: y.Client(t)}
	for n := range count {
		made, err := devices.Create(t.Context(), y.reader, newSupply(t, y.Server), request(devices.Identity{Namespace: "ns", Cluster: "demo", Machine: fmt.Sprintf("m%d", n)}))
		if err != nil {
			t.Fatal(err)
		}
		y.devices = append(y.devices, made.Device)
	}
	return y
}

// reports shares no listing for longer than it takes.
func (y *yard) reports() *devices.Reports {
	return devices.NewReports(y.reader, y.ProjectID, 0, y.clock)
}

// say is what the machine of a device reports.
func (y *yard) say(t *testing.T, device *packet.Device, state, message string) {
	t.Helper()
	body := fmt.Sprintf(`{"state":%q,"message":%q}`, state, message)
	request := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "http://metadata.packet.net/events", strings.NewReader(body))
	request.RemoteAddr = device.IPAddresses[0].Address + ":40000"
	request.Header.Set("Content-Type", "application/json")
	answer := httptest.NewRecorder()
	y.MetadataHandler().ServeHTTP(answer, request)
	if answer.Code/100 != 2 {
		t.Fatalf("reporting: %d %s", answer.Code, answer.Body)
	}
}

func hear(t *testing.T, reports *devices.Reports, device *packet.Device, state, message string) {
	t.Helper()
	gotState, gotMessage, err := reports.Bootstrap(t.Context(), device)
	if err != nil || gotState != state || gotMessage != message {
		t.Errorf("heard %q, %q, %v, want %q, %q", gotState, gotMessage, err, state, message)
	}
}

func TestReportsOfAllMachinesComeInOneListing(t *testing.T) {
	y := newYard(t, 20)
	reports := devices.NewReports(y.reader, y.ProjectID, time.Minute, y.clock)
	for n, device := range y.devices[1:] {
		y.say(t, device, devices.BootstrapRunning, "")
		y.say(t, device, devices.BootstrapSucceeded, fmt.Sprint(n))
	}
	hear(t, reports, y.devices[0], "", "")
	for n, device := range y.devices[1:] {
		hear(t, reports, device, devices.BootstrapSucceeded, fmt.Sprint(n))
	}
	y.reader.expect(t, 1, 0)
}

// What a machine says within one second comes in its order, also where a listing has some of it again.
func TestTheLastReportOfASecondCounts(t *testing.T) {
	y := newYard(t, 1)
	reports := y.reports()
	for _, state := range []string{devices.BootstrapRunning, devices.BootstrapFailed, devices.BootstrapRunning, devices.BootstrapSucceeded} {
		y.say(t, y.devices[0], state, "")
		hear(t, reports, y.devices[0], state, "")
	}
	y.reader.expect(t, 4, 0)
}

// After a pause nobody knows what was said meanwhile: machines that are older are asked about once, and followed from then on.
func TestMachinesThatBootForLongAreAskedAboutOnce(t *testing.T) {
	y := newYard(t, 2)
	reports := y.reports()
	hear(t, reports, y.devices[0], "", "")
	y.say(t, y.devices[0], devices.BootstrapRunning, "")
	y.clock.pass(21 * time.Minute)
	for range 3 {
		hear(t, reports, y.devices[0], devices.BootstrapRunning, "")
		hear(t, reports, y.devices[1], "", "")
	}
	y.reader.expect(t, 7, 2)
	y.say(t, y.devices[1], devices.BootstrapFailed, "it broke")
	hear(t, reports, y.devices[1], devices.BootstrapFailed, "it broke")
	y.reader.expect(t, 8, 2)
}

// Nobody is asked about again because nothing happened for an hour.
func TestAQuietProjectCostsOneListing(t *testing.T) {
	y := newYard(t, 1)
	reports := y.reports()
	hear(t, reports, y.devices[0], "", "")
	for range 6 {
		y.clock.pass(15 * time.Minute)
		hear(t, reports, y.devices[0], "", "")
	}
	y.reader.expect(t, 7, 0)
	y.say(t, y.devices[0], devices.BootstrapSucceeded, "")
	hear(t, reports, y.devices[0], devices.BootstrapSucceeded, "")
	y.reader.expect(t, 8, 0)
}

// What other machines say for hours does not lose what one said in the beginning, as long as anybody wants to know it.
func TestReportsAreKeptAsLongAsTheyAreWanted(t *testing.T) {
	y := newYard(t, 3)
	reports := y.reports()
	y.say(t, y.devices[0], devices.BootstrapFailed, "early")
	hear(t, reports, y.devices[0], devices.BootstrapFailed, "early")
	for hour := range 3 {
		for quarter := range 4 {
			y.clock.pass(15 * time.Minute)
			y.say(t, y.devices[1], devices.BootstrapRunning, "")
			if hour < 2 || quarter == 0 {
				hear(t, reports, y.devices[0], devices.BootstrapFailed, "early")
			} else {
				hear(t, reports, y.devices[1], devices.BootstrapRunning, "")
			}
		}
	}
	y.reader.expect(t, 13, 0)
	// Nobody wanted to know of the last one for three hours, in which it said nothing.
	hear(t, reports, y.devices[2], "", "")
	hear(t, reports, y.devices[2], "", "")
	y.reader.expect(t, 15, 1)
}

func TestReportsPassErrorsOn(t *testing.T) {
	y := newYard(t, 1)
	reports := y.reports()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := reports.Bootstrap(ctx, y.devices[0]); err == nil {
		t.Error("a listing that was ended is no answer")
	}
	hear(t, reports, y.devices[0], "", "")
}
