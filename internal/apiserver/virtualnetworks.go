package apiserver

import (
	"net/http"
	"strconv"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

func virtualNetworkRoutes() []Route {
	return []Route{
		{http.MethodGet, "/projects/{id}/virtual-networks", "findVirtualNetworks", (*API).listVirtualNetworks, ofProject},
		{http.MethodPost, "/projects/{id}/virtual-networks", "createVirtualNetwork", (*API).createVirtualNetwork, ofProject},
		{http.MethodGet, "/virtual-networks/{id}", "getVirtualNetwork", (*API).getVirtualNetwork, ofVirtualNetwork},
		{http.MethodPut, "/virtual-networks/{id}", "updateVirtualNetwork", (*API).updateVirtualNetwork, ofVirtualNetwork},
		{http.MethodDelete, "/virtual-networks/{id}", "deleteVirtualNetwork", (*API).deleteVirtualNetwork, ofVirtualNetwork},
	}
}

// The numbers of virtual networks: those that can be asked for, and those
// that are given to who asks for none.
const (
	lowestVXLAN, highestVXLAN       = 2, 3999
	lowestFreeVXLAN, lastFreeVXLAN  = 1000, 1999
	textVirtualNetworkInUse         = "Cannot delete Virtual Network when port is assigned"
	textVirtualNetworkHasGateway    = "Cannot delete Virtual Network with associated metal gateway"
	textVirtualNetworkNotAssigned   = "Virtual network %s not assigned"
	textVirtualNetworkAlreadyOnPort = "Virtual network %d already assigned"
)

func virtualNetworks(s *store.Snapshot) *store.Table[store.VirtualNetwork] { return &s.VirtualNetworks }

func ofVirtualNetwork(s *store.Snapshot, id string) (owner, bool) {
	return ownedBy(virtualNetworks, func(v *store.VirtualNetwork) owner { return owner{project: v.ProjectID} })(s, id)
}

func (a *API) listVirtualNetworks(r *request) (response, error) {
	metro, facility := r.query.Get("metro"), r.query.Get("facility")
	// What is no place of the catalogue has no networks.
	if found, ok := a.catalogue.Metro(metro); ok {
		metro = found.Code
	}
	if found, ok := a.catalogue.Facility(facility); ok {
		facility = found.Code
	}
	return answerAll(a, r, "virtual_networks", func(s *store.Snapshot) []*store.Row[store.VirtualNetwork] {
		return where(s.VirtualNetworks.In(store.InProject(r.id())), func(v *store.VirtualNetwork) bool {
			return (metro == "" || v.Metro == metro) && (facility == "" || v.Facility == facility)
		})
	}, a.encodeVirtualNetwork)
}

func (a *API) getVirtualNetwork(r *request) (response, error) {
	return answerRow(a, r, http.StatusOK, virtualNetworks, r.id(), a.encodeVirtualNetwork)
}

func (a *API) createVirtualNetwork(r *request) (response, error) {
	var input packet.VirtualNetworkCreate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	projectID := r.id()
	var p problems
	// Clients that were given no number send 0.
	wanted := 0
	if input.VXLAN != nil && *input.VXLAN != 0 {
		if wanted = *input.VXLAN; wanted < lowestVXLAN || wanted > highestVXLAN {
			p.add("vxlan %d is not from %d to %d", wanted, lowestVXLAN, highestVXLAN)
		}
	}
	network := store.VirtualNetwork{
		ID:          uuid.NewString(),
		ProjectID:   projectID,
		Description: input.Description,
		Tags:        input.Tags,
		CreatedAt:   a.clock.Now(),
	}
	metro, facility := a.location(&p, input.Metro, packet.FacilityCodes{input.Facility})
	if err := p.err(); err != nil {
		return response{}, err
	}
	network.Metro = metro.Code
	if input.Facility != "" {
		network.Facility = facility.Code
	}

	choice := a.allocator.Choose()
	defer choice.Release()
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		choice.Release()
		project, ok := tx.Projects.Get(projectID)
		if !ok {
			return errNotFound()
		}
		created := network
		var err error
		if created.VXLAN, err = vxlan(tx.Snapshot, &network, wanted); err != nil {
			return err
		}
		tx.VirtualNetworks.Create(tx, &created)
		// Writing the project keeps its blocks in the metro from going at the
		// same time.
		tx.Projects.Update(tx, project, project.Value)
		return a.useMetro(tx, choice, project, metroUse{created.Metro, r.token.UserID, created.CreatedAt})
	})
	if err != nil {
		return response{}, err
	}
	answer, err := answerRow(a, r, http.StatusCreated, virtualNetworks, network.ID, a.encodeVirtualNetwork)
	answer.location = href("virtual-networks", network.ID)
	return answer, err
}

