package apiserver

import (
	"cmp"
	"net/http"
	"net/netip"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/addresses"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func (a *API) listVRFReservations(r *request) (response, error) {
	return answerAll(a, r, "ip_addresses", func(s *store.Snapshot) []*store.Row[store.Reservation] {
		return s.Reservations.In(store.OfVRF(r.id()))
	}, a.encodeReservation)
}

func (a *API) getVRFReservation(r *request) (response, error) {
	return answerFound(a, r, http.StatusOK, func(s *store.Snapshot) (*store.Row[store.Reservation], bool) {
		row, ok := s.Reservations.Get(r.id())
		return row, ok && row.Value.VRFID == r.http.PathValue("vrf_id")
	}, a.encodeReservation)
}

// vrfSubnet is what a request for a reservation of type vrf has beside what
// all have. The document allows the second name of its first field.
type vrfSubnet struct {
	VRFID   string `json:"vrf_id"`
	VRF     string `json:"vrf"`
	Network string `json:"network"`
	CIDR    int    `json:"cidr"`
}

// createVRFReservation reserves the subnet of a VRF that a request names. It
// may be one that another VRF has too.
func (a *API) createVRFReservation(r *request, input packet.IPReservationCreate, subnet vrfSubnet) (response, error) {
	var p problems
	vrfID := cmp.Or(subnet.VRFID, subnet.VRF)
	if vrfID == "" {
		p.add("vrf_id can't be blank for type vrf")
	}
	block := p.vrfBlock(subnet)
	p.customData(input.CustomData)
	if err := p.err(); err != nil {
		return response{}, err
	}
	reservation := store.Reservation{
		ID:         uuid.NewString(),
		ProjectID:  r.id(),
		Block:      block,
		Type:       packet.IPTypeVRF,
		VRFID:      vrfID,
		Details:    input.Details,
		Tags:       input.Tags,
		CustomData: objectOnly(input.CustomData),
		CreatedBy:  r.token.UserID,
		CreatedAt:  a.clock.Now(),
	}
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.VRFs.Get(vrfID)
		if !ok || row.Value.ProjectID != reservation.ProjectID {
			return refuse(http.StatusUnprocessableEntity, "vrf_id %q is no VRF of the project", vrfID)
		}
		if !rangeOf(row.Value.IPRanges, block) {
			return refuse(http.StatusUnprocessableEntity, "network %q with cidr %d is in none of the VRF's ip_ranges: %s",
				subnet.Network, subnet.CIDR, row.Value.IPRanges)
		}
		for _, other := range tx.Reservations.In(store.OfVRF(vrfID)) {
			if other.Value.Block.Overlaps(block) {
				return refuse(http.StatusUnprocessableEntity, "network %q with cidr %d overlaps %s, which is reserved already",
					subnet.Network, subnet.CIDR, other.Value.Block)
			}
			if block.Addr().Is6() && other.Value.Block.Addr().Is6() {
				return refuse(http.StatusUnprocessableEntity, "network %q: the VRF has an IPv6 reservation already, of which it can have one", subnet.Network)
			}
		}
		// Two reservations of one VRF must not be decided on at the same time.
		tx.VRFs.Update(tx, row, row.Value)
		created := reservation
		created.Metro = row.Value.Metro
		tx.Reservations.Create(tx, &created)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	answer, err := a.answerIP(r, http.StatusCreated, reservation.ID)
	answer.location = href("ips", reservation.ID)
	return answer, err
}

// vrfBlock reads the subnet of a request.
func (p *problems) vrfBlock(subnet vrfSubnet) netip.Prefix {
	address, err := netip.ParseAddr(subnet.Network)
	if err != nil || address.Zone() != "" || address.Is4In6() {
		p.add("network %q is not an address, a.b.c.d", subnet.Network)
		return netip.Prefix{}
	}
	switch {
	case address.Is4() && (subnet.CIDR < 22 || subnet.CIDR > 29):
		p.add("cidr %d is not from 22 to 29, which an IPv4 network needs", subnet.CIDR)
		return netip.Prefix{}
	case address.Is6() && subnet.CIDR != 64:
		p.add("cidr %d is not 64, which an IPv6 network needs", subnet.CIDR)
		return netip.Prefix{}
	}
	block := netip.PrefixFrom(address, subnet.CIDR)
	if block != block.Masked() {
		p.add("network %q is not the first address of a /%d, which would be %s", subnet.Network, subnet.CIDR, block.Masked().Addr())
	}
	return block
}

// anyReservation shows a reservation in the form of its kind.
func (a *API) anyReservation(s *store.Snapshot, v *store.Reservation) any {
	if v.VRFID != "" {
		return a.vrfReservation(s, v)
	}
	return a.reservation(s, v)
}

func (a *API) vrfReservation(s *store.Snapshot, v *store.Reservation) *packet.VRFIPReservation {
	host, gateway := addresses.Host(v.Block)
	shown := &packet.VRFIPReservation{
		ID:            v.ID,
		Href:          href("ips", v.ID),
		Type:          v.Type,
		State:         packet.IPStateCreated,
		Address:       host.String(),
		Network:       v.Block.Addr().String(),
		Netmask:       addresses.Netmask(v.Block),
		Gateway:       gateway.String(),
		CIDR:          v.Block.Bits(),
		AddressFamily: family(v.Block),
		Manageable:    true,
		Tags:          orEmpty(v.Tags),
		CustomData:    orObject(v.CustomData),
		VRF:           reference("vrfs", v.VRFID),
		MetalGateway:  gatewayOf(s, v.ID),
		Project:       &packet.Project{Href: href("projects", v.ProjectID)},
		ProjectLite:   reference("projects", v.ProjectID),
		CreatedAt:     packet.NewTimestamp(v.CreatedAt),
	}
	if v.Details != "" {
		shown.Details = &v.Details
	}
	if v.CreatedBy != "" {
		shown.CreatedBy = reference("users", v.CreatedBy)
	}
	shown.Metro, _ = a.catalogue.Metro(v.Metro)
	return shown
}
