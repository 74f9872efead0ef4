package apiserver

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"
	"go.opentelemetry.io/otel/trace"

	"github.com/packetyard/packetyard/internal/apiserver/catalogue"
	"github.com/packetyard/packetyard/internal/apiserver/lifecycle"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/internal/machines"
)

// DefaultListenAddress is where the server listens if nobody says otherwise.
const DefaultListenAddress = "127.0.0.1:8080"

// EtcdTLS names the PEM files for an etcd that serves TLS.
type EtcdTLS = store.EtcdTLS

// Config says what kind of server to run. DataDir and Driver are required.
type Config struct {
	// ListenAddress is host:port; port 0 picks one.
	ListenAddress string
	// ExternalURL is what clients call the server, as https://packet.example.com,
	// where something stands between them and it. Empty is the address that it
	// listens on, and for the Location of what is made, the one that was asked.
	ExternalURL string
	// TLSCertFile and TLSKeyFile are PEM files to serve HTTPS with. They are
	// read anew when they change. Both empty is HTTP.
	TLSCertFile, TLSKeyFile string
	// DataDir holds the credentials and, unless EtcdEndpoints are given, the
	// records.
	DataDir       string
	EtcdEndpoints []string
	// EtcdTLS is how those are reached; nil is for plain text.
	EtcdTLS *EtcdTLS
	// MetadataListenAddress is host:port where the metadata service is served
	// for machines that are not in a network of the driver's; empty is nowhere.
	// It knows them by the address that they ask from.
	MetadataListenAddress string
	// Driver makes the machines. The caller closes it after Close.
	Driver machines.Driver
	// Profile is how fast devices move; empty means instant.
	Profile lifecycle.Profile
	// Token and ProjectID fix the first token and project; empty makes them up.
	Token, ProjectID string
	// RateLimit is how often one token may ask.
	RateLimit RateLimit
	// AuditLog gets a line of JSON for every change and every refusal; nil is
	// for none. Its Write is not called twice at the same time.
	AuditLog io.Writer
	// Tracing makes a span of every request; nil is for none.
	Tracing trace.TracerProvider
	// Control serves the routes that change how the server behaves.
	Control bool
	// SeedFile is a YAML file of what a store without any device shall have;
	// empty is for nothing. See docs/api-server/testing.md for its form.
	SeedFile string
	// Capacity limits how many servers there are for devices on demand. Without
	// any entry that fits there is no limit.
	Capacity []Capacity
	// HardwareReservations are servers that are kept for projects. Those that
	// the store has already are left as they are.
	HardwareReservations []HardwareReservation
	// Clock is the system's if nil. With Control it runs behind a clock that
	// the control routes turn.
	Clock lifecycle.Clock
	// Logger is the default one if nil.
	Logger *slog.Logger
}

// validate finds all that is wrong, and fills in what was left out.
func (c *Config) validate() error {
	var problems []error
	if c.DataDir == "" {
		problems = append(problems, errors.New("data directory is empty"))
	}
	if c.Driver == nil {
		problems = append(problems, errors.New("machine driver is missing"))
	}
	if c.ListenAddress == "" {
		c.ListenAddress = DefaultListenAddress
	}
	if _, _, err := net.SplitHostPort(c.ListenAddress); err != nil {
		problems = append(problems, fmt.Errorf("listen address %q is not host:port: %w", c.ListenAddress, err))
	}
	if c.MetadataListenAddress != "" {
		if _, _, err := net.SplitHostPort(c.MetadataListenAddress); err != nil {
			problems = append(problems, fmt.Errorf("metadata listen address %q is not host:port: %w", c.MetadataListenAddress, err))
		}
	}
	if c.ExternalURL = strings.TrimSuffix(c.ExternalURL, "/"); c.ExternalURL != "" {
		if u, err := url.Parse(c.ExternalURL); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" ||
			u.Path != "" || u.RawQuery != "" || u.Fragment != "" || u.User != nil {
			problems = append(problems, fmt.Errorf("external URL %q is not http:// or https:// with a host and nothing more", c.ExternalURL))
		}
	}
	if (c.TLSCertFile == "") != (c.TLSKeyFile == "") {
		problems = append(problems, errors.New("a TLS certificate and its key belong together: give both files or none"))
	}
	if c.Profile == "" {
		c.Profile = lifecycle.Instant
	}
	if _, err := lifecycle.ParseProfile(string(c.Profile)); err != nil {
		problems = append(problems, err)
	}
	if c.ProjectID != "" {
		if id, err := uuid.Parse(c.ProjectID); err != nil || id.String() != c.ProjectID {
			problems = append(problems, fmt.Errorf("project ID %q is not a UUID in lower case", c.ProjectID))
		}
	}
	if strings.ContainsFunc(c.Token, func(r rune) bool { return r <= ' ' || r > '~' }) {
		problems = append(problems, errors.New("the API token has a character that an HTTP header cannot carry; allowed are ! to ~"))
	}
	if c.RateLimit.Requests < 0 {
		problems = append(problems, fmt.Errorf("rate limit %d is less than 0, which is without a limit", c.RateLimit.Requests))
	}
	if c.RateLimit.Window == 0 {
		c.RateLimit.Window = time.Minute
	}
	if c.RateLimit.Window < time.Second {
		problems = append(problems, fmt.Errorf("rate limit window %v is less than 1s", c.RateLimit.Window))
	}
	if err := validateCapacity(catalogue.New(), c.Capacity); err != nil {
		problems = append(problems, err)
	}
	if c.Clock == nil {
		c.Clock = lifecycle.SystemClock{}
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return errors.Join(problems...)
}
