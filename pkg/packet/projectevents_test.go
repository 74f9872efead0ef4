package packet

import (
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"
)

// eventServer serves a project's events, newest first, one a second.
type eventServer struct {
	*httptest.Server
	newest time.Time
	events int
	// before runs before a page is answered and may change the server.
	before func(s *eventServer, page int)
	pages  []int
}

func newEventServer(t testing.TB, events int) *eventServer {
	s := &eventServer{events: events, newest: time.Date(2026, 11, 21, 12, 0, 0, 0, time.UTC)}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *eventServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	size, _ := strconv.Atoi(r.URL.Query().Get("per_page"))
	if s.before != nil {
		s.before(s, page)
	}
	s.pages = append(s.pages, page)
	list := EventList{Events: []Event{}, Meta: &Meta{Total: s.events, CurrentPage: page, LastPage: (s.events + size - 1) / size}}
	for i := (page - 1) * size; i < min(page*size, s.events); i++ {
		list.Events = append(list.Events, Event{
			ID: numberedID(i), Type: UserStateRunning, CreatedAt: NewTimestamp(s.newest.Add(-time.Duration(i) * time.Second)),
			Relationships: []Href{{Href: "/metal/v1/devices/" + testDevice}},
		})
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list)
}

func TestProjectEventsReadsNoMorePagesThanItMust(t *testing.T) {
	for name, test := range map[string]struct {
		events, since, want, pages int
	}{
		"nothing happened":             {0, 10, 0, 1},
		"all is on the first page":     {1000, 10, 11, 1},
		"all of the first page":        {1000, perPageOfEvents - 1, perPageOfEvents, 2},
		"several pages":                {1000, 600, 601, 3},
		"everything":                   {1000, 5000, 1000, 4},
		"everything, which is little":  {3, 5000, 3, 1},
		"everything, which fills one":  {perPageOfEvents, 5000, perPageOfEvents, 1},
		"nothing since then":           {1000, -1, 0, 1},
		"what happened in that second": {1000, 0, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			server := newEventServer(t, test.events)
			// Times of events have whole seconds, so that one of this second can be later than since.
			since := server.newest.Add(-time.Duration(test.since)*time.Second + 900*time.Millisecond)
			c, _ := newTestClient(t, server.URL)
			events, err := c.ProjectEvents(t.Context(), testProject, since)
			if err != nil || len(events) != test.want || len(server.pages) != test.pages {
				t.Errorf("%d events by pages %v, %v, want %d by %d", len(events), server.pages, err, test.want, test.pages)
			}
			for n := range events {
				if events[n].ID != numberedID(n) || events[n].DeviceID() != testDevice {
					t.Fatalf("event %d is %+v", n, events[n])
				}
			}
		})
	}
}

// Events go when their device does. Those on later pages move up then, and the ones that skip a page would be missed.
func TestProjectEventsReadsAnewWhenEventsWent(t *testing.T) {
	server := newEventServer(t, 1000)
	server.before = func(s *eventServer, page int) {
		if page == 2 && len(s.pages) == 1 {
			s.events -= 12
		}
	}
	c, _ := newTestClient(t, server.URL)
	events, err := c.ProjectEvents(t.Context(), testProject, server.newest.Add(-400*time.Second))
	if err != nil || len(events) != 401 || !slices.Equal(server.pages, []int{1, 2, 1}) {
		t.Errorf("%d events by pages %v, %v, want 401 after reading anew", len(events), server.pages, err)
	}
	server.events = 5000
	server.before = func(s *eventServer, page int) {
		if page == 2 {
			s.events--
		}
	}
	if _, err := c.ProjectEvents(t.Context(), testProject, server.newest.Add(-4000*time.Second)); !errors.Is(err, ErrListChanged) {
		t.Errorf("events that go all the time: %v, want ErrListChanged", err)
	}
}

func TestDeviceIDOfAnEvent(t *testing.T) {
	for href, want := range map[string]string{
		"/metal/v1/devices/" + testDevice:                               testDevice,
		"https://api.packet.example/metal/v1/devices/" + testDevice:     testDevice,
		"/metal/v1/projects/" + testProject:                             "",
		"/metal/v1/devices/" + testDevice + "/bgp/sessions/" + testUser: "",
		"": "",
	} {
		event := Event{Relationships: []Href{{Href: "/metal/v1/users/" + testUser}, {Href: href}}}
		if got := event.DeviceID(); got != want {
			t.Errorf("%s: %q, want %q", href, got, want)
		}
	}
	if got := (&Event{}).DeviceID(); got != "" {
		t.Errorf("an event that is about nothing is about device %q", got)
	}
}

const testUser = "0d2f3a4b-6f1b-4d3c-9b6e-8c5a5a2e5c6d"
