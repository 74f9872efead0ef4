package mcm

import (
	"context"
	"crypto/sha256"
	"fmt"
	"sync"
	"time"

	"github.com/packetyard/packetyard/pkg/packet"
)

// accountLife is how long an account is kept that nobody asks for any more, because its token was replaced.
const accountLife = time.Hour

// account is a project as one token sees it, with the devices of one cluster in it.
type account struct {
	client       *packet.Client
	projectID    string
	token        string
	devices      *packet.DeviceCache
	reservations *packet.ReservationClaims
	options      Options

	mutex sync.Mutex
	// finishing is true while devices are being put into virtual networks, and wanted counts who asked for it.
	finishing bool
	wanted    int
	// changed is when this process last made or deleted a device.
	changed time.Time
}

// touch remembers that devices were changed just now.
func (a *account) touch() {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.changed = a.options.Clock.Now()
}

// touched is when devices were changed last.
func (a *account) touched() time.Time {
	a.mutex.Lock()
	defer a.mutex.Unlock()
	return a.changed
}

// accountKey tells accounts apart. It has no token in it, so that it can be shown.
type accountKey struct {
	apiURL, projectID, cluster string
	token                      [sha256.Size]byte
}

// accounts are all that are in use. Machines and classes of one cluster share one.
type accounts struct {
	options Options

	mutex sync.Mutex
	known map[accountKey]*account
	used  map[accountKey]time.Time
}

func newAccounts(options Options) *accounts {
	return &accounts{options: options, known: map[accountKey]*account{}, used: map[accountKey]time.Time{}}
}

// of is the account for the devices of a MachineClass.
func (a *accounts) of(s scope) (*account, error) {
	key := accountKey{s.credentials.APIURL, s.credentials.ProjectID, s.cluster, sha256.Sum256([]byte(s.credentials.APIToken))}
	now := a.options.Clock.Now()
	a.mutex.Lock()
	defer a.mutex.Unlock()
	a.used[key] = now
	if known := a.known[key]; known != nil {
		return known, nil
	}
	client, err := packet.NewClient(packet.Config{
		BaseURL:    s.credentials.APIURL,
		Token:      s.credentials.APIToken,
		UserAgent:  a.options.UserAgent,
		HTTPClient: a.options.HTTPClient,
		QPS:        a.options.QPS,
		Burst:      a.options.Burst,
		Registerer: a.options.Registerer,
		Logger:     a.options.Logger,
		Clock:      a.options.Clock,
	})
	if err != nil {
		return nil, failed(err, "using the account of the MachineClass", s.credentials.APIToken)
	}
	for other, last := range a.used {
		if now.Sub(last) > accountLife {
			delete(a.known, other)
			delete(a.used, other)
		}
	}
	made := &account{
		client:       client,
		projectID:    s.credentials.ProjectID,
		token:        s.credentials.APIToken,
		devices:      packet.NewDeviceCache(client, s.credentials.ProjectID, packet.DeviceFilter{Tag: s.cluster}, a.options.ListingAge, a.options.Clock),
		reservations: packet.NewReservationClaims(client, s.credentials.ProjectID, a.options.ListingAge, a.options.Clock),
		options:      a.options,
	}
	a.known[key] = made
	return made, nil
}

// listing is one of the devices of the cluster that is recent, and that began after a moment.
func (a *account) listing(ctx context.Context, after time.Time) (*packet.DeviceSnapshot, error) {
	moment := a.options.Clock.Now().Add(-a.options.ListingAge)
	if after.After(moment) {
		moment = after
	}
	snapshot, err := a.devices.Since(ctx, moment)
	if err != nil {
		return nil, failed(err, fmt.Sprintf("listing the devices of project %s", a.projectID), a.token)
	}
	return snapshot, nil
}

// device reads one device, from the listing if it is in there. The error is packet.IsNotFound only if the API said so of this
// very device.
func (a *account) device(ctx context.Context, id string, after time.Time) (*packet.Device, error) {
	snapshot, err := a.listing(ctx, after)
	if err != nil {
		return nil, err
	}
	if device := snapshot.ByID(id); device != nil {
		return device, nil
	}
	return a.client.Device(ctx, id)
}
