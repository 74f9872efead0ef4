package packet

import (
	"errors"
	"fmt"
	"strings"
)

// The schemes of a Kubernetes node's provider ID. Packetyard writes the
// first; the second is what the cloud provider wrote under its later name. A
// node's provider ID cannot be changed, so both are read for ever.
const (
	ProviderIDScheme        = "packet"
	EquinixProviderIDScheme = "equinixmetal"
)

// ErrForeignProviderID marks the provider ID of another cloud. It is no
// mistake: a cluster can have nodes of several clouds.
var ErrForeignProviderID = errors.New("provider ID of another cloud")

// ErrInvalidProviderID marks a provider ID that is ours, or of no cloud at
// all, but names no device.
var ErrInvalidProviderID = errors.New("invalid provider ID")

// ProviderID is the provider ID of the node that runs on a device:
// packet://<uuid>.
func ProviderID(deviceID string) string {
	return ProviderIDScheme + "://" + strings.ToLower(deviceID)
}

// DeviceID is the device that a provider ID names, in lower case. It takes
// packet://<uuid>, equinixmetal://<uuid> and the bare UUID, which the first
// releases of the cloud provider wrote. Its errors are ErrForeignProviderID
// and ErrInvalidProviderID.
func DeviceID(providerID string) (string, error) {
	id := providerID
	if scheme, rest, found := strings.Cut(providerID, "://"); found {
		if scheme != ProviderIDScheme && scheme != EquinixProviderIDScheme {
			return "", fmt.Errorf("%w: %q starts neither with %s:// nor with %s://",
				ErrForeignProviderID, providerID, ProviderIDScheme, EquinixProviderIDScheme)
		}
		id = rest
	}
	if !isUUID(id) {
		return "", fmt.Errorf("%w: %q is not %s://<uuid>, %s://<uuid> or a bare UUID",
			ErrInvalidProviderID, providerID, ProviderIDScheme, EquinixProviderIDScheme)
	}
	return strings.ToLower(id), nil
}

// isUUID accepts the 36-character form alone: the other forms that libraries
// read (URN, braces, no dashes) never come from the API.
func isUUID(s string) bool {
	if len(s) != 36 {
		return false
	}
	for i := range len(s) {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return false
			}
		} else if !strings.ContainsRune("0123456789abcdefABCDEF", rune(s[i])) {
			return false
		}
	}
	return true
}
