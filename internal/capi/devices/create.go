package devices

import (
	"context"
	"errors"
	"fmt"
	"strings"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/pkg/packet"
)

// Creator asks for devices; packet.Client is one.
type Creator interface {
	CreateDevice(ctx context.Context, projectID string, create packet.DeviceCreate, options ...packet.QueryOption) (*packet.Device, error)
}

// Place is where a device is put: one of the two is set.
type Place struct {
	Metro    string
	Facility string
}

// String is the code of the place.
func (p Place) String() string { return p.Metro + p.Facility }

// PlaceOf tells metros, which have two letters, from facilities, which have a number too.
func PlaceOf(code string) Place {
	if len(code) == 2 {
		return Place{Metro: code}
	}
	return Place{Facility: code}
}

// Request is everything that a device is made from.
type Request struct {
	Identity     Identity
	Hostname     string
	ControlPlane bool
	Place        Place
	Spec         infrav1.PacketMachineSpec
	// UserData is a secret.
	UserData []byte
}

// Created is a new device, and how it came to be.
type Created struct {
	Device *packet.Device
	// Reservation is the hardware reservation that was used: a UUID, next-available, or empty for a device on demand.
	Reservation string
	// Fallback tells why the device is on demand although reservations were asked for; nil if it is not.
	Fallback *ReservationsError
}

// ReservationsError tells that none of the hardware reservations that a machine may use can be had.
type ReservationsError struct {
	// Reasons has a sentence for each of them.
	Reasons []string
	// Err joins what the Packet API said; nil if it did not have to be asked.
	Err error
}

// Error implements error.
func (e *ReservationsError) Error() string { return strings.Join(e.Reasons, "; ") }

// Unwrap gives what the Packet API said.
func (e *ReservationsError) Unwrap() error { return e.Err }

// Create rents a device (createDevice). Hardware reservations are tried in turn: those that the project's listing shows to
// be taken cost no call. If none can be had and the machine may fall back, the device is rented on demand.
//
// The error is a *ReservationsError if no reservation could be had, or tells what the Packet API said. After an error that
// packet.IsTransient the device may exist: find it before creating it again.
func Create(ctx context.Context, creator Creator, supply *Supply, request Request) (Created, error) {
	create, err := request.body(ctx, supply)
	if err != nil {
		return Created{}, err
	}
	wanted := request.Spec.HardwareReservationID
	if wanted == "" {
		device, err := creator.CreateDevice(ctx, supply.projectID, create)
		return Created{Device: device}, err
	}
	created, err := reserved(ctx, creator, supply, create, strings.Split(wanted, ","))
	var none *ReservationsError
	if !errors.As(err, &none) || request.Spec.ReservationFallback != infrav1.ReservationFallbackOnDemand {
		return created, err
	}
	create.HardwareReservationID = ""
	device, err := creator.CreateDevice(ctx, supply.projectID, create)
	if err != nil {
		return Created{}, fmt.Errorf("on demand, because no hardware reservation can be had (%s): %w", none.Error(), err)
	}
	return Created{Device: device, Fallback: none}, nil
}

// reserved rents a device on one of the hardware reservations that are given, the first that can be had.
func reserved(ctx context.Context, creator Creator, supply *Supply, create packet.DeviceCreate, wanted []string) (Created, error) {
	none := &ReservationsError{}
	for _, reservation := range wanted {
		if reservation != infrav1.HardwareReservationNextAvailable {
			id, reason, err := supply.reservations.Claim(ctx, reservation)
			if err != nil {
				return Created{}, err
			}
			if reason != "" {
				none.Reasons = append(none.Reasons, reason)
				continue
			}
			reservation = id
		}
		create.HardwareReservationID = reservation
		device, err := creator.CreateDevice(ctx, supply.projectID, create)
		supply.reservations.Release(reservation, err)
		if err == nil {
			return Created{Device: device, Reservation: reservation}, nil
		}
		err = fmt.Errorf("hardware reservation %s: %w", reservation, err)
		switch RefusalOf(err) {
		case ReservationUnavailable, ReservationUnknown, ReservationMismatch:
			none.Reasons = append(none.Reasons, Words(err))
			none.Err = errors.Join(none.Err, err)
		default:
			// What is wrong is not this reservation: with another one it would be wrong too, or nothing is known.
			return Created{}, err
		}
	}
	return Created{}, none
}
