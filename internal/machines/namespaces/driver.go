package namespaces

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/internal/machines/namespaces/events"
	"github.com/packetyard/packetyard/internal/machines/namespaces/wire"
)

// Driver implements machines.Driver and machines.Network by asking the rack,
// which it starts again if it should die.
type Driver struct {
	config     Config
	client     *Client
	stop       context.CancelFunc
	background sync.WaitGroup
	events     events.Broadcaster

	mutex sync.Mutex
	// shutDown is set when the rack ended because it was told to: it stays ended.
	shutDown bool
	// following is there while the rack is followed, and closed when all is read that it had to say.
	following chan struct{}
	closed    bool
	power     map[string]machines.PowerState
	listeners map[*listener]bool
	bgp       bgpPeers
}

var (
	_ machines.Driver  = (*Driver)(nil)
	_ machines.Network = (*Driver)(nil)
	_ machines.BGP     = (*Driver)(nil)
)

// errShutDown answers calls after the rack was told to end.
var errShutDown = errors.New("the machines' rack was shut down")

// Provision implements machines.Driver.
func (d *Driver) Provision(ctx context.Context, spec machines.Spec) error {
	return d.call(ctx, http.MethodPut, wire.MachinePath, spec.ID, spec)
}

// Deprovision implements machines.Driver.
func (d *Driver) Deprovision(ctx context.Context, id string) error {
	return d.call(ctx, http.MethodDelete, wire.MachinePath, id, nil)
}

// PowerOn implements machines.Driver.
func (d *Driver) PowerOn(ctx context.Context, id string) error {
	return d.call(ctx, http.MethodPost, wire.PowerOnPath, id, nil)
}

// PowerOff implements machines.Driver. It returns when the machine is off.
func (d *Driver) PowerOff(ctx context.Context, id string) error {
	if err := d.call(ctx, http.MethodPost, wire.PowerOffPath, id, nil); err != nil {
		return err
	}
	d.mutex.Lock()
	defer d.mutex.Unlock()
	// It was asked for, so it is no event if the rack is heard anew.
	delete(d.power, id)
	return nil
}

// Reboot implements machines.Driver. A machine that is off is switched on.
func (d *Driver) Reboot(ctx context.Context, id string) error {
	return d.call(ctx, http.MethodPost, wire.RebootPath, id, nil)
}

// Rescue implements machines.Driver.
func (d *Driver) Rescue(ctx context.Context, spec machines.Spec) error {
	return d.call(ctx, http.MethodPost, wire.RescuePath, spec.ID, spec)
}

// Reinstall implements machines.Driver. A machine that does not exist is made.
func (d *Driver) Reinstall(ctx context.Context, spec machines.Spec) error {
	return d.call(ctx, http.MethodPost, wire.ReinstallPath, spec.ID, spec)
}

// SetAddresses implements machines.Driver.
func (d *Driver) SetAddresses(ctx context.Context, id string, addresses []machines.Address) error {
	return d.call(ctx, http.MethodPut, wire.AddressesPath, id, addresses)
}

// List implements machines.Driver.
func (d *Driver) List(ctx context.Context) ([]machines.Status, error) {
	var list []machines.Status
	err := d.persist(ctx, func() (err error) {
		list, err = d.client.List(ctx)
		return err
	})
	return list, err
}

// SelfReporting implements machines.Driver: a machine's init phones home.
func (d *Driver) SelfReporting() bool { return true }

// Dial implements machines.Network.
func (d *Driver) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	var connection net.Conn
	err := d.persist(ctx, func() (err error) {
		connection, err = d.client.DialContext(ctx, network, address)
		return err
	})
	return connection, err
}

// Close implements machines.Driver. It closes listeners and channels, and leaves rack and machines alone.
func (d *Driver) Close() error {
	d.mutex.Lock()
	d.closed = true
	open := make([]*listener, 0, len(d.listeners))
	for l := range d.listeners {
		open = append(open, l)
	}
	d.mutex.Unlock()
	d.stop()
	var problems []error
	for _, l := range open {
		if err := l.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			problems = append(problems, err)
		}
	}
	d.background.Wait()
	return errors.Join(problems...)
}

