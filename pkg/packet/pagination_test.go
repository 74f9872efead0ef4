package packet

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
)

// pagedServer serves n devices in pages, as different servers write them.
type pagedServer struct {
	*httptest.Server
	devices int
	// perPage is the server's limit, whatever is asked for.
	perPage int
	// meta writes a page's meta, nil leaves it out.
	meta func(page, lastPage, total int) *Meta
	// before runs before a page is answered and may change the server.
	before func(s *pagedServer, page int)
	// first is the number of the first device, so that devices can go.
	first int
	pages []int
}

func newPagedServer(t testing.TB, devices, perPage int, meta func(page, lastPage, total int) *Meta) *pagedServer {
	s := &pagedServer{devices: devices, perPage: perPage, meta: meta}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *pagedServer) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	page, _ := strconv.Atoi(r.URL.Query().Get("page"))
	if s.before != nil {
		s.before(s, page)
	}
	s.pages = append(s.pages, page)
	list := DeviceList{Devices: []Device{}}
	for i := (page - 1) * s.perPage; i < min(page*s.perPage, s.devices); i++ {
		list.Devices = append(list.Devices, Device{ID: numberedID(s.first + i)})
	}
	if s.meta != nil {
		list.Meta = s.meta(page, max((s.devices+s.perPage-1)/s.perPage, 1), s.devices)
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(list)
}

func fullMeta(page, lastPage, total int) *Meta {
	meta := &Meta{Total: total, CurrentPage: page, LastPage: lastPage}
	if page < lastPage {
		meta.Next = &Href{Href: fmt.Sprintf("/metal/v1/projects/x/devices?page=%d", page+1)}
	}
	return meta
}

func TestListsAreReadToTheEnd(t *testing.T) {
	for _, test := range []struct {
		name    string
		devices int
		meta    func(page, lastPage, total int) *Meta
		pages   int
	}{
		{"no devices", 0, fullMeta, 1},
		{"one page", 10, fullMeta, 1},
		{"one more", 11, fullMeta, 2},
		{"many pages", 95, fullMeta, 10},
		{"last_page alone", 35, func(_, last, _ int) *Meta { return &Meta{LastPage: last} }, 4},
		{"next without current_page", 35, func(page, last, _ int) *Meta {
			meta := fullMeta(page, last, 0)
			return &Meta{Next: meta.Next}
		}, 4},
		{"next without a number", 35, func(page, last, total int) *Meta {
			if page == last {
				return &Meta{Total: total}
			}
			return &Meta{Next: &Href{Href: "/projects/x/devices"}, Total: total}
		}, 4},
		{"total alone", 35, func(_, _, total int) *Meta { return &Meta{Total: total} }, 4},
		{"next for ever", 35, func(int, int, int) *Meta { return &Meta{Next: &Href{Href: "/projects/x/devices"}} }, 5},
		{"no meta", 10, nil, 1},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newPagedServer(t, test.devices, 10, test.meta)
			c, _ := newTestClient(t, s.URL)
			devices, err := c.Devices(t.Context(), testProject, DeviceFilter{})
			if err != nil {
				t.Fatal(err)
			}
			if len(devices) != test.devices {
				t.Fatalf("got %d devices, want %d", len(devices), test.devices)
			}
			for i, d := range devices {
				if d.ID != numberedID(i) {
					t.Fatalf("device %d is %s", i, d.ID)
				}
			}
			if len(s.pages) != test.pages {
				t.Errorf("asked for pages %v, want %d", s.pages, test.pages)
			}
		})
	}
}

func TestAServerThatIgnoresThePageIsNotReadForEver(t *testing.T) {
	s := newScript(t, ok(`{"devices":[{"id":"`+numberedID(1)+`"}],"meta":{"next":{"href":"/projects/x/devices"}}}`))
	c, _ := newTestClient(t, s.URL)
	devices, err := c.Devices(t.Context(), testProject, DeviceFilter{})
	if err != nil || len(devices) != 1 || len(s.asked()) != 2 {
		t.Errorf("got %d devices, %v, in %d requests", len(devices), err, len(s.asked()))
	}
}

func TestListsThatCannotBeTrueAreErrors(t *testing.T) {
	for _, test := range []struct{ name, body string }{
		{"no such key", `{}`},
		{"null", `{"devices":null}`},
		{"another list", `{"projects":[]}`},
		{"another page", `{"devices":[],"meta":{"current_page":2,"last_page":2}}`},
		{"next does not advance", `{"devices":[{"id":"x"}],"meta":{"next":{"href":"/x?page=1"}}}`},
		{"next is no number", `{"devices":[{"id":"x"}],"meta":{"next":{"href":"/x?page=two"}}}`},
		{"fewer than it says", `{"devices":[{"id":"x"}],"meta":{"total":3,"current_page":1,"last_page":1}}`},
		{"an object of another kind", `{"devices":{"id":"x"}}`},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := newScript(t, ok(test.body))
			c, _ := newTestClient(t, s.URL)
			devices, err := c.Devices(t.Context(), testProject, DeviceFilter{})
			if err == nil || IsNotFound(err) {
				t.Errorf("got %v, %v", devices, err)
			}
		})
	}
}