// vxlan is the number that a new network gets: the wanted one, or the lowest
// free one if that is 0.
func vxlan(s *store.Snapshot, network *store.VirtualNetwork, wanted int) (int, error) {
	if wanted != 0 {
		if s.VXLANTaken(network.ProjectID, network.Metro, wanted) {
			return 0, refuse(http.StatusUnprocessableEntity, "vxlan %d has already been taken in metro %q of the project", wanted, network.Metro)
		}
		return wanted, nil
	}
	for number := lowestFreeVXLAN; number <= lastFreeVXLAN; number++ {
		if !s.VXLANTaken(network.ProjectID, network.Metro, number) {
			return number, nil
		}
	}
	return 0, refuse(http.StatusUnprocessableEntity, "vxlan can't be blank: all numbers from %d to %d have been taken in metro %q of the project",
		lowestFreeVXLAN, lastFreeVXLAN, network.Metro)
}

func (a *API) updateVirtualNetwork(r *request) (response, error) {
	var input packet.VirtualNetworkUpdate
	if err := r.decode(&input); err != nil {
		return response{}, err
	}
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.VirtualNetworks.Get(r.id())
		if !ok {
			return errNotFound()
		}
		network := *row.Value
		set(&network.Description, input.Description)
		set(&network.Tags, input.Tags)
		tx.VirtualNetworks.Update(tx, row, &network)
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return a.getVirtualNetwork(r)
}

// deleteVirtualNetwork removes a network that nothing uses. Whatever begins
// to use one writes its record, so that one of the two has to try again.
func (a *API) deleteVirtualNetwork(r *request) (response, error) {
	err := a.store.Update(r.ctx, func(tx *store.Tx) error {
		row, ok := tx.VirtualNetworks.Get(r.id())
		if !ok {
			return errNotFound()
		}
		if len(tx.DevicePorts.In(store.OfVirtualNetwork(row.Value.ID))) > 0 {
			return refuse(http.StatusUnprocessableEntity, textVirtualNetworkInUse)
		}
		if len(tx.MetalGateways.In(store.OfVirtualNetwork(row.Value.ID))) > 0 {
			return refuse(http.StatusUnprocessableEntity, textVirtualNetworkHasGateway)
		}
		tx.VirtualNetworks.Delete(tx, row)
		// The blocks of the metro go with the last of what is in it, be it a
		// reservation or a network.
		leaveMetro(tx, &store.Reservation{ID: row.Value.ID, ProjectID: row.Value.ProjectID, Metro: row.Value.Metro})
		return nil
	})
	if err != nil {
		return response{}, err
	}
	return noContent()
}

// findVirtualNetwork finds a network of a project by its UUID, or, in one
// metro, by its number. A network of another project is none.
func findVirtualNetwork(s *store.Snapshot, projectID, metro, name string) (*store.Row[store.VirtualNetwork], bool) {
	if number, err := strconv.Atoi(name); err == nil {
		return s.VirtualNetworkNumbered(projectID, metro, number)
	}
	row, ok := s.VirtualNetworks.Get(name)
	if !ok || row.Value.ProjectID != projectID {
		return nil, false
	}
	return row, true
}

func (a *API) encodeVirtualNetwork(s *store.Snapshot, row *store.Row[store.VirtualNetwork]) ([]byte, error) {
	return encodeRow(row, func(v *store.VirtualNetwork) *packet.VirtualNetwork { return a.virtualNetwork(s, v) })
}

func (a *API) virtualNetwork(s *store.Snapshot, v *store.VirtualNetwork) *packet.VirtualNetwork {
	shown := &packet.VirtualNetwork{
		ID:            v.ID,
		Href:          href("virtual-networks", v.ID),
		VXLAN:         v.VXLAN,
		Description:   v.Description,
		MetroCode:     v.Metro,
		AssignedTo:    &packet.Project{Href: href("projects", v.ProjectID)},
		Instances:     []packet.Href{},
		MetalGateways: []packet.MetalGatewayLite{},
		Tags:          orEmpty(v.Tags),
		CreatedAt:     packet.NewTimestamp(v.CreatedAt),
	}
	shown.Metro, _ = a.catalogue.Metro(v.Metro)
	if facility, ok := a.catalogue.Facility(v.Facility); ok {
		shown.FacilityCode = facility.Code
		shown.Facility = &packet.VirtualNetworkFacility{Facility: *facility, FacilityCode: facility.Code}
		shown.Facility.Href = href("facilities", facility.ID)
	}
	for _, row := range s.DevicePorts.In(store.OfVirtualNetwork(v.ID)) {
		shown.Instances = append(shown.Instances, *reference("devices", row.Value.DeviceID))
	}
	for _, row := range s.MetalGateways.In(store.OfVirtualNetwork(v.ID)) {
		shown.MetalGateways = append(shown.MetalGateways, *metalGatewayLite(s, row.Value))
	}
	return shown
}

func virtualNetworkReference(id string) *packet.VirtualNetwork {
	return &packet.VirtualNetwork{Href: href("virtual-networks", id)}
}