func (d *Driver) call(ctx context.Context, method, path, id string, request any) error {
	return d.persist(ctx, func() error { return d.client.call(ctx, method, path, id, request, nil) })
}

// persist makes a request, and makes it once more where the rack had died.
func (d *Driver) persist(ctx context.Context, request func() error) error {
	err := request()
	if !errors.Is(err, ErrNoRack) {
		return err
	}
	if err := d.revive(ctx); err != nil {
		return err
	}
	return request()
}

// revive starts a rack that died of itself. Whether it did is known when its last words are read.
func (d *Driver) revive(ctx context.Context) error {
	d.mutex.Lock()
	following := d.following
	d.mutex.Unlock()
	if following != nil {
		select {
		case <-following:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	d.mutex.Lock()
	ended := d.shutDown
	d.mutex.Unlock()
	if ended {
		return errShutDown
	}
	return d.ensureRack(ctx)
}

// reviveInterval is how long to wait after a rack could not be started again.
const reviveInterval = time.Second

// attend follows the rack until ctx ends: it passes events on, starts the
// rack again when it has died, and has the listeners listen again then.
func (d *Driver) attend(ctx context.Context) {
	for first := true; ; first = false {
		if !first {
			d.listenAgain(ctx)
			d.setBGPPeersAgain(ctx)
		}
		err := d.follow(ctx)
		d.bgp.heard(nil)
		if ctx.Err() != nil || errors.Is(err, errShutDown) {
			return
		}
		d.config.Logger.Warn("rack does not answer", "error", err)
		for {
			err := d.revive(ctx)
			if err == nil {
				break
			}
			if ctx.Err() != nil || errors.Is(err, errShutDown) {
				return
			}
			d.config.Logger.Error("rack does not start", "error", err)
			select {
			case <-time.After(reviveInterval):
			case <-ctx.Done():
				return
			}
		}
	}
}

// follow passes the rack's events on until the connection ends.
func (d *Driver) follow(ctx context.Context) error {
	response, err := d.client.begin(ctx, http.MethodGet, wire.WatchPath, "", nil)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	following := make(chan struct{})
	d.mutex.Lock()
	d.following = following
	d.mutex.Unlock()
	defer func() {
		d.mutex.Lock()
		d.following = nil
		d.mutex.Unlock()
		close(following)
	}()
	decoder := json.NewDecoder(response.Body)
	for {
		var message wire.Message
		if err := decoder.Decode(&message); err != nil {
			return fmt.Errorf("watching the rack: %w", err)
		}
		switch {
		case message.Shutdown:
			d.mutex.Lock()
			d.shutDown = true
			d.mutex.Unlock()
			d.config.Logger.Info("rack was shut down")
			return errShutDown
		case message.BGP != nil:
			d.bgp.heard(*message.BGP)
		case message.Machines != nil:
			d.compare(*message.Machines)
		case message.Event != nil:
			d.mutex.Lock()
			d.power[message.Event.ID] = message.Event.Power
			d.mutex.Unlock()
			d.events.Send(*message.Event)
		}
	}
}

// compare finds out what changed while nobody listened to the rack. Its
// first list is where comparing begins.
func (d *Driver) compare(list []machines.Status) {
	d.mutex.Lock()
	previous := d.power
	d.power = map[string]machines.PowerState{}
	for _, status := range list {
		d.power[status.ID] = status.Power
	}
	d.mutex.Unlock()
	for _, status := range list {
		if before, known := previous[status.ID]; known && before != status.Power && status.Power == machines.PowerOff {
			d.events.Send(machines.Event{ID: status.ID, Power: status.Power, Detail: "the machine went off while the rack could not be heard"})
		}
	}
}