func TestAFailureOnALaterPageFailsTheList(t *testing.T) {
	page := `{"devices":[{"id":"` + numberedID(1) + `"}],"meta":{"total":2,"current_page":1,"last_page":2}}`
	s := newScript(t, ok(page), apiError(404, "Not found"))
	c, _ := newTestClient(t, s.URL)
	if devices, err := c.Devices(t.Context(), testProject, DeviceFilter{}); err == nil || devices != nil {
		t.Errorf("got %v, %v", devices, err)
	}
}

// A device that goes between two pages pulls one of the second page to the
// first, where it is not seen. Taking the list for complete, a controller
// would make that device a second time.
func TestADeviceThatMovesBetweenPagesIsNotMissed(t *testing.T) {
	s := newPagedServer(t, 25, 10, fullMeta)
	s.before = func(s *pagedServer, page int) {
		if page == 2 && s.first == 0 {
			s.first, s.devices = 1, 24
		}
	}
	c, _ := newTestClient(t, s.URL)
	devices, err := c.Devices(t.Context(), testProject, DeviceFilter{})
	if err != nil || len(devices) != 24 {
		t.Fatalf("got %d devices, %v", len(devices), err)
	}
	seen := map[string]bool{}
	for _, d := range devices {
		seen[d.ID] = true
	}
	for i := 1; i < 25; i++ {
		if !seen[numberedID(i)] {
			t.Errorf("device %d is missing", i)
		}
	}
}

func TestAListThatKeepsShrinkingIsAnError(t *testing.T) {
	s := newPagedServer(t, 95, 10, fullMeta)
	s.before = func(s *pagedServer, page int) {
		if page == 2 {
			s.first++
			s.devices--
		}
	}
	c, _ := newTestClient(t, s.URL)
	if _, err := c.Devices(t.Context(), testProject, DeviceFilter{}); !errors.Is(err, ErrListChanged) || IsNotFound(err) {
		t.Errorf("error is %v", err)
	}
}

// Devices that come while a list is read push others to later pages.
func TestADeviceSeenTwiceIsListedOnce(t *testing.T) {
	s := newPagedServer(t, 25, 10, fullMeta)
	s.before = func(s *pagedServer, page int) {
		if page == 2 && s.devices == 25 {
			s.first, s.devices = -1, 26
		}
	}
	c, _ := newTestClient(t, s.URL)
	devices, err := c.Devices(t.Context(), testProject, DeviceFilter{})
	if err != nil || len(devices) != 25 {
		t.Errorf("got %d devices, %v, want the 25 of the beginning", len(devices), err)
	}
}

func BenchmarkDevices1000(b *testing.B) { benchmarkDevices(b, 1000) }
func BenchmarkDevices5000(b *testing.B) { benchmarkDevices(b, 5000) }

// benchmarkDevices lists devices of the usual size, the server's own work and
// the loopback included.
func benchmarkDevices(b *testing.B, n int) {
	pages := make([][]byte, 0, n/MaxPerPage)
	for page := range n / MaxPerPage {
		devices := make([]string, MaxPerPage)
		for i := range devices {
			devices[i] = deviceJSON(numberedID(page*MaxPerPage+i), fmt.Sprintf("node-%d", i))
		}
		meta, err := json.Marshal(fullMeta(page+1, n/MaxPerPage, n))
		if err != nil {
			b.Fatal(err)
		}
		pages = append(pages, []byte(`{"devices":[`+strings.Join(devices, ",")+`],"meta":`+string(meta)+`}`))
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		page, _ := strconv.Atoi(r.URL.Query().Get("page"))
		_, _ = w.Write(pages[page-1])
	}))
	defer server.Close()
	c, _ := newTestClient(b, server.URL)
	b.ReportAllocs()
	for b.Loop() {
		devices, err := c.Devices(b.Context(), testProject, DeviceFilter{})
		if err != nil || len(devices) != n {
			b.Fatal(len(devices), err)
		}
	}
}

func BenchmarkDevice(b *testing.B) {
	body := []byte(deviceJSON(testDevice, "node-1"))
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) }))
	defer server.Close()
	c, _ := newTestClient(b, server.URL)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.Device(b.Context(), testDevice); err != nil {
			b.Fatal(err)
		}
	}
}
