package devices

import (
	"errors"
	"net/http"
	"regexp"
	"strings"

	"github.com/packetyard/packetyard/pkg/packet"
)

// Refusal is a kind of reason for which the Packet API does not make a device. It is used as the reason of a condition.
type Refusal string

// The kinds of refusals. The API has no codes for them: they are told apart by its words.
const (
	PlanUnknown            Refusal = "PlanUnknown"
	OperatingSystemUnknown Refusal = "OperatingSystemUnknown"
	MetroUnknown           Refusal = "MetroUnknown"
	FacilityUnknown        Refusal = "FacilityUnknown"
	SSHKeyUnknown          Refusal = "SSHKeyUnknown"
	SSHKeyInvalid          Refusal = "SSHKeyInvalid"
	ReservationUnknown     Refusal = "ReservationUnknown"
	ReservationMismatch    Refusal = "ReservationMismatch"
	ReservationUnavailable Refusal = "ReservationUnavailable"
	IPReservationUnusable  Refusal = "IPReservationUnusable"
	UserDataTooLong        Refusal = "UserDataTooLong"
	UserDataInvalid        Refusal = "UserDataInvalid"
	StorageInvalid         Refusal = "StorageInvalid"
	SpotPriceTooLow        Refusal = "SpotPriceTooLow"
	QuotaExceeded          Refusal = "QuotaExceeded"
	NoCapacity             Refusal = "NoCapacity"
	ProjectUnknown         Refusal = "ProjectUnknown"
	// CreateFailed is any other refusal.
	CreateFailed Refusal = "CreateFailed"
	// None means that the error is no refusal of the API: nothing is known, or it is about the token.
	None Refusal = ""
)

// refusal is how the API words one kind, and what can be done about it.
type refusal struct {
	kind Refusal
	// words are in the text, in lower case and in any order. A word that begins with ^ begins the text.
	words []string
}

// refusals are tried in order: what names a field comes before what could be in the text of any field.
func refusals() []refusal {
	return []refusal{
		{PlanUnknown, []string{"^plan ", "is not one of"}},
		{PlanUnknown, []string{"plan", "not valid"}},
		{OperatingSystemUnknown, []string{"operating_system ", "is not one of"}},
		{OperatingSystemUnknown, []string{"operating_system ", "cannot be installed on"}},
		{OperatingSystemUnknown, []string{"operating system", "not valid"}},
		{MetroUnknown, []string{"^metro ", "is not one of"}},
		{FacilityUnknown, []string{"^facility ", "is not one of"}},
		{FacilityUnknown, []string{"^facility ", "is not in metro"}},
		{SSHKeyUnknown, []string{"ssh_keys ", "is no "}},
		{SSHKeyInvalid, []string{"^key "}},
		{ReservationUnknown, []string{"^hardware_reservation_id ", "neither a hardware reservation"}},
		{ReservationMismatch, []string{"^hardware_reservation_id ", "is a server"}},
		{ReservationUnavailable, []string{"available hardware reservations"}},
		{ReservationUnavailable, []string{"server is not provisionable"}},
		{IPReservationUnusable, []string{"^ip_reservations "}},
		{UserDataTooLong, []string{"^userdata ", "at most"}},
		{UserDataTooLong, []string{"request", "too large"}},
		{UserDataInvalid, []string{"^userdata "}},
		{StorageInvalid, []string{"^storage"}},
		{SpotPriceTooLow, []string{"spot_price_max", "market"}},
		{QuotaExceeded, []string{"quota"}},
		{QuotaExceeded, []string{"exceed", "limit"}},
		{NoCapacity, []string{"no provisionable"}},
		{NoCapacity, []string{"there are no addresses left"}},
		{NoCapacity, []string{"capacity"}},
	}
}

// RefusalOf tells why the Packet API refused what was asked for. The API says that there is no server with status 503,
// which a failure inside of it has too: there its own words decide.
func RefusalOf(err error) Refusal {
	var none *ReservationsError
	if errors.As(err, &none) {
		return ReservationUnavailable
	}
	var answer *packet.Error
	if !errors.As(err, &answer) || answer.Unparsed {
		return None
	}
	kind := worded(answer)
	switch answer.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusRequestTimeout:
		return None
	case http.StatusServiceUnavailable:
		if kind == NoCapacity || kind == ReservationUnavailable {
			return kind
		}
		return None
	case http.StatusNotFound:
		return ProjectUnknown
	}
	switch {
	case answer.StatusCode >= http.StatusInternalServerError:
		return None
	case kind != None:
		return kind
	default:
		return CreateFailed
	}
}

func worded(answer *packet.Error) Refusal {
	for _, r := range refusals() {
		for _, message := range answer.Messages {
			if r.matches(strings.ToLower(message)) {
				return r.kind
			}
		}
	}
	return None
}

func (r refusal) matches(text string) bool {
	for _, word := range r.words {
		if start, begins := strings.CutPrefix(word, "^"); begins {
			if !strings.HasPrefix(text, start) {
				return false
			}
		} else if !strings.Contains(text, word) {
			return false
		}
	}
	return true
}

// Waits tells whether the same request may be granted later without anybody changing it: when somebody gives a server back,
// when the price falls.
func (r Refusal) Waits() bool {
	switch r {
	case NoCapacity, QuotaExceeded, ReservationUnavailable, SpotPriceTooLow, IPReservationUnusable:
		return true
	default:
		return false
	}
}

// Advice says in a sentence what to do about a refusal.
func (r Refusal) Advice() string {
	switch r {
	case PlanUnknown:
		return "make a new machine whose spec.machineType is the slug of a plan"
	case OperatingSystemUnknown:
		return "make a new machine whose spec.os is the slug of an operating system for that plan"
	case MetroUnknown, FacilityUnknown:
		return "correct spec.metro or spec.facility, the failure domain of the Machine, or the place of the PacketCluster"
	case SSHKeyUnknown, SSHKeyInvalid:
		return "make a new machine whose spec.sshKeys are public keys, or UUIDs of SSH keys of the project"
	case ReservationUnknown, ReservationMismatch:
		return "make a new machine whose spec.hardwareReservationID names reservations of the project, of its plan and place"
	case ReservationUnavailable:
		return "free a reservation, reserve more, or make a new machine with spec.reservationFallback: OnDemand; it is tried again"
	case IPReservationUnusable:
		return "name reservations with free addresses in the metro of the device in spec.network.addresses, or free some; it is tried again"
	case UserDataTooLong:
		return "make the bootstrap data shorter, for example by having the machine fetch large files itself"
	case UserDataInvalid:
		return "have the bootstrap provider make cloud-config, a script or Ignition"
	case StorageInvalid:
		return "correct spec.storage in a new machine"
	case SpotPriceTooLow:
		return "wait until the price falls, or make a new machine with a higher spec.spot.maxPrice; it is tried again"
	case QuotaExceeded:
		return "delete devices of the project or have its quota raised; it is tried again"
	case NoCapacity:
		return "wait for servers to become free, or make a new machine with another plan or in another metro; it is tried again"
	case ProjectUnknown:
		return "correct the project in the credentials, or spec.projectID of a new PacketCluster"
	default:
		return "correct the specification in a new machine"
	}
}

// volatile is what two answers to the same request do not have in common: a condition must not change with it.
var volatile = regexp.MustCompile(` \((?:request|retry after) [^)]*\)`)

// Words are the text of an error without what is different each time, such as the ID of the request.
func Words(err error) string {
	var transport *packet.TransportError
	if errors.As(err, &transport) {
		return transport.Operation + ": no answer from the API"
	}
	return volatile.ReplaceAllString(err.Error(), "")
}
