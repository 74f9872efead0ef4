package mcm_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"regexp"
	"strings"
	"sync"

	"github.com/packetyard/packetyard/pkg/packet"
)

// wire is the way to the API. It counts requests by method and path, and can break.
type wire struct {
	mutex  sync.Mutex
	counts map[string]int
	bodies []string
	fault  func(*http.Request) *fault
}

// fault is what happens to a request.
type fault struct {
	// status is answered in place of the API, with the body.
	status int
	body   string
	// lose lets the API carry the request out, and loses its answer; drop loses the request.
	lose, drop bool
}

var errBroken = errors.New("connection reset by the test")

func (w *wire) RoundTrip(request *http.Request) (*http.Response, error) {
	var body []byte
	if request.Body != nil {
		var err error
		if body, err = io.ReadAll(request.Body); err != nil {
			return nil, err
		}
		request = request.Clone(request.Context())
		request.Body = io.NopCloser(bytes.NewReader(body))
	}
	w.mutex.Lock()
	kind := kindOf(request)
	w.counts[kind]++
	if kind == createDevice {
		w.bodies = append(w.bodies, string(body))
	}
	var f *fault
	if w.fault != nil {
		f = w.fault(request)
	}
	w.mutex.Unlock()
	switch {
	case f == nil:
		return http.DefaultTransport.RoundTrip(request)
	case f.drop:
		return nil, errBroken
	case f.lose:
		answer, err := http.DefaultTransport.RoundTrip(request)
		if err == nil {
			_, _ = io.Copy(io.Discard, answer.Body)
			answer.Body.Close()
		}
		return nil, errBroken
	}
	return &http.Response{
		StatusCode: f.status, Status: http.StatusText(f.status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(f.body)), Request: request,
	}, nil
}

// The kinds of requests that tests count.
const (
	createDevice = "POST devices"
	listDevices  = "GET projects/devices"
	readDevice   = "GET devices"
	deleteDevice = "DELETE devices"
	assignPort   = "POST ports/assign"
	listReserved = "GET projects/hardware-reservations"
)

var uuids = regexp.MustCompile(`/[0-9a-f]{8}-[0-9a-f-]{27}`)

func kindOf(request *http.Request) string {
	path := strings.TrimPrefix(uuids.ReplaceAllString(request.URL.Path, ""), "/metal/v1/")
	if request.Method == http.MethodPost && path == "projects/devices" {
		return createDevice
	}
	return request.Method + " " + path
}

// breaks gives requests of a kind a fault, the first few or, if count is negative, all.
func (w *wire) breaks(kind string, count int, f fault) {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.fault = func(request *http.Request) *fault {
		if kindOf(request) != kind || count == 0 {
			return nil
		}
		count--
		return &f
	}
}

// mend ends all faults.
func (w *wire) mend() {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	w.fault = nil
}

// count is how many requests of a kind there were; all if it is empty.
func (w *wire) count(kind string) int {
	w.mutex.Lock()
	defer w.mutex.Unlock()
	sum := 0
	for name, count := range w.counts {
		if kind == "" || name == kind {
			sum += count
		}
	}
	return sum
}

// lastCreate is the last request for a device.
func (r *rig) lastCreate() packet.DeviceCreate {
	r.t.Helper()
	r.wire.mutex.Lock()
	defer r.wire.mutex.Unlock()
	var sent packet.DeviceCreate
	if len(r.wire.bodies) == 0 {
		r.t.Fatal("no device was asked for")
	}
	if err := json.Unmarshal([]byte(r.wire.bodies[len(r.wire.bodies)-1]), &sent); err != nil {
		r.t.Fatal(err)
	}
	return sent
}
