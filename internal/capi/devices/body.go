package devices

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"

	infrav1 "github.com/packetyard/packetyard/api/infrastructure/v1beta2"
	"github.com/packetyard/packetyard/pkg/packet"
)

// body is the request to the Packet API (DeviceCreateInput).
func (r Request) body(ctx context.Context, supply *Supply) (packet.DeviceCreate, error) {
	tags := append(r.Identity.allTags(), packet.RoleTag(r.ControlPlane))
	for _, tag := range r.Spec.Tags {
		if !slices.Contains(tags, tag) {
			tags = append(tags, tag)
		}
	}
	create := packet.DeviceCreate{
		Hostname:        r.Hostname,
		Description:     r.Spec.Description,
		Plan:            r.Spec.MachineType,
		OperatingSystem: r.Spec.OS,
		Metro:           r.Place.Metro,
		BillingCycle:    string(r.Spec.BillingCycle),
		Tags:            tags,
		Userdata:        string(r.UserData),
		IPXEScriptURL:   r.Spec.IPXEURL,
		AlwaysPXE:       isTrue(r.Spec.AlwaysPXE),
		Locked:          isTrue(r.Spec.DeletionProtection),
		IPAddresses:     addresses(r.Spec.Network),
	}
	if r.Place.Facility != "" {
		create.Facility = packet.FacilityCodes{r.Place.Facility}
	}
	if create.BillingCycle == "" {
		create.BillingCycle = "hourly"
	}
	if r.Spec.CustomData != nil {
		create.CustomData = json.RawMessage(r.Spec.CustomData.Raw)
	}
	if r.Spec.Storage != nil {
		create.Storage = json.RawMessage(r.Spec.Storage.Raw)
	}
	if len(r.Spec.Features) > 0 {
		features, err := json.Marshal(r.Spec.Features)
		if err != nil {
			return create, fmt.Errorf("encoding spec.features: %w", err)
		}
		create.Features = features
	}
	if price := r.Spec.Spot.MaxPrice; price != "" {
		most, err := strconv.ParseFloat(price, 64)
		if err != nil || most <= 0 {
			return create, &InvalidError{Field: "spec.spot.maxPrice", Value: price, Allowed: "a number of US dollars per hour above 0, for example 0.25"}
		}
		create.SpotInstance, create.SpotPriceMax = true, most
	}
	return create, r.keys(ctx, supply, &create)
}

// InvalidError tells of a value that the Packet API need not be asked about.
type InvalidError struct{ Field, Value, Allowed string }

// Error implements error.
func (e *InvalidError) Error() string {
	return fmt.Sprintf("%s %q is not possible: allowed is %s", e.Field, e.Value, e.Allowed)
}

// addresses are those that a device is born with. None means that the Packet API gives one of each type.
func addresses(network infrav1.PacketMachineNetwork) []packet.IPAddressCreate {
	if len(network.Addresses) == 0 && isTrue(network.PrivateOnly) {
		return []packet.IPAddressCreate{{AddressFamily: 4}}
	}
	var list []packet.IPAddressCreate
	for _, address := range network.Addresses {
		create := packet.IPAddressCreate{
			AddressFamily: 4, Public: address.Type != infrav1.AddressPrivateIPv4,
			CIDR: int(address.CIDR), IPReservations: address.ReservationIDs,
		}
		if address.Type == infrav1.AddressPublicIPv6 {
			create.AddressFamily = 6
		}
		list = append(list, create)
	}
	return list
}

func isTrue(b *bool) bool { return b != nil && *b }
