package credentials

import (
	"fmt"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/internal/capi/devices"
	"github.com/packetyard/packetyard/internal/capi/elasticips"
	"github.com/packetyard/packetyard/internal/capi/networks"
	"github.com/packetyard/packetyard/pkg/packet"
)

// Account is a project as seen with one token.
type Account struct {
	// Client speaks to the Packet API. Everyone who uses the same token at the same URL shares it, and with it the limit
	// of calls per second.
	Client *packet.Client
	// ProjectID is the project that devices and addresses are created in.
	ProjectID string
	// Devices finds the project's devices, in a listing that everyone who uses the account shares.
	Devices *devices.Finder
	// Reports tells what machines say about their user data, from listings that are shared likewise.
	Reports *devices.Reports
	// ElasticIPs finds and reserves the project's addresses, in a listing that is shared likewise.
	ElasticIPs *elasticips.Project
	// Supply is what the project has to make devices of, Networks sets up their ports.
	Supply   *devices.Supply
	Networks *networks.Project

	secret      client.ObjectKey
	credentials packet.Credentials
}

// Refused says in a sentence what to do when the Packet API refuses the token with an error.
func (a *Account) Refused(err error) string {
	return fmt.Sprintf("the Packet API refuses the token: %v: put a token that may use project %s into Secret %s, key %s",
		err, a.ProjectID, a.secret, KeyAPIToken)
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

// listings are what all accounts with the same credentials share.
type listings struct {
	devices    *devices.Finder
	reports    *devices.Reports
	elasticIPs *elasticips.Project
	supply     *devices.Supply
	networks   *networks.Project
}

func newListings(api *packet.Client, projectID string, ttl time.Duration) listings {
	clock := packet.SystemClock{}
	return listings{
		devices:    devices.NewFinder(packet.NewDeviceCache(api, projectID, packet.DeviceFilter{}, ttl, clock)),
		reports:    devices.NewReports(api, projectID, ttl, clock),
		elasticIPs: elasticips.NewProject(api, projectID, clock),
		supply:     devices.NewSupply(api, projectID, clock),
		networks:   networks.NewProject(api, projectID, clock),
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
