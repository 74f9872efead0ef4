package mcm

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/gardener/machine-controller-manager/pkg/util/provider/driver"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/packetyard/packetyard/pkg/packet"
)

// The defaults of Options.
const (
	// DefaultListingAge is how long one listing of devices is shared. The safety sweep of MCM asks for the machines of each
	// class in turn, and a burst of new machines asks for one device each: both take less.
	DefaultListingAge = 10 * time.Second
	// DefaultSettleTime is how long a device may take to appear in listings after the answer to its creation was lost. No
	// second one is asked for before.
	DefaultSettleTime = 30 * time.Second
	// DefaultGonePoll is the time between two looks whether a device is gone.
	DefaultGonePoll = 2 * time.Second
	// DefaultNetworkPoll is the time between two looks whether devices are active that wait for their virtual networks.
	DefaultNetworkPoll = 5 * time.Second
	// gonePolls is how often is looked before MCM is told to come back.
	gonePolls = 3
)

// Options say how the driver speaks to the Packet API. All of them can be left out.
type Options struct {
	// UserAgent names the program and its version.
	UserAgent string
	// HTTPClient defaults to one with the standard transport.
	HTTPClient *http.Client
	// QPS and Burst bound the requests of each account; see packet.Config.
	QPS   float64
	Burst int
	// Registerer takes the metrics of the requests.
	Registerer prometheus.Registerer
	// Logger hears of requests that are sent again.
	Logger *slog.Logger
	// Clock defaults to the system's.
	Clock packet.Clock

	ListingAge, SettleTime, GonePoll, NetworkPoll time.Duration
}

// Driver implements MCM's driver interface. It is safe for concurrent use.
type Driver struct {
	options  Options
	accounts *accounts
	attempts *attempts
}

var _ driver.Driver = (*Driver)(nil)

// New makes a driver. It speaks to nobody before it is asked to.
func New(options Options) *Driver {
	if options.UserAgent == "" {
		options.UserAgent = Name
	}
	if options.Clock == nil {
		options.Clock = packet.SystemClock{}
	}
	for _, setting := range []struct {
		value     *time.Duration
		otherwise time.Duration
	}{
		{&options.ListingAge, DefaultListingAge},
		{&options.SettleTime, DefaultSettleTime},
		{&options.GonePoll, DefaultGonePoll},
		{&options.NetworkPoll, DefaultNetworkPoll},
	} {
		if *setting.value == 0 {
			*setting.value = setting.otherwise
		}
	}
	return &Driver{
		options:  options,
		accounts: newAccounts(options),
		attempts: newAttempts(options.ListingAge + options.SettleTime),
	}
}

// Name is that of the program.
const Name = "machine-controller-manager-provider-packet"
