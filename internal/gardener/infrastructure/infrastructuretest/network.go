package infrastructuretest

import (
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
)

// Network carries requests to the Packet API over HTTP. It remembers them, and it can break.
type Network struct {
	mutex    sync.Mutex
	requests []string
	fault    func(number int, r *http.Request) Verdict
}

// Verdict is what happens to a request.
type Verdict int

const (
	// Pass lets it through.
	Pass Verdict = iota
	// Lose has the API carry it out, and loses the answer.
	Lose
	// Drop loses the request.
	Drop
)

// ErrBroken is what a client sees of a request that the network has lost.
var ErrBroken = errors.New("connection reset by the test")

// RoundTrip implements http.RoundTripper.
func (n *Network) RoundTrip(r *http.Request) (*http.Response, error) {
	n.mutex.Lock()
	_, path, _ := strings.Cut(r.URL.Path, "/metal/v1")
	n.requests = append(n.requests, r.Method+" "+path)
	number, fault := len(n.requests), n.fault
	n.mutex.Unlock()
	verdict := Pass
	if fault != nil {
		verdict = fault(number, r)
	}
	if verdict == Drop {
		return nil, ErrBroken
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if verdict == Lose && err == nil {
		_, _ = io.Copy(io.Discard, answer.Body)
		_ = answer.Body.Close()
		return nil, ErrBroken
	}
	return answer, err
}

// Break sets what happens to requests, which are numbered from 1 since the last Forget. Nil mends the network.
func (n *Network) Break(fault func(number int, r *http.Request) Verdict) {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.fault = fault
}

// KilledAt is what the API sees of a process that is killed: it carries out so many requests, the answer to the last of which
// nobody hears, and gets none after it.
func KilledAt(request int) func(int, *http.Request) Verdict {
	return func(number int, _ *http.Request) Verdict {
		switch {
		case number < request:
			return Pass
		case number == request:
			return Lose
		default:
			return Drop
		}
	}
}

// Requests are those since the last Forget, as "GET /projects/…".
func (n *Network) Requests() []string {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	return append([]string(nil), n.requests...)
}

// Forget forgets the requests so far.
func (n *Network) Forget() {
	n.mutex.Lock()
	defer n.mutex.Unlock()
	n.requests = nil
}
