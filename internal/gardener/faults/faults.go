// Package faults tells Gardener what kind of error one of the Packet API is, and the owner of a Shoot what to do about it.
//
// Gardener stops trying where a code says that it is of no use (HasNonRetryableErrorCode), and shows the code's meaning in its
// dashboard. Errors reach it as texts at times, from the status of a Machine for example, so the texts are what is recognised:
// those of packet.Error and packet.TransportError, and those that the Packet API answers with.
package faults

import (
	"errors"
	"fmt"

	"github.com/gardener/gardener/extensions/pkg/util"
	v1beta1helper "github.com/gardener/gardener/pkg/api/core/v1beta1/helper"
	gardencorev1beta1 "github.com/gardener/gardener/pkg/apis/core/v1beta1"
)

// KnownCodes has for every error code that the Packet API gives reason for what tells by an error's text that it applies. It is
// made for util.DetermineError and the field KnownCodes of Gardener's controllers, and must not be changed. A text has one code
// at most: that of the kind that comes first in the list of kinds.
var KnownCodes = knownCodes()

func knownCodes() map[gardencorev1beta1.ErrorCode]func(string) bool {
	codes := map[gardencorev1beta1.ErrorCode]func(string) bool{}
	for _, kind := range kinds {
		code := kind.code
		codes[code] = func(text string) bool {
			found := kindOf(text)
			return found != nil && found.code == code
		}
	}
	return codes
}

// Coded gives an error its code, and puts in front of it what the owner of the Shoot can do. An error that has a code already,
// or that none applies to, is returned as it is.
func Coded(err error) error {
	var coder v1beta1helper.Coder
	if err == nil || errors.As(err, &coder) {
		return err
	}
	kind := kindOf(err.Error())
	if kind == nil {
		return err
	}
	if kind.advice != "" {
		err = fmt.Errorf("%s: %w", kind.advice, err)
	}
	return v1beta1helper.NewErrorWithCodes(err, kind.code)
}

// Code is the code of an error, and empty where there is none.
func Code(err error) gardencorev1beta1.ErrorCode {
	if err == nil {
		return ""
	}
	if codes := util.DetermineErrorCodes(err, KnownCodes); len(codes) > 0 {
		return codes[0]
	}
	return ""
}

// Permanent tells that trying again is of no use before somebody has changed something: a Shoot with such an error fails.
func Permanent(err error) bool {
	code := Code(err)
	return code != "" && v1beta1helper.HasNonRetryableErrorCode(gardencorev1beta1.LastError{Codes: []gardencorev1beta1.ErrorCode{code}})
}

// Configuration is an error that the owner of the Shoot has to correct: ERR_CONFIGURATION_PROBLEM.
func Configuration(format string, args ...any) error {
	return v1beta1helper.NewErrorWithCodes(fmt.Errorf(format, args...), gardencorev1beta1.ErrorConfigurationProblem)
}

// InUse is an error about something that cannot be deleted yet, because something else that is about to go still uses it:
// ERR_RETRYABLE_INFRA_DEPENDENCIES.
func InUse(format string, args ...any) error {
	return v1beta1helper.NewErrorWithCodes(fmt.Errorf(format, args...), gardencorev1beta1.ErrorRetryableInfraDependencies)
}

// IsInUse tells that the Packet API refuses to delete something because something else uses it.
func IsInUse(err error) bool { return err != nil && inUse.MatchString(err.Error()) }
