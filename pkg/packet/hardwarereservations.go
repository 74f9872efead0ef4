package packet

import (
	"context"
	"net/http"
)

// HardwareReservationList is the answer to listing hardware reservations.
type HardwareReservationList struct {
	HardwareReservations []HardwareReservation `json:"hardware_reservations"`
	Meta                 *Meta                 `json:"meta,omitempty"`
}

// NextAvailableHardware, as DeviceCreate.HardwareReservationID, asks for any
// reserved server of the project that fits.
const NextAvailableHardware = "next-available"

func hardwareReservationID(r *HardwareReservation) string { return r.ID }

// HardwareReservations lists a project's reserved servers, all of them
// (findProjectHardwareReservations).
func (c *Client) HardwareReservations(ctx context.Context, projectID string, options ...QueryOption) ([]HardwareReservation, error) {
	if err := checkID("project", projectID); err != nil {
		return nil, err
	}
	return listAll(ctx, c, listing[HardwareReservationList, HardwareReservation]{
		operation: "findProjectHardwareReservations",
		path:      "/projects/" + projectID + "/hardware-reservations",
		query:     query(options),
		paged:     true,
		items: func(l *HardwareReservationList) ([]HardwareReservation, *Meta) {
			return l.HardwareReservations, l.Meta
		},
		id: hardwareReservationID,
	})
}

// HardwareReservation reads a reserved server (findHardwareReservationById).
func (c *Client) HardwareReservation(ctx context.Context, id string, options ...QueryOption) (*HardwareReservation, error) {
	if err := checkID("hardware reservation", id); err != nil {
		return nil, err
	}
	return get(ctx, c, "findHardwareReservationById", "/hardware-reservations/"+id, query(options), hardwareReservationID)
}

// MoveHardwareReservation gives a reserved server without a device to another
// project (moveHardwareReservation).
func (c *Client) MoveHardwareReservation(ctx context.Context, id, projectID string) (*HardwareReservation, error) {
	if err := checkID("hardware reservation", id); err != nil {
		return nil, err
	}
	return send(ctx, c, request{
		operation: "moveHardwareReservation", method: http.MethodPost, path: "/hardware-reservations/" + id + "/move",
		body: map[string]string{"project_id": projectID},
	}, hardwareReservationID)
}
