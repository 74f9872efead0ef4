package packet

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/url"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/time/rate"
)

// The defaults of Config.
const (
	DefaultUserAgent = "packetyard"
	DefaultTimeout   = 30 * time.Second
	DefaultQPS       = 20
	DefaultBurst     = 40
	DefaultRetries   = 4
	DefaultMaxWait   = 30 * time.Second
)

// The waits between attempts: doubled each time from the first to the longest.
const (
	firstBackoff = 250 * time.Millisecond
	maxBackoff   = 8 * time.Second
)

// The largest answers that are read. A page of 1000 devices with 64 KiB of
// user data each is the largest that the API gives.
const (
	maxAnswer      = 256 << 20
	maxErrorAnswer = 64 << 10
)

// Config configures a Client. BaseURL and one of Token and TokenSource are
// required.
type Config struct {
	// BaseURL is what all paths are appended to, for example
	// http://127.0.0.1:8080/metal/v1. It has no default: see Credentials.
	BaseURL string
	// Token goes into the header X-Auth-Token, and nowhere else.
	Token string
	// TokenSource gives the token instead, if it is set: one that changes.
	TokenSource TokenSource
	// ConsumerToken goes into X-Consumer-Token, if there is one.
	ConsumerToken string
	// UserAgent defaults to DefaultUserAgent. Name the program and its version.
	UserAgent string

	// HTTPClient defaults to one with the standard transport. Redirections are
	// not followed whatever it says, so that no other host sees the token.
	HTTPClient *http.Client
	// Timeout bounds one attempt, from the connection to the last byte.
	Timeout time.Duration
	// Retries is how often a failed request is sent again, negative for never.
	Retries int
	// MaxWait is the longest Retry-After that is waited for. A longer one is
	// returned with the error, so that a controller can requeue instead.
	MaxWait time.Duration
	// QPS and Burst make the token bucket. A negative QPS means no limit.
	QPS   float64
	Burst int

	// Registerer takes the client's metrics. Clients may share one.
	Registerer prometheus.Registerer
	// Logger hears of every attempt that failed and is made again. It defaults
	// to silence.
	Logger *slog.Logger
	// Clock defaults to SystemClock.
	Clock Clock
}

// String shows the configuration without its tokens.
func (c Config) String() string {
	return fmt.Sprintf("{BaseURL: %s, UserAgent: %s, Timeout: %s, Retries: %d, QPS: %g, Burst: %d}",
		c.BaseURL, c.UserAgent, c.Timeout, c.Retries, c.QPS, c.Burst)
}

// GoString implements fmt.GoStringer, so that %#v shows no token either.
func (c Config) GoString() string { return "packet.Config" + c.String() }

// LogValue implements slog.LogValuer.
func (c Config) LogValue() slog.Value { return slog.StringValue(c.String()) }

// Client speaks to one API with one token. It is safe for concurrent use.
//
// A request that failed is sent again if that can do no harm: reads, updates
// and deletions after a lost connection, a 5xx or a 429; creations only after
// a 429 or if the connection was never made, because a creation whose answer
// was lost may have happened. A deletion that is sent again can find its
// object gone: that is IsNotFound, as for any deletion.
type Client struct {
	base          *url.URL
	tokens        TokenSource
	used          *usedTokens
	consumerToken string
	userAgent     string
	http          *http.Client
	timeout       time.Duration
	retries       int
	maxWait       time.Duration
	limiter       *limiter
	metrics       *metrics
	log           *slog.Logger
	clock         Clock
	// jitter is uniform in [0,1).
	jitter func() float64
}

// NewClient makes a client. Its error names everything that is wrong with the
// configuration. Nothing is sent yet.
func NewClient(config Config) (*Client, error) {
	base, err := parseBaseURL(config.BaseURL)
	if config.TokenSource == nil {
		config.TokenSource = staticToken(config.Token)
		err = errors.Join(err, checkToken(config.Token))
	}
	if config.Burst < 0 {
		err = errors.Join(err, fmt.Errorf("burst is %d, it is at least 1", config.Burst))
	}
	if config.Timeout < 0 {
		err = errors.Join(err, fmt.Errorf("timeout is %s, it is positive", config.Timeout))
	}
	if err != nil {
		return nil, fmt.Errorf("configuring the Packet API client: %w", err)
	}
	meters, err := newMetrics(config.Registerer)
	if err != nil {
		return nil, fmt.Errorf("configuring the Packet API client: %w", err)
	}
	c := &Client{
		base:          base,
		tokens:        config.TokenSource,
		used:          &usedTokens{last: config.Token},
		consumerToken: config.ConsumerToken,
		userAgent:     or(config.UserAgent, DefaultUserAgent),
		timeout:       or(config.Timeout, DefaultTimeout),
		retries:       max(or(config.Retries, DefaultRetries), 0),
		maxWait:       or(config.MaxWait, DefaultMaxWait),
		metrics:       meters,
		log:           config.Logger,
		clock:         config.Clock,
		jitter:        rand.Float64,
	}
	if c.clock == nil {
		c.clock = SystemClock{}
	}
	if c.log == nil {
		c.log = slog.New(slog.DiscardHandler)
	}
	limit := rate.Limit(or(config.QPS, DefaultQPS))
	if limit < 0 {
		limit = rate.Inf
	}
	c.limiter = &limiter{clock: c.clock, bucket: rate.NewLimiter(limit, or(config.Burst, DefaultBurst))}

	client := http.Client{}
	if config.HTTPClient != nil {
		client = *config.HTTPClient
	}
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.http = &client
	return c, nil
}

