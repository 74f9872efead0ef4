package networks

import (
	"context"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/packetyard/packetyard/pkg/packet"
)

// EnsureBGPSession gives a device a BGP session for IPv4 if it has none (createBgpSession). All devices of the project share
// one listing of sessions, so that a device that has one costs no call. It returns true if a session was made.
func (p *Project) EnsureBGPSession(ctx context.Context, deviceID string) (created bool, err error) {
	sessions, err := p.sessions.Recent(ctx)
	if err != nil {
		return false, fmt.Errorf("listing the BGP sessions of the project: %w", err)
	}
	if slices.ContainsFunc(sessions, func(s packet.BGPSession) bool {
		return s.AddressFamily == packet.BGPIPv4 && s.Device != nil && strings.EqualFold(path.Base(s.Device.Href), deviceID)
	}) {
		return false, nil
	}
	session, err := p.api.CreateBGPSession(ctx, deviceID, packet.BGPSessionCreate{AddressFamily: packet.BGPIPv4})
	switch {
	case packet.IsSessionExists(err):
		// It was made by a call whose answer was lost, or by somebody else.
		p.sessions.Forget()
		return false, nil
	case err != nil:
		return false, fmt.Errorf("creating a BGP session of device %s: %w", deviceID, err)
	}
	if session.Device == nil {
		session.Device = &packet.Href{Href: "/devices/" + deviceID}
	}
	p.sessions.Change(func(all []packet.BGPSession) []packet.BGPSession { return append(slices.Clone(all), *session) })
	return true, nil
}
