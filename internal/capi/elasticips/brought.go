package elasticips

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/packetyard/packetyard/pkg/packet"
)

// UnusableError tells why a reservation that the user named cannot be the endpoint of a cluster. Nothing was changed.
type UnusableError struct {
	// ReservationID is what the user named.
	ReservationID string
	// Why says what is wrong, and what is allowed.
	Why string
	// Missing is true where there is no such reservation.
	Missing bool
}

// Error implements error.
func (e *UnusableError) Error() string {
	return fmt.Sprintf("spec.elasticIP.reservationID: %s %s", e.ReservationID, e.Why)
}

// Brought returns the reservation that the user named for a cluster's endpoint. The error is an *UnusableError if it is no
// single IPv4 address of the wanted kind and place, or if it is somebody else's: ours tells which devices are the cluster's.
func (p *Project) Brought(ctx context.Context, owner Owner, id string, wanted Wanted, ours func(deviceID string) bool) (*packet.IPReservation, error) {
	r, err := p.api.IPReservation(ctx, id, packet.Include("assignments"))
	if packet.IsNotFound(err) || packet.IsForbidden(err) {
		return nil, &UnusableError{ReservationID: id, Missing: true,
			Why: fmt.Sprintf("does not exist in project %s: name a reservation of that project, or none to have one made", p.id)}
	}
	var answer *packet.Error
	switch {
	case err != nil && !packet.IsTransient(err) && ctx.Err() == nil && !errors.As(err, &answer):
		return nil, &UnusableError{ReservationID: id, Why: fmt.Sprintf("is no reservation: %v", err)}
	case err != nil:
		return nil, fmt.Errorf("looking for reservation %s: %w", id, err)
	}
	if why := unusable(r, p.id, wanted); why != "" {
		return nil, &UnusableError{ReservationID: id, Why: why}
	}
	if tags := slices.DeleteFunc(slices.Clone(r.Tags), func(t string) bool { return !foreign(t, owner) }); len(tags) > 0 {
		return nil, &UnusableError{ReservationID: id, Why: fmt.Sprintf("belongs to another cluster, as its tags say: %s", strings.Join(tags, ", "))}
	}
	for _, assignment := range r.Assignments {
		if device := assignment.AssignedTo.ID(); !ours(device) {
			return nil, &UnusableError{ReservationID: id, Why: fmt.Sprintf("is assigned to device %s, which is no machine of this cluster: unassign it there first", device)}
		}
	}
	return r, nil
}

func unusable(r *packet.IPReservation, projectID string, wanted Wanted) string {
	switch {
	case r.Project != nil && r.Project.ID != "" && !strings.EqualFold(r.Project.ID, projectID):
		return fmt.Sprintf("is of project %s, and the cluster of project %s", r.Project.ID, projectID)
	case r.Management:
		return "is a block that devices get their own addresses from: name an elastic one"
	case r.Type != wanted.Type:
		return fmt.Sprintf("is of type %s, and spec.elasticIP.type is %s: they have to be the same", r.Type, wanted.Type)
	case r.State == packet.IPStateDenied:
		return "was denied by Packet: name another one"
	case r.State == packet.IPStatePending || r.Address == "":
		return "waits for an approval by Packet"
	case r.AddressFamily != 4 || r.CIDR != 32:
		return fmt.Sprintf("is %s/%d, and an endpoint is a single IPv4 address, a /32", r.Address, r.CIDR)
	case r.MetalGateway != nil:
		return "belongs to a metal gateway, so that no device can be given it"
	case wanted.Type == packet.IPTypeGlobalIPv4:
		return ""
	case wanted.Metro != "" && (r.Metro == nil || r.Metro.Code != wanted.Metro):
		return fmt.Sprintf("is routed to metro %s, and the cluster is in metro %s", metroOf(r), wanted.Metro)
	case wanted.Facility != "" && (r.Metro == nil || !strings.HasPrefix(wanted.Facility, r.Metro.Code)):
		return fmt.Sprintf("is routed to metro %s, and the cluster is in facility %s", metroOf(r), wanted.Facility)
	}
	return ""
}

func metroOf(r *packet.IPReservation) string {
	if r.Metro == nil {
		return "(none)"
	}
	return r.Metro.Code
}

// foreign tells a tag that names another cluster than the owner.
func foreign(tag string, owner Owner) bool {
	return (strings.HasPrefix(tag, packet.TagPrefixCluster) || strings.HasPrefix(tag, packet.TagPrefixNamespace)) &&
		!slices.Contains(owner.tags(), tag)
}
