package validation

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/packetyard/packetyard/api/packet/v1alpha1"
)

// nextAvailable asks for any reserved server that fits, in place of the ID of one.
const nextAvailable = "next-available"

// price is a decimal number, as prices are written in JSON texts.
var price = regexp.MustCompile(`^[0-9]{1,6}(\.[0-9]{1,6})?$`)

// ValidateWorkerConfig tells what is wrong with the providerConfig of a worker pool.
func ValidateWorkerConfig(config *v1alpha1.WorkerConfig, at *field.Path) field.ErrorList {
	problems := validateReservations(config, at)
	if config.Spot != nil {
		problems = append(problems, validateSpot(config, at.Child("spot"))...)
	}
	for i, network := range config.VLANs {
		path := at.Child("vlans").Index(i)
		if !isUUID(network) {
			problems = append(problems, field.Invalid(path, network, "must be the ID (a UUID) of a virtual network of the project in the metro"))
		} else if slices.Contains(config.VLANs[:i], network) {
			problems = append(problems, field.Duplicate(path, network))
		}
	}
	if config.Storage != nil {
		problems = append(problems, validateStorage(config.Storage.Raw, at.Child("storage"))...)
	}
	if template := config.NodeTemplate; template != nil {
		path := at.Child("nodeTemplate")
		if len(template.Capacity) == 0 {
			problems = append(problems, field.Required(path.Child("capacity"), "at least one resource, such as cpu: \"8\""))
		}
		problems = append(problems, validateCapacity(template.Capacity, path.Child("capacity"))...)
		problems = append(problems, validateCapacity(template.VirtualCapacity, path.Child("virtualCapacity"))...)
	}
	return problems
}

func validateReservations(config *v1alpha1.WorkerConfig, at *field.Path) field.ErrorList {
	var problems field.ErrorList
	path := at.Child("reservationIDs")
	for i, id := range config.ReservationIDs {
		if id != nextAvailable && !isUUID(id) {
			problems = append(problems, field.Invalid(path.Index(i), id, fmt.Sprintf("must be the ID (a UUID) of a hardware reservation of the project, or %s", nextAvailable)))
		} else if slices.Contains(config.ReservationIDs[:i], id) {
			problems = append(problems, field.Duplicate(path.Index(i), id))
		}
	}
	if only := config.ReservedDevicesOnly; only != nil && *only && len(config.ReservationIDs) == 0 {
		problems = append(problems, field.Required(path, fmt.Sprintf("reservedDevicesOnly is true: the IDs of reservations, or %s", nextAvailable)))
	}
	return problems
}

func validateSpot(config *v1alpha1.WorkerConfig, at *field.Path) field.ErrorList {
	var problems field.ErrorList
	if len(config.ReservationIDs) > 0 {
		problems = append(problems, field.Forbidden(at, "reservationIDs is set: a machine is either reserved or rented on the spot market"))
	}
	value, err := strconv.ParseFloat(config.Spot.MaxPrice, 64)
	if !price.MatchString(config.Spot.MaxPrice) || err != nil || value <= 0 {
		problems = append(problems, field.Invalid(at.Child("maxPrice"), config.Spot.MaxPrice, "must be a price in US dollars per hour above 0, as a decimal number such as \"0.35\""))
	}
	return problems
}

func validateCapacity(capacity corev1.ResourceList, at *field.Path) field.ErrorList {
	var problems field.ErrorList
	for name, quantity := range capacity {
		if quantity.Sign() < 0 {
			problems = append(problems, field.Invalid(at.Key(string(name)), quantity.String(), "must not be negative"))
		}
	}
	slices.SortFunc(problems, func(a, b *field.Error) int { return strings.Compare(a.Field, b.Field) })
	return problems
}

func isUUID(text string) bool {
	_, err := uuid.Parse(text)
	return err == nil && len(text) == 36
}
