package mcm

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/gardener/machine-controller-manager/pkg/util/provider/machinecodes/codes"
	"github.com/gardener/machine-controller-manager/pkg/util/provider/machinecodes/status"

	"github.com/packetyard/packetyard/pkg/packet"
)

// fail makes an error as MCM reads it. MCM finds code and text again by square brackets, so that the text must have none: with
// one that is not closed it would read neither, and a NotFound would be an unknown error.
func fail(code codes.Code, format string, args ...any) error {
	return status.Error(code, strings.NewReplacer("[", "(", "]", ")").Replace(fmt.Sprintf(format, args...)))
}

// failed makes an error of what went wrong while something was done. The secrets are kept out of its text, whoever repeats
// them.
func failed(err error, doing string, secrets ...string) error {
	return failedAs(codeOf(err), err, doing, secrets...)
}

func failedAs(code codes.Code, err error, doing string, secrets ...string) error {
	text := err.Error()
	for _, secret := range secrets {
		if secret != "" {
			text = strings.ReplaceAll(text, secret, hidden)
		}
	}
	return fail(code, "%s: %s", doing, text)
}

// codeOf is what an error of the Packet API is to MCM.
//
// After ResourceExhausted the cluster-autoscaler turns to other pools. Unknown, DeadlineExceeded, Aborted and Unavailable are
// tried again after seconds, all others after minutes. NotFound is none of them: it makes MCM create a device or forget one,
// and has to be said by whoever asked for that very device.
func codeOf(err error) codes.Code {
	var none *noReservation
	var answer *packet.Error
	var transport *packet.TransportError
	switch {
	case errors.As(err, &none):
		return codes.ResourceExhausted
	case errors.As(err, &answer):
		return codeOfAnswer(answer)
	case errors.Is(err, packet.ErrListChanged):
		return codes.Aborted
	case errors.Is(err, packet.ErrToken):
		return codes.Unauthenticated
	case errors.Is(err, context.DeadlineExceeded):
		return codes.DeadlineExceeded
	case errors.Is(err, context.Canceled):
		return codes.Canceled
	case errors.As(err, &transport) && packet.IsTransient(err):
		return codes.Unavailable
	case errors.As(err, &transport):
		// The API's certificate is not trusted, and will not be in a few seconds.
		return codes.FailedPrecondition
	default:
		return codes.Internal
	}
}

func codeOfAnswer(answer *packet.Error) codes.Code {
	if answer.Unparsed {
		// A proxy said it, or quite another server.
		return codes.Unavailable
	}
	switch answer.StatusCode {
	case http.StatusUnauthorized:
		return codes.Unauthenticated
	case http.StatusForbidden:
		return codes.PermissionDenied
	case http.StatusNotFound:
		// Not what was asked for, but what it is in: the project.
		return codes.FailedPrecondition
	case http.StatusConflict:
		return codes.Aborted
	case http.StatusPaymentRequired:
		return codes.ResourceExhausted
	case http.StatusTooManyRequests:
		return codes.Unavailable
	case http.StatusRequestTimeout, http.StatusGatewayTimeout:
		return codes.DeadlineExceeded
	}
	switch {
	case exhausted(answer):
		return codes.ResourceExhausted
	case answer.StatusCode >= http.StatusInternalServerError:
		return codes.Unavailable
	default:
		return codes.InvalidArgument
	}
}

// exhausted tells that there is no server to be had, which the API says in words, with status 503 or 422.
func exhausted(answer *packet.Error) bool {
	if answer.StatusCode != http.StatusUnprocessableEntity && answer.StatusCode != http.StatusServiceUnavailable {
		return false
	}
	return reservationTaken(answer) || said(answer, "no provisionable") || said(answer, "quota") || said(answer, "exceed", "limit") ||
		said(answer, "capacity") || said(answer, "there are no addresses left") || said(answer, "ip_reservations", "left") || said(answer, "spot_price_max", "market")
}

// reservationTaken tells that a hardware reservation cannot be used now.
func reservationTaken(answer *packet.Error) bool {
	return said(answer, "available hardware reservations") || said(answer, "server is not provisionable")
}

// reservationUseless tells that a hardware reservation is none that this device could be made of.
func reservationUseless(answer *packet.Error) bool {
	return answer.StatusCode == http.StatusUnprocessableEntity &&
		(said(answer, "hardware_reservation_id", "neither a hardware reservation") || said(answer, "hardware_reservation_id", "is a server"))
}

// passesOver tells that a refusal is about the hardware reservation alone, so that another one may do.
func passesOver(err error) bool {
	var answer *packet.Error
	if !errors.As(err, &answer) || answer.Unparsed {
		return false
	}
	return reservationUseless(answer) || exhausted(answer) && reservationTaken(answer)
}

// isLocked tells that a device is protected from being deleted.
func isLocked(err error) bool {
	var answer *packet.Error
	return errors.As(err, &answer) && packet.IsUnprocessable(err) && said(answer, "locked")
}

// said tells whether one of the texts has all the words, in any case.
func said(answer *packet.Error, words ...string) bool {
	for _, message := range answer.Messages {
		text, all := strings.ToLower(message), true
		for _, word := range words {
			all = all && strings.Contains(text, word)
		}
		if all {
			return true
		}
	}
	return false
}

// uncertain tells that the creation of a device which failed may have been carried out nevertheless.
func uncertain(err error) bool {
	var answer *packet.Error
	if errors.As(err, &answer) {
		return answer.Operation == createDevice && answer.StatusCode != http.StatusTooManyRequests && !exhausted(answer) && packet.IsTransient(err)
	}
	var transport *packet.TransportError
	if errors.As(err, &transport) {
		return transport.Operation == createDevice
	}
	return errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded)
}

// createDevice is the operation of the Packet API.
const createDevice = "createDevice"

// machineStatus is an error as MCM knows it.
type machineStatus = status.Status
