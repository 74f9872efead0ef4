package devices

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"slices"
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

var uuid = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)

// Create rents a device. If the spec lists several hardware reservations, they are tried in turn. After an error that
// packet.IsTransient the device may exist: find it before creating it again.
func Create(ctx context.Context, creator Creator, projectID string, request Request) (*packet.Device, error) {
	create := request.body()
	var refusals []error
	for _, reservation := range strings.Split(request.Spec.HardwareReservationID, ",") {
		create.HardwareReservationID = reservation
		device, err := creator.CreateDevice(ctx, projectID, create)
		if err == nil {
			return device, nil
		}
		if reservation != "" {
			err = fmt.Errorf("hardware reservation %s: %w", reservation, err)
		}
		refusals = append(refusals, err)
		if !packet.IsUnprocessable(err) {
			// Only a refusal says anything about this reservation.
			break
		}
	}
	return nil, errors.Join(refusals...)
}

func (r Request) body() packet.DeviceCreate {
	tags := append(r.Identity.tags(), packet.RoleTag(r.ControlPlane))
	for _, tag := range r.Spec.Tags {
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	create := packet.DeviceCreate{
		Hostname:        r.Hostname,
		Plan:            r.Spec.MachineType,
		OperatingSystem: r.Spec.OS,
		Metro:           r.Place.Metro,
		BillingCycle:    string(r.Spec.BillingCycle),
		Tags:            tags,
		Userdata:        string(r.UserData),
		IPXEScriptURL:   r.Spec.IPXEURL,
	}
	if r.Place.Facility != "" {
		create.Facility = packet.FacilityCodes{r.Place.Facility}
	}
	if create.BillingCycle == "" {
		create.BillingCycle = "hourly"
	}
	for n, key := range r.Spec.SSHKeys {
		if uuid.MatchString(key) {
			create.ProjectSSHKeys = append(create.ProjectSSHKeys, key)
		} else {
			create.SSHKeys = append(create.SSHKeys, packet.SSHKeyCreate{Label: fmt.Sprintf("%s-%d", r.Hostname, n), Key: key})
		}
	}
	return create
}
