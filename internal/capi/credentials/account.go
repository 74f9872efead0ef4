package credentials

import (
	"strings"
	"time"

	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/pkg/packet"
)

// Account is a project as seen with one token.
type Account struct {
	// Client speaks to the Packet API.
	Client *packet.Client
	// ProjectID is the project that devices and addresses are created in.
	ProjectID string
	// Devices finds the project's devices, in a listing that everyone who uses the account shares.
	Devices *devices.Finder

	credentials packet.Credentials
}

// CloudConfig is what the cloud controller manager in the workload cluster reads from cloud-sa.json.
type CloudConfig struct {
	APIKey    string `json:"apiKey"`
	ProjectID string `json:"projectID"`
	BaseURL   string `json:"base-url"`
}

// CloudConfig returns the account in the form of cloud-sa.json. It holds the token: it belongs into a Secret and nowhere
// else.
func (a *Account) CloudConfig() CloudConfig {
	return CloudConfig{APIKey: a.credentials.APIToken, ProjectID: a.ProjectID, BaseURL: a.credentials.APIURL}
}

func newAccount(client *packet.Client, credentials packet.Credentials, ttl time.Duration) *Account {
	listing := packet.NewDeviceCache(client, credentials.ProjectID, packet.DeviceFilter{}, ttl, packet.SystemClock{})
	return &Account{
		Client:      client,
		ProjectID:   credentials.ProjectID,
		Devices:     devices.NewFinder(listing),
		credentials: credentials,
	}
}

// clean trims what editors and shells leave at the end of a value in a Secret.
func clean(credentials packet.Credentials) packet.Credentials {
	return packet.Credentials{
		APIURL:    strings.TrimRight(strings.TrimSpace(credentials.APIURL), "/"),
		APIToken:  strings.TrimSpace(credentials.APIToken),
		ProjectID: strings.ToLower(strings.TrimSpace(credentials.ProjectID)),
	}
}
