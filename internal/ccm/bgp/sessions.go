package bgp

import (
	"context"
	"fmt"
	"net/netip"
	"path"
	"strings"
	"sync"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/klog/v2"

	"github.com/packetyard/packetyard/pkg/packet"
)

// The reasons of the events on nodes.
const (
	ReasonSessionCreated = "BGPSessionCreated"
	ReasonSessionRefused = "BGPSessionRefused"
)

// sessions are a project's, by device and address family.
type sessions struct {
	mu  *sync.Mutex
	ids map[sessionKey]string
}

type sessionKey struct{ deviceID, family string }

func newSessions(list []packet.BGPSession) sessions {
	s := sessions{mu: new(sync.Mutex), ids: make(map[sessionKey]string, len(list))}
	for _, session := range list {
		if session.Device != nil {
			s.ids[keyOf(path.Base(session.Device.Href), session.AddressFamily)] = session.ID
		}
	}
	return s
}

func keyOf(deviceID, family string) sessionKey {
	return sessionKey{strings.ToLower(deviceID), family}
}

func (s sessions) id(deviceID, family string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ids[keyOf(deviceID, family)]
}

func (s sessions) has(deviceID, family string) bool { return s.id(deviceID, family) != "" }

func (s sessions) add(deviceID, family, id string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids[keyOf(deviceID, family)] = id
}

// ensureListing lists the project's sessions if the last list is old, or if a
// device lacks one in it: it may have been made since, by an earlier process
// for example whose answer was lost.
func (b *BGP) ensureListing(ctx context.Context, targets []target) error {
	if len(targets) == 0 {
		return nil
	}
	now := b.config.Clock.Now()
	complete := b.sessions.ids != nil && now.Sub(b.sessionsTaken) < sessionsTTL
	for i := 0; complete && i < len(targets); i++ {
		for _, family := range targets[i].families {
			complete = complete && b.sessions.has(targets[i].device.ID, family)
		}
	}
	if complete {
		return nil
	}
	list, err := b.config.API.ProjectBGPSessions(ctx, b.config.ProjectID)
	if err != nil {
		return fmt.Errorf("listing the BGP sessions of project %s: %w", b.config.ProjectID, err)
	}
	b.sessions, b.sessionsTaken = newSessions(list), now
	return nil
}

func (b *BGP) createSession(ctx context.Context, t target, family string) error {
	session, err := b.config.API.CreateBGPSession(ctx, t.device.ID, packet.BGPSessionCreate{AddressFamily: family})
	switch {
	case packet.IsSessionExists(err):
		return b.findSession(ctx, t, family)
	case err != nil:
		if !packet.IsTransient(err) && ctx.Err() == nil {
			b.event(t.node, corev1.EventTypeWarning, ReasonSessionRefused, "The Packet API refuses an %s BGP session for device %s: %v", family, t.device.ID, err)
		}
		return fmt.Errorf("creating an %s BGP session for device %s: %w", family, t.device.ID, err)
	}
	b.sessions.add(t.device.ID, family, session.ID)
	b.event(t.node, corev1.EventTypeNormal, ReasonSessionCreated, "Created an %s BGP session for device %s", family, t.device.ID)
	klog.V(2).InfoS("Created a BGP session", "node", klog.KObj(t.node), "device", t.device.ID, "family", family)
	return nil
}

// findSession is for a session that the project's listing did not have and
// that exists nevertheless: somebody else made it in between.
func (b *BGP) findSession(ctx context.Context, t target, family string) error {
	list, err := b.config.API.BGPSessions(ctx, t.device.ID)
	if err != nil {
		return fmt.Errorf("listing the BGP sessions of device %s: %w", t.device.ID, err)
	}
	for _, session := range list {
		if session.AddressFamily == family {
			b.sessions.add(t.device.ID, family, session.ID)
			return nil
		}
	}
	return fmt.Errorf("the API says that device %s has an %s BGP session already, and does not list it", t.device.ID, family)
}

// sourceAddress is the address of a device that its session comes from: the
// private IPv4 address, or the IPv6 address. It is the zero Addr if there is
// none.
func sourceAddress(device *packet.Device, family string) netip.Addr {
	for _, assignment := range device.IPAddresses {
		ip, err := netip.ParseAddr(assignment.Address)
		if err != nil || !assignment.Management {
			continue
		}
		if (family == packet.BGPIPv4 && ip.Is4() && !assignment.Public) || (family == packet.BGPIPv6 && ip.Is6()) {
			return ip
		}
	}
	return netip.Addr{}
}

// privateNetwork is the block that a device's private IPv4 address is from, in
// prefix notation, or "".
func privateNetwork(device *packet.Device) string {
	for _, assignment := range device.IPAddresses {
		if assignment.AddressFamily != 4 || assignment.Public || !assignment.Management || assignment.ParentBlock == nil {
			continue
		}
		network, err := netip.ParseAddr(assignment.ParentBlock.Network)
		if err == nil && assignment.ParentBlock.CIDR > 0 {
			return netip.PrefixFrom(network, assignment.ParentBlock.CIDR).String()
		}
	}
	return ""
}
