package apiserver

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
)

// RateLimit is how often one token may ask. Each server counts for itself, so
// replicas together allow a multiple of it.
type RateLimit struct {
	// Requests is how many are answered per window; 0 is without a limit.
	Requests int
	// Window is how long a count lasts. A minute if 0.
	Window time.Duration
}

// limiter counts the requests of every token in windows of fixed length,
// which is what the headers of the API can tell a client: how many are left,
// and until when.
type limiter struct {
	limit  RateLimit
	clock  lifecycle.Clock
	refuse func()

	mu    sync.Mutex
	until time.Time
	used  map[string]int
}

func newLimiter(limit RateLimit, clock lifecycle.Clock, refused func()) *limiter {
	if limit.Requests == 0 {
		return nil
	}
	return &limiter{limit: limit, clock: clock, refuse: refused, used: map[string]int{}}
}

// quota is what is left to a token, as of one request.
type quota struct {
	limit, remaining int
	// reset is when the count begins anew.
	reset time.Time
}

// take counts a request against a key, and notes in the exchange what is
// left. It refuses with 429 (RFC 6585) when nothing is.
func (l *limiter) take(x *exchange, key string) error {
	if l == nil {
		return nil
	}
	now := l.clock.Now()
	l.mu.Lock()
	if !now.Before(l.until) {
		// All windows end together, so that what is counted can be dropped whole,
		// however many there were that asked once.
		l.until = now.Truncate(l.limit.Window).Add(l.limit.Window)
		clear(l.used)
	}
	used, reset := l.used[key]+1, l.until
	if used <= l.limit.Requests {
		l.used[key] = used
	}
	l.mu.Unlock()

	x.quota = quota{limit: l.limit.Requests, remaining: max(l.limit.Requests-used, 0), reset: reset}
	if used <= l.limit.Requests {
		return nil
	}
	l.refuse()
	seconds := int(reset.Sub(now)/time.Second) + 1
	return &apiError{
		status:   http.StatusTooManyRequests,
		messages: []string{"Rate limit exceeded: more than " + strconv.Itoa(l.limit.Requests) + " requests in " + l.limit.Window.String()},
		header:   http.Header{"Retry-After": {strconv.Itoa(seconds)}},
	}
}

// describe writes the headers that clients of the API read: the limit, what is
// left of it, and when it begins anew, in seconds since 1970.
func (q quota) describe(header http.Header) {
	if q.limit == 0 {
		return
	}
	header["X-Ratelimit-Limit"] = []string{strconv.Itoa(q.limit)}
	header["X-Ratelimit-Remaining"] = []string{strconv.Itoa(q.remaining)}
	header["X-Ratelimit-Reset"] = []string{strconv.FormatInt(q.reset.Unix(), 10)}
}

// limitedAddress is what requests without a good token are counted by: the
// address they come from, and of an IPv6 one the network, since whoever has
// one of its addresses has them all.
func limitedAddress(remote string) string {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	address, err := netip.ParseAddr(host)
	if err != nil {
		return "address " + host
	}
	bits := 32
	if address = address.Unmap(); address.Is6() {
		bits = 64
	}
	network, err := address.WithZone("").Prefix(bits)
	if err != nil {
		return "address " + host
	}
	return "address " + network.String()
}
