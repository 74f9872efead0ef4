package apiserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// fault is a rule by which requests go wrong.
type fault struct {
	// ID names the rule; it is made up if empty.
	ID string `json:"id,omitempty"`
	// Operation is an operation ID of the API; empty is all of them.
	Operation string `json:"operation,omitempty"`
	// Caller is the ID or the description of a token, or the ID of its project
	// or its user; empty is everybody.
	Caller string `json:"caller,omitempty"`
	// Probability is the share of the requests that go wrong, from 0 to 1;
	// nil is all of them.
	Probability *float64 `json:"probability,omitempty"`
	// Seed makes the choice by probability the same every time.
	Seed uint64 `json:"seed,omitempty"`
	// Skip is how many requests go well before the first does not, Count how
	// many go wrong before the rule is over; 0 is without an end.
	Skip  int `json:"skip,omitempty"`
	Count int `json:"count,omitempty"`

	// Latency is how long the request waits, as 1.5s or 200ms.
	Latency duration `json:"latency,omitempty"`
	// Status is what is answered, from 400 to 599, with Errors; RetryAfter is
	// the header of that name, in seconds.
	Status     int      `json:"status,omitempty"`
	Errors     []string `json:"errors,omitempty"`
	RetryAfter int      `json:"retry_after,omitempty"`
	// Reset resets the connection instead of answering.
	Reset bool `json:"reset,omitempty"`
	// AfterHandling carries the operation out first, so that its answer is what
	// gets lost.
	AfterHandling bool `json:"after_handling,omitempty"`
}

// Bounds of what a rule may say.
const (
	maxFaultLatency = 10 * time.Minute
	maxFaultRules   = 1000
)

// validate says what is wrong with a rule, by field.
func (f *fault) validate(operations map[string]bool) error {
	var p problems
	if f.Operation != "" && !operations[f.Operation] {
		p.add("operation %q is no operation of the API; an example of one is createDevice", shortened(f.Operation))
	}
	if f.Probability != nil && (*f.Probability < 0 || *f.Probability > 1) {
		p.add("probability %v is not between 0 and 1", *f.Probability)
	}
	if f.Skip < 0 {
		p.add("skip %d is less than 0", f.Skip)
	}
	if f.Count < 0 {
		p.add("count %d is less than 0", f.Count)
	}
	if f.Latency < 0 || time.Duration(f.Latency) > maxFaultLatency {
		p.add("latency %v is not between 0 and %v", time.Duration(f.Latency), maxFaultLatency)
	}
	if f.Status != 0 && (f.Status < 400 || f.Status > 599) {
		p.add("status %d is not between 400 and 599", f.Status)
	}
	if f.Status == 0 && (len(f.Errors) > 0 || f.RetryAfter != 0) {
		p.add("errors and retry_after need a status")
	}
	if f.RetryAfter < 0 {
		p.add("retry_after %d is less than 0", f.RetryAfter)
	}
	if f.Reset && f.Status != 0 {
		p.add("reset and status exclude each other")
	}
	if !f.Reset && f.Status == 0 && f.Latency == 0 {
		p.add("the rule does nothing: it needs latency, status or reset")
	}
	return p.err()
}

// matches tells whether a rule is about a request.
func (f *fault) matches(x *exchange) bool {
	return (f.Operation == "" || f.Operation == x.op.Operation) && (f.Caller == "" || isCaller(x.token, f.Caller))
}

// isCaller tells whether a name is one of those of a token.
func isCaller(token *store.Token, name string) bool {
	return token != nil && (name == token.ID || name == token.Description || name == token.ProjectID || name == token.UserID)
}

// wait takes the time that a rule says, in the time of the host: the network
// is slow, whatever the devices' clock shows.
func (f *fault) wait(ctx context.Context) {
	if f.Latency == 0 {
		return
	}
	timer := time.NewTimer(time.Duration(f.Latency))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// fails tells whether there is another answer than the right one.
func (f *fault) fails() bool { return f.Reset || f.Status != 0 }

func (f *fault) resets() bool { return f != nil && f.Reset }

func (f *fault) answer() response {
	texts := f.Errors
	if len(texts) == 0 {
		texts = []string{http.StatusText(f.Status)}
	}
	body, _ := json.Marshal(packet.ErrorBody{Errors: texts})
	answer := response{status: f.Status, body: body}
	if f.RetryAfter > 0 {
		answer.header = http.Header{"Retry-After": {fmt.Sprint(f.RetryAfter)}}
	}
	return answer
}

// reset ends a connection in the rudest way that its protocol has.
func reset(w http.ResponseWriter) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		// HTTP/2 has streams to reset, which this does.
		panic(http.ErrAbortHandler)
	}
	if tcp, ok := conn.(*net.TCPConn); ok {
		// What is unsent is dropped, and the client gets a reset.
		_ = tcp.SetLinger(0)
	}
	_ = conn.Close()
}

// duration is a time.Duration that is written as one writes them in Go.
type duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d duration) MarshalText() ([]byte, error) { return []byte(time.Duration(d).String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *duration) UnmarshalText(text []byte) error {
	value, err := time.ParseDuration(string(text))
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "time: "))
	}
	*d = duration(value)
	return nil
}
