package ccm

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/klog/v2"

	"github.com/packetyard/packetyard/pkg/packet"
)

// newClient makes the client of the Packet API. Where the token is from a
// file, the client follows the file.
func newClient(c config, path string, clock packet.Clock, registerer prometheus.Registerer) (*packet.Client, error) {
	logger := slog.New(logr.ToSlogHandler(klog.Background()))
	clientConfig := packet.Config{
		BaseURL:    c.credentials.APIURL,
		Token:      c.credentials.APIToken,
		UserAgent:  component,
		Timeout:    c.apiTimeout,
		Registerer: registerer,
		Logger:     logger,
		Clock:      clock,
	}
	var err error
	switch {
	case c.tokenFile != "":
		clientConfig.TokenSource, err = tokenSource(packet.NewTokenFile(c.tokenFile, nil, clock, logger))
	case path != "" && c.origins["apiKey"].kind == fromFile:
		clientConfig.TokenSource, err = tokenSource(packet.NewTokenFile(path, tokenOfFile, clock, logger))
	}
	if err != nil {
		return nil, err
	}
	if c.debug {
		clientConfig.HTTPClient = &http.Client{Transport: &loggingTransport{next: http.DefaultTransport, clock: clock}}
	}
	return packet.NewClient(clientConfig)
}

// tokenSource keeps a nil *TokenFile from becoming a TokenSource that is not nil.
func tokenSource(file *packet.TokenFile, err error) (packet.TokenSource, error) {
	if err != nil {
		return nil, err
	}
	return file, nil
}

// loggingTransport logs requests as far as they hold no secrets: headers have
// the token, and bodies have user data and passwords.
type loggingTransport struct {
	next  http.RoundTripper
	clock packet.Clock
}

// RoundTrip implements http.RoundTripper.
func (t *loggingTransport) RoundTrip(request *http.Request) (*http.Response, error) {
	started := t.clock.Now()
	answer, err := t.next.RoundTrip(request)
	values := []any{"method", request.Method, "path", request.URL.Path, "query", request.URL.RawQuery, "took", t.clock.Now().Sub(started).Round(time.Millisecond)}
	if err != nil {
		klog.InfoS("Packet API request without an answer", append(values, "error", err.Error())...)
		return nil, err
	}
	klog.InfoS("Packet API request", append(values, "status", answer.StatusCode, "size", answer.ContentLength)...)
	return answer, nil
}

// accountTimeout is how long a start may wait for the API to say whether the
// configuration is right.
const accountTimeout = 10 * time.Second

// checkAccount asks the API for the project, and for the place where addresses
// are to be reserved. Its error is final if refused says so: then the
// configuration is wrong, and all that is wrong with it is in the error.
func checkAccount(ctx context.Context, api *packet.Client, c config) error {
	project, err := api.Project(ctx, c.credentials.ProjectID)
	switch {
	case packet.IsUnauthorized(err):
		err = fmt.Errorf("the API does not know the token (%s): %w", c.tokenOrigin(), err)
	case packet.IsForbidden(err), packet.IsNotFound(err):
		err = fmt.Errorf("project %s (%s) is not one that the token (%s) may use at %s: %w",
			c.credentials.ProjectID, c.origins["projectID"], c.tokenOrigin(), c.credentials.APIURL, err)
	case err != nil:
		err = fmt.Errorf("reading project %s: %w", c.credentials.ProjectID, err)
	}
	if packet.IsUnauthorized(err) || packet.IsTransient(err) {
		// Nothing else would be answered either.
		return err
	}
	if err == nil {
		klog.InfoS("The Packet API answers", "api", api.String(), "project", project.ID, "name", project.Name)
	}
	return errors.Join(err, checkLocation(ctx, api, c))
}

func (c config) tokenOrigin() string {
	if c.tokenFile != "" {
		return fmt.Sprintf("file %s of %s", c.tokenFile, c.origins["apiKeyFile"])
	}
	return c.origins["apiKey"].String()
}

// errNoSuchPlace marks a metro or facility that the API does not have.
var errNoSuchPlace = errors.New("there is no such place")

func checkLocation(ctx context.Context, api *packet.Client, c config) error {
	if c.metro != "" {
		metros, err := api.Metros(ctx)
		if err != nil {
			return fmt.Errorf("listing metros: %w", err)
		}
		return checkCode("metro", c.metro, c.origins["metro"], metros, func(m packet.Metro) string { return m.Code })
	}
	if c.facility != "" {
		facilities, err := api.Facilities(ctx)
		if err != nil {
			return fmt.Errorf("listing facilities: %w", err)
		}
		return checkCode("facility", c.facility, c.origins["facility"], facilities, func(f packet.Facility) string { return f.Code })
	}
	return nil
}

func checkCode[T any](what, code string, from origin, places []T, codeOf func(T) string) error {
	codes := make([]string, 0, len(places))
	for _, place := range places {
		codes = append(codes, codeOf(place))
	}
	if slices.Contains(codes, code) {
		return nil
	}
	slices.Sort(codes)
	return fmt.Errorf("%s is %q (%s): %w, allowed are %v", what, code, from, errNoSuchPlace, codes)
}

// refused tells whether an error of checkAccount is the API's last word, rather
// than that of a bad moment.
func refused(err error) bool {
	return packet.IsUnauthorized(err) || packet.IsForbidden(err) || packet.IsNotFound(err) || errors.Is(err, errNoSuchPlace)
}