// String shows where the client speaks to, and no token.
func (c *Client) String() string { return "Packet API at " + c.base.String() }

// GoString implements fmt.GoStringer, so that %#v shows no token either.
func (c *Client) GoString() string { return c.String() }

// LogValue implements slog.LogValuer.
func (c *Client) LogValue() slog.Value { return slog.StringValue(c.String()) }

func or[T comparable](value, otherwise T) T {
	var zero T
	if value == zero {
		return otherwise
	}
	return value
}

// request is one operation of the API.
type request struct {
	// operation is its ID in the OpenAPI document, the name of it in metrics
	// and errors.
	operation string
	method    string
	// path is below the base URL and begins with a slash.
	path  string
	query url.Values
	// body is sent as JSON, unless nil.
	body any
	// into takes the answer's JSON, unless nil.
	into any
}

// repeatable tells whether carrying the request out twice is like once.
func (r request) repeatable() bool {
	return r.method != http.MethodPost && r.method != http.MethodPatch
}

// do sends a request until it is answered for good.
func (c *Client) do(ctx context.Context, r request) error {
	var body []byte
	if r.body != nil {
		var err error
		if body, err = json.Marshal(r.body); err != nil {
			return fmt.Errorf("%s: encoding the request: %w", r.operation, err)
		}
	}
	var last error
	for attempt := 0; ; attempt++ {
		held, err := c.limiter.wait(ctx)
		if err != nil {
			switch {
			case ctx.Err() != nil:
				return contextError(ctx, r.operation, last)
			case last != nil:
				return last
			}
			return fmt.Errorf("%s: %w", r.operation, err)
		}
		if held > 0 {
			c.metrics.throttle.Observe(held.Seconds())
		}
		if last != nil {
			c.metrics.retries.WithLabelValues(r.operation).Inc()
		}
		if err = c.attempt(ctx, r, body); err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return contextError(ctx, r.operation, err)
		}
		wait, again := c.retry(r, err, attempt)
		if !again {
			return err
		}
		if deadline, ok := ctx.Deadline(); ok && deadline.Sub(c.clock.Now()) < wait {
			return err
		}
		c.log.WarnContext(ctx, "request to the Packet API failed and is sent again",
			"operation", r.operation, "attempt", attempt+1, "wait", wait, "error", err)
		if c.clock.Sleep(ctx, wait) != nil {
			return contextError(ctx, r.operation, err)
		}
		last = err
	}
}

// retry tells whether to send a request again after a failure, and when.
func (c *Client) retry(r request, err error, attempt int) (time.Duration, bool) {
	var answer *Error
	var transport *TransportError
	again := false
	switch {
	case errors.As(err, &answer) && answer.StatusCode == http.StatusTooManyRequests:
		// It was refused before anything was done, so it can be any request.
		again = true
	case errors.As(err, &answer):
		switch answer.StatusCode {
		case http.StatusRequestTimeout, http.StatusInternalServerError, http.StatusBadGateway,
			http.StatusServiceUnavailable, http.StatusGatewayTimeout:
			again = r.repeatable()
		}
	case errors.As(err, &transport):
		again = (r.repeatable() || transport.beforeSending()) && !transport.hopeless()
	}
	// Half of the wait is by chance, so that many clients that failed at the
	// same moment do not come back at the same moment.
	backoff := min(firstBackoff<<min(attempt, 16), maxBackoff)
	wait := backoff/2 + time.Duration(c.jitter()*float64(backoff/2))
	if answer != nil && answer.RetryAfter > 0 {
		wait = answer.RetryAfter
		if answer.StatusCode == http.StatusTooManyRequests {
			c.limiter.pause(c.clock.Now().Add(min(wait, c.maxWait)))
		}
	}
	return wait, again && attempt < c.retries && wait <= c.maxWait
}

