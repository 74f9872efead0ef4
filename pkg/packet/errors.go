package packet

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"
)

// ErrorBody is what the API says when it refuses: either of the two is set.
type ErrorBody struct {
	Errors []string `json:"errors,omitempty"`
	Error  string   `json:"error,omitempty"`
}

// Messages are the texts of the body, without empty ones.
func (b ErrorBody) Messages() []string {
	var messages []string
	for _, message := range append([]string{b.Error}, b.Errors...) {
		if message = strings.TrimSpace(message); message != "" {
			messages = append(messages, message)
		}
	}
	return messages
}

// Error is an answer that is not what was asked for.
type Error struct {
	// StatusCode is HTTP's.
	StatusCode int
	// Messages are the API's own texts, or, where Unparsed, a description of
	// what came instead.
	Messages []string
	// Operation is the operation ID of the API's OpenAPI document, for
	// example findDeviceById.
	Operation string
	// RequestID is the X-Request-Id of the answer, for asking the API's operator.
	RequestID string
	// RetryAfter is how long the API asked to wait, 0 if it did not say.
	RetryAfter time.Duration
	// Unparsed is true when the answer was not of the API's form, so that a
	// proxy, a load balancer or quite another server may have given it. It
	// then says nothing about the object that was asked for.
	Unparsed bool
}

// Error implements error.
func (e *Error) Error() string {
	var text strings.Builder
	if e.Operation != "" {
		text.WriteString(e.Operation + ": ")
	}
	fmt.Fprintf(&text, "%d %s", e.StatusCode, http.StatusText(e.StatusCode))
	if len(e.Messages) > 0 {
		text.WriteString(": " + strings.Join(e.Messages, "; "))
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&text, " (retry after %s)", e.RetryAfter)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&text, " (request %s)", e.RequestID)
	}
	return text.String()
}

// TransportError is a request without an answer: the connection could not be
// made, broke, or took too long. The request may or may not have been carried
// out.
type TransportError struct {
	Operation string
	Err       error
}

// Error implements error.
func (e *TransportError) Error() string {
	return fmt.Sprintf("%s: no answer from the API: %v", e.Operation, e.Err)
}

// Unwrap implements the errors package's convention.
func (e *TransportError) Unwrap() error { return e.Err }

// beforeSending tells that not one byte of the request went out, so that even
// a request that must not be carried out twice can be sent again.
func (e *TransportError) beforeSending() bool {
	var operation *net.OpError
	return errors.As(e.Err, &operation) && operation.Op == "dial"
}

// hopeless tells that trying again soon is of no use.
func (e *TransportError) hopeless() bool {
	var certificate *tls.CertificateVerificationError
	return errors.As(e.Err, &certificate)
}

// IsNotFound tells that the API itself said that the object does not exist.
//
// Controllers delete nodes, make devices anew and drop finalizers on the
// strength of it. So it is true for one thing only: status 404 with the API's
// own error body. It is false for a failed connection, a time-out, a
// cancelled context, and for a 404 with any other body (HTML, plain text,
// JSON of another shape), which is what a proxy in between or a wrong base
// URL gives.
func IsNotFound(err error) bool { return answered(err, http.StatusNotFound) }

// IsUnauthorized tells that the API does not know the token.
func IsUnauthorized(err error) bool { return answered(err, http.StatusUnauthorized) }

// IsForbidden tells that the token is known, but not good for this.
func IsForbidden(err error) bool { return answered(err, http.StatusForbidden) }

// IsUnprocessable tells that the API understood the request and refuses it as
// it is. Asking the same again gives the same.
func IsUnprocessable(err error) bool { return answered(err, http.StatusUnprocessableEntity) }

// IsRateLimited tells that there were too many requests. The body does not
// matter: whoever says so, the cure is to wait.
func IsRateLimited(err error) bool {
	var e *Error
	return errors.As(err, &e) && e.StatusCode == http.StatusTooManyRequests
}

// IsTransient tells that the same request may succeed later without anything
// being changed: no answer, too many requests, a failure inside the API, or
// an answer that was not the API's. The context's own end is not transient:
// the caller has ended the request.
func IsTransient(err error) bool {
	var transport *TransportError
	if errors.As(err, &transport) {
		return !transport.hopeless()
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Unparsed || e.StatusCode >= 500 ||
			e.StatusCode == http.StatusTooManyRequests || e.StatusCode == http.StatusRequestTimeout
	}
	return false
}

// RetryAfter is how long the API asked to wait before the next request, and
// whether it asked at all.
func RetryAfter(err error) (time.Duration, bool) {
	var e *Error
	if errors.As(err, &e) && e.RetryAfter > 0 {
		return e.RetryAfter, true
	}
	return 0, false
}

func answered(err error, status int) bool {
	var e *Error
	return errors.As(err, &e) && e.StatusCode == status && !e.Unparsed
}

// errorFromAnswer makes an Error of an answer that is no success. The body
// decides whether the API gave it, not the Content-Type, which proxies rewrite.
func (c *Client) errorFromAnswer(operation string, answer *http.Response, body []byte) *Error {
	e := &Error{
		StatusCode: answer.StatusCode,
		Operation:  operation,
		RequestID:  c.withoutToken(answer.Header.Get("X-Request-Id")),
		RetryAfter: parseRetryAfter(answer.Header.Get("Retry-After"), c.clock.Now()),
	}
	var parsed ErrorBody
	if err := json.Unmarshal(body, &parsed); err == nil {
		for _, message := range parsed.Messages() {
			e.Messages = append(e.Messages, c.withoutToken(message))
		}
	}
	if len(e.Messages) == 0 {
		e.Unparsed = true
		e.Messages = []string{c.describeForeignAnswer(answer, body)}
	}
	return e
}

// describeForeignAnswer says what came instead of an answer of the API, and
// from where, which is what one needs to find the proxy or the wrong URL.
func (c *Client) describeForeignAnswer(answer *http.Response, body []byte) string {
	where := c.base.String()
	if answer.Request != nil && answer.Request.URL != nil {
		where = answer.Request.URL.Redacted()
	}
	text := fmt.Sprintf("the answer from %s is not the Packet API's (Content-Type %q", where, answer.Header.Get("Content-Type"))
	switch location := answer.Header.Get("Location"); {
	case answer.StatusCode/100 == 3 && location != "":
		text += fmt.Sprintf(", a redirection to %q, which is not followed", location)
	case answer.StatusCode/100 == 2 && bytes.ContainsAny(body[:min(len(body), 1)], "{["):
		// A success that is JSON may be an object of ours after all, and those
		// have secrets in them: user data, passwords.
	default:
		const enough = 120
		start := strings.Join(strings.Fields(string(body[:min(len(body), 4*enough)])), " ")
		if len(start) > enough {
			start = start[:enough] + "…"
		}
		text += fmt.Sprintf(", starting %q", start)
	}
	return c.withoutToken(text + ")")
}

// withoutToken guards against a server that repeats the token in its answer.
func (c *Client) withoutToken(text string) string {
	for _, secret := range append(c.used.all(), c.consumerToken) {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, redacted)
		}
	}
	return text
}

// contextError wraps the end of the caller's context. It holds the last
// failure as text only, so that no predicate takes it for an answer.
func contextError(ctx context.Context, operation string, last error) error {
	err := ctx.Err()
	if cause := context.Cause(ctx); !errors.Is(err, cause) {
		err = fmt.Errorf("%w: %w", err, cause)
	}
	if last != nil {
		return fmt.Errorf("%s: %w (last failure: %s)", operation, err, last.Error())
	}
	return fmt.Errorf("%s: %w", operation, err)
}
