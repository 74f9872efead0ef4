package namespaces

import (
	"context"
	"net/http"
	"sync"

	"github.com/packetyard/packetyard/internal/machines"
	"github.com/packetyard/packetyard/internal/machines/namespaces/wire"
)

// bgpPeers are the switches' peers, as they are to be and as they are.
type bgpPeers struct {
	// setting is held while the rack is told, so that what it is told last is
	// what was asked for last.
	setting sync.Mutex
	// wanted is nil until there was a call. It belongs to setting.
	wanted []machines.BGPPeer

	mutex sync.Mutex
	// known is set when the rack was heard for the first time; status is nil
	// while it is not heard.
	known  bool
	status []machines.BGPStatus
	// next is closed when there is another status.
	next chan struct{}
}

// heard takes what the rack says, or nil when it says nothing any more.
func (b *bgpPeers) heard(status []machines.BGPStatus) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	b.known, b.status = true, status
	close(b.next)
	b.next = make(chan struct{})
}

func (b *bgpPeers) current() (status []machines.BGPStatus, known bool, next <-chan struct{}) {
	b.mutex.Lock()
	defer b.mutex.Unlock()
	return b.status, b.known, b.next
}

// SetBGPPeers implements machines.BGP.
func (d *Driver) SetBGPPeers(ctx context.Context, peers []machines.BGPPeer) error {
	d.bgp.setting.Lock()
	defer d.bgp.setting.Unlock()
	if peers == nil {
		peers = []machines.BGPPeer{}
	}
	d.bgp.wanted = peers
	return d.call(ctx, http.MethodPut, wire.BGPPeersPath, "", peers)
}

// setBGPPeersAgain tells a new rack, which knows of no peers.
func (d *Driver) setBGPPeersAgain(ctx context.Context) {
	d.bgp.setting.Lock()
	defer d.bgp.setting.Unlock()
	if d.bgp.wanted == nil {
		return
	}
	if err := d.client.call(ctx, http.MethodPut, wire.BGPPeersPath, "", d.bgp.wanted, nil); err != nil {
		d.config.Logger.Error("the new rack's switches speak no BGP", "error", err)
	}
}

// WatchBGP implements machines.BGP.
func (d *Driver) WatchBGP(ctx context.Context) <-chan []machines.BGPStatus {
	channel := make(chan []machines.BGPStatus)
	go func() {
		defer close(channel)
		for {
			status, known, next := d.bgp.current()
			out := channel
			if !known {
				out = nil
			}
			select {
			case out <- status:
			case <-next:
				continue
			case <-ctx.Done():
				return
			}
			select {
			case <-next:
			case <-ctx.Done():
				return
			}
		}
	}()
	return channel
}