// attempt sends a request once.
func (c *Client) attempt(ctx context.Context, r request, body []byte) (err error) {
	attemptCtx, cancel := context.WithTimeoutCause(ctx, c.timeout, fmt.Errorf("no answer within %s: %w", c.timeout, context.DeadlineExceeded))
	defer cancel()

	started := c.clock.Now()
	code := codeTransportError
	defer func() {
		if ctx.Err() != nil && code == codeTransportError {
			code = codeCancelled
		}
		c.metrics.observe(r.operation, code, c.clock.Now().Sub(started))
	}()

	outgoing, err := c.newRequest(attemptCtx, r, body)
	if err != nil {
		return err
	}
	answer, err := c.http.Do(outgoing)
	if err != nil {
		return &TransportError{Operation: r.operation, Err: timeoutCause(attemptCtx, err)}
	}
	defer func() { _ = answer.Body.Close() }()

	limit := int64(maxAnswer)
	if answer.StatusCode/100 != 2 {
		limit = maxErrorAnswer
	}
	content, err := readAll(answer, limit)
	if err != nil && answer.StatusCode/100 == 2 {
		return &TransportError{Operation: r.operation, Err: fmt.Errorf("reading the answer: %w", timeoutCause(attemptCtx, err))}
	}
	code = statusLabel(answer.StatusCode)
	if answer.StatusCode/100 != 2 {
		return c.errorFromAnswer(r.operation, answer, content)
	}
	if r.into == nil {
		return nil
	}
	if err := json.Unmarshal(content, r.into); err != nil {
		e := &Error{StatusCode: answer.StatusCode, Operation: r.operation, RequestID: answer.Header.Get("X-Request-Id"), Unparsed: true}
		e.Messages = []string{fmt.Sprintf("decoding the answer: %v; %s", err, c.describeForeignAnswer(answer, content))}
		return e
	}
	return nil
}

func (c *Client) newRequest(ctx context.Context, r request, body []byte) (*http.Request, error) {
	target := *c.base
	target.Path += r.path
	target.RawQuery = r.query.Encode()
	var reader io.Reader
	if body != nil {
		reader = bytes.NewReader(body)
	}
	outgoing, err := http.NewRequestWithContext(ctx, r.method, target.String(), reader)
	if err != nil {
		return nil, fmt.Errorf("%s: making the request: %w", r.operation, err)
	}
	token, err := c.tokens.Token(ctx)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: %w", r.operation, ErrToken, err)
	}
	c.used.add(token)
	outgoing.Header.Set("X-Auth-Token", token)
	if c.consumerToken != "" {
		outgoing.Header.Set("X-Consumer-Token", c.consumerToken)
	}
	outgoing.Header.Set("Accept", "application/json")
	outgoing.Header.Set("User-Agent", c.userAgent)
	if body != nil {
		outgoing.Header.Set("Content-Type", "application/json")
	}
	return outgoing, nil
}

// readAll reads an answer's body, of which the server may have told the size.
func readAll(answer *http.Response, limit int64) ([]byte, error) {
	var buffer bytes.Buffer
	if size := answer.ContentLength; size > 0 && size <= limit {
		buffer.Grow(int(size) + bytes.MinRead)
	}
	n, err := buffer.ReadFrom(io.LimitReader(answer.Body, limit+1))
	if err == nil && n > limit {
		err = fmt.Errorf("it is larger than %d bytes", limit)
	}
	return buffer.Bytes(), err
}

// timeoutCause names the attempt's own time-out where that ended it, because
// net/http calls every end of a context by the same name.
func timeoutCause(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// malformed is an answer that has the API's form and cannot be true.
func (c *Client) malformed(operation, what string) error {
	return &Error{
		StatusCode: http.StatusOK,
		Operation:  operation,
		Unparsed:   true,
		Messages:   []string{fmt.Sprintf("the answer from %s is not the Packet API's: %s", c.base, what)},
	}
}

// checkID keeps anything but a UUID out of paths. Without it, deleting the
// device "" would be a request to the list of devices.
func checkID(kind, id string) error {
	if !isUUID(id) {
		return fmt.Errorf("%s ID %q is not a UUID", kind, id)
	}
	return nil
}

// get reads one object. The answer must have the ID that identify finds in
// it: {} is JSON too, and no object.
func get[T any](ctx context.Context, c *Client, operation, path string, q url.Values, identify func(*T) string) (*T, error) {
	return send(ctx, c, request{operation: operation, method: http.MethodGet, path: path, query: q}, identify)
}

// send carries out a request that answers with one object.
func send[T any](ctx context.Context, c *Client, r request, identify func(*T) string) (*T, error) {
	object := new(T)
	r.into = object
	if err := c.do(ctx, r); err != nil {
		return nil, err
	}
	if identify(object) == "" {
		return nil, c.malformed(r.operation, "the object has no ID")
	}
	return object, nil
}
