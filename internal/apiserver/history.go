package apiserver

import (
	"cmp"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
)

// historySize is how many requests are remembered one by one.
const historySize = 10000

// history is what was asked of the server, for tests that want to know what a
// client does. It is this process's own, and kept only under --control.
type history struct {
	clock lifecycle.Clock

	mu     sync.Mutex
	last   []pastRequest
	next   int
	counts map[countedRequest]int
}

// pastRequest is a line of the request log.
type pastRequest struct {
	Time      time.Time `json:"time"`
	ID        string    `json:"id"`
	Operation string    `json:"operation"`
	Method    string    `json:"method"`
	// Path is with the query.
	Path string `json:"path"`
	// Status is 0 for a connection that was reset on purpose.
	Status int `json:"status"`
	// Caller is the description of the token, or its ID if it has none, and
	// empty for a request without a good token.
	Caller       string  `json:"caller"`
	UserAgent    string  `json:"user_agent,omitempty"`
	Fault        string  `json:"fault,omitempty"`
	Milliseconds float64 `json:"milliseconds"`
}

// countedRequest is what requests are counted by.
type countedRequest struct {
	Operation string `json:"operation"`
	Caller    string `json:"caller"`
	Status    int    `json:"status"`
}

// requestCount is how many there were of one kind.
type requestCount struct {
	countedRequest
	Count int `json:"count"`
}

func newHistory(clock lifecycle.Clock) *history {
	return &history{clock: clock, counts: map[countedRequest]int{}}
}

// add remembers a request. Its status is 0 where the connection was reset.
func (h *history) add(x *exchange, req *http.Request, status int, took time.Duration) {
	if h == nil {
		return
	}
	past := pastRequest{
		Time:         h.clock.Now().UTC(),
		ID:           x.id,
		Operation:    x.op.Operation,
		Method:       req.Method,
		Path:         req.URL.RequestURI(),
		Status:       status,
		UserAgent:    req.UserAgent(),
		Milliseconds: float64(took.Microseconds()) / 1000,
	}
	if x.token != nil {
		past.Caller = cmp.Or(x.token.Description, x.token.ID)
	}
	if x.fault != nil {
		past.Fault = x.fault.ID
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.counts[countedRequest{past.Operation, past.Caller, past.Status}]++
	if len(h.last) < historySize {
		h.last = append(h.last, past)
		return
	}
	h.last[h.next] = past
	h.next = (h.next + 1) % historySize
}

// list returns the newest requests that a filter lets through, at most so
// many, the oldest of them first.
func (h *history) list(operation, caller string, most int) []pastRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	found := []pastRequest{}
	for i := len(h.last) - 1; i >= 0 && len(found) < most; i-- {
		past := h.last[(h.next+i)%len(h.last)]
		if (operation == "" || past.Operation == operation) && (caller == "" || past.Caller == caller) {
			found = append(found, past)
		}
	}
	slices.Reverse(found)
	return found
}

// count returns how many requests there were since the last clear, by
// operation, caller and status.
func (h *history) count(operation, caller string) []requestCount {
	h.mu.Lock()
	defer h.mu.Unlock()
	counts := []requestCount{}
	for kind, n := range h.counts {
		if (operation == "" || kind.Operation == operation) && (caller == "" || kind.Caller == caller) {
			counts = append(counts, requestCount{kind, n})
		}
	}
	slices.SortFunc(counts, func(a, b requestCount) int {
		return cmp.Or(cmp.Compare(a.Operation, b.Operation), cmp.Compare(a.Caller, b.Caller), cmp.Compare(a.Status, b.Status))
	})
	return counts
}

func (h *history) clear() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.last, h.next = nil, 0
	clear(h.counts)
}
