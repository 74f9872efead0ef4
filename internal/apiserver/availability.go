package apiserver

import (
	"net/http"
	"net/netip"
	"strconv"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// maxAvailable is how many free subnets are listed: all of an IPv4 block,
// and as many of an IPv6 block, which has more than anybody could read.
const maxAvailable = 256

// listAvailable lists the subnets of a length that are free in a reservation.
func (a *API) listAvailable(r *request) (answer response, err error) {
	err = a.store.Read(r.ctx, func(s *store.Snapshot) error {
		row, ok := s.Reservations.Get(r.id())
		if !ok {
			return errNotFound()
		}
		shown := packet.IPAvailability{Available: []string{}}
		block := row.Value.Block
		bits, err := subnetLength(r.query.Get("cidr"), block)
		if err != nil {
			return err
		}
		if block.IsValid() {
			for _, free := range addresses.Free(block, bits, usedParts(s, row.Value), maxAvailable) {
				shown.Available = append(shown.Available, free.String())
			}
		}
		answer, err = encode(http.StatusOK, shown)
		return err
	})
	return answer, err
}

// subnetLength reads the length of the subnets of a block, which is invalid
// for a reservation that has none.
func subnetLength(text string, block netip.Prefix) (int, error) {
	shortest, longest := 20, 128
	if block.IsValid() {
		shortest, longest = block.Bits(), block.Addr().BitLen()
	}
	bits, err := strconv.Atoi(text)
	switch {
	case text == "":
		return 0, refuse(http.StatusUnprocessableEntity, "cidr can't be blank: it is a number from %d to %d", shortest, longest)
	case err != nil || bits < shortest || bits > longest:
		return 0, refuse(http.StatusUnprocessableEntity, "cidr %q is not a number from %d to %d", text, shortest, longest)
	}
	return bits, nil
}

// usedParts are the parts of a reservation's block that cannot be assigned to
// a device.
func usedParts(s *store.Snapshot, reservation *store.Reservation) []netip.Prefix {
	if s.GatewayOf(reservation.ID) != nil {
		return []netip.Prefix{reservation.Block}
	}
	var used []netip.Prefix
	if reservation.Management {
		if part := addresses.DevicePart(reservation.Block); part != reservation.Block {
			used = append(used, part)
		}
	}
	for _, row := range s.Assignments.In(store.OfReservation(reservation.ID)) {
		used = append(used, row.Value.Block)
	}
	return used
}
