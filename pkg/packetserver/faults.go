package packetserver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"time"
)

// Fault is a rule by which requests go wrong. One of Latency, Status and
// Reset is required; Status and Reset exclude each other.
type Fault struct {
	// ID names the rule; adding another one of that ID replaces it. Empty makes
	// one up.
	ID string
	// Operation is an operation ID of the API's OpenAPI document, as
	// createDevice; empty is all of them.
	Operation string
	// Caller is the ID or the description of a token, or the ID of its project
	// or its user; empty is everybody.
	Caller string
	// Probability is the share of the requests that go wrong, from 0 to 1, and
	// 0 stands for all of them. The choice is the same every time for the same
	// Seed.
	Probability float64
	Seed        uint64
	// Skip is how many requests go well before the first does not, Count how
	// many go wrong before the rule is over; 0 is without an end.
	Skip, Count int

	// Latency is how long the request waits, at most 10 minutes.
	Latency time.Duration
	// Status is what is answered, from 400 to 599, with Errors as texts and
	// RetryAfter as the header of that name, in seconds.
	Status     int
	Errors     []string
	RetryAfter int
	// Reset resets the connection instead of answering.
	Reset bool
	// AfterHandling carries the operation out first, so that its answer is what
	// gets lost.
	AfterHandling bool
}

// AddFault adds a rule, and returns its ID. Of several rules about a request
// the first one counts.
func (c *Control) AddFault(ctx context.Context, fault Fault) (id string, err error) {
	rule := map[string]any{
		"id": fault.ID, "operation": fault.Operation, "caller": fault.Caller, "seed": fault.Seed, "skip": fault.Skip, "count": fault.Count,
		"latency": fault.Latency.String(), "status": fault.Status, "errors": fault.Errors, "retry_after": fault.RetryAfter,
		"reset": fault.Reset, "after_handling": fault.AfterHandling,
	}
	if fault.Probability != 0 {
		rule["probability"] = fault.Probability
	}
	body, err := json.Marshal(rule)
	if err != nil {
		return "", fmt.Errorf("encoding a fault: %w", err)
	}
	var added struct {
		ID string `json:"id"`
	}
	err = c.do(ctx, http.MethodPost, "faults", body, &added)
	return added.ID, err
}

// RemoveFault takes a rule away.
func (c *Control) RemoveFault(ctx context.Context, id string) error {
	return c.do(ctx, http.MethodDelete, "faults/"+url.PathEscape(id), nil, nil)
}

// ClearFaults takes all rules away.
func (c *Control) ClearFaults(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "faults", nil, nil)
}

// Request is one that the server was sent.
type Request struct {
	Time      time.Time `json:"time"`
	ID        string    `json:"id"`
	Operation string    `json:"operation"`
	Method    string    `json:"method"`
	Path      string    `json:"path"`
	// Status is 0 for a connection that a rule reset.
	Status int `json:"status"`
	// Caller is the description of the token, empty without a good one.
	Caller    string `json:"caller"`
	UserAgent string `json:"user_agent"`
	// Fault is the rule that made it go wrong.
	Fault string `json:"fault"`
}

// Requests returns the last requests of an operation and of a caller, where
// empty is every one, at most 10,000, the oldest first.
func (c *Control) Requests(ctx context.Context, operation, caller string) ([]Request, error) {
	var list struct {
		Requests []Request `json:"requests"`
	}
	err := c.do(ctx, http.MethodGet, "requests?limit=10000&"+query(operation, caller), nil, &list)
	return list.Requests, err
}

// CountRequests returns how many requests there were of an operation and of a
// caller, where empty is every one, since the start or ClearRequests.
func (c *Control) CountRequests(ctx context.Context, operation, caller string) (int, error) {
	var counts struct {
		Total int `json:"total"`
	}
	err := c.do(ctx, http.MethodGet, "requests/counts?"+query(operation, caller), nil, &counts)
	return counts.Total, err
}

// ClearRequests forgets all requests.
func (c *Control) ClearRequests(ctx context.Context) error {
	return c.do(ctx, http.MethodDelete, "requests", nil, nil)
}
