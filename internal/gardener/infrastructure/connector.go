package infrastructure

import (
	"context"
	"fmt"

	extensionscontroller "github.com/gardener/gardener/extensions/pkg/controller"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/packetyard/packetyard/internal/gardener/account"
	"github.com/packetyard/packetyard/internal/gardener/decode"
	"github.com/packetyard/packetyard/pkg/packet"
)

// userAgent is what the Packet API's log shows.
const userAgent = "gardener-extension-provider-packet"

// API is what this package needs of the Packet API; packet.Client is one.
type API interface {
	Locations
	Project(ctx context.Context, id string, options ...packet.QueryOption) (*packet.Project, error)
	ProjectSSHKeys(ctx context.Context, projectID string) ([]packet.SSHKey, error)
	CreateProjectSSHKey(ctx context.Context, projectID string, create packet.SSHKeyCreate) (*packet.SSHKey, error)
	DeleteSSHKey(ctx context.Context, id string) error
	VirtualNetworks(ctx context.Context, projectID string, options ...packet.QueryOption) ([]packet.VirtualNetwork, error)
	VirtualNetwork(ctx context.Context, id string, options ...packet.QueryOption) (*packet.VirtualNetwork, error)
	CreateVirtualNetwork(ctx context.Context, projectID string, create packet.VirtualNetworkCreate) (*packet.VirtualNetwork, error)
	DeleteVirtualNetwork(ctx context.Context, id string) error
	IPReservations(ctx context.Context, projectID string, options ...packet.QueryOption) ([]packet.IPReservation, error)
	CreateIPReservation(ctx context.Context, projectID string, create packet.IPReservationCreate, options ...packet.QueryOption) (*packet.IPReservation, error)
	DeleteIP(ctx context.Context, id string) error
}

// Connector connects to the Packet API with a Shoot's account.
type Connector struct {
	// reader reads Secrets as they are now, so that credentials which were just corrected count.
	reader client.Reader
	apiURL string
	// newClient is packet.NewClient, which tests wrap.
	newClient func(packet.Config) (*packet.Client, error)
}

// NewConnector makes a Connector. The address is used where neither the Secret nor the CloudProfile has one.
func NewConnector(reader client.Reader, apiURL string) *Connector {
	return &Connector{reader: reader, apiURL: apiURL, newClient: packet.NewClient}
}

// Connect makes a client with the account in a Secret. The cluster may be nil. Nothing is asked of the Packet API yet.
func (c *Connector) Connect(ctx context.Context, ref corev1.SecretReference, cluster *extensionscontroller.Cluster) (*packet.Client, packet.Credentials, error) {
	fallback := ""
	if cluster != nil && cluster.CloudProfile != nil {
		profile, err := decode.CloudProfileConfig(cluster.CloudProfile.Spec.ProviderConfig)
		if err != nil {
			return nil, packet.Credentials{}, fmt.Errorf("reading the providerConfig of CloudProfile %s: %w", cluster.CloudProfile.Name, err)
		}
		if profile.APIURL != nil {
			fallback = *profile.APIURL
		}
	}
	credentials, err := account.Read(ctx, c.reader, ref, fallback, c.apiURL)
	if err != nil {
		return nil, packet.Credentials{}, err
	}
	api, err := c.newClient(packet.Config{BaseURL: credentials.APIURL, Token: credentials.APIToken, UserAgent: userAgent})
	if err != nil {
		return nil, packet.Credentials{}, fmt.Errorf("invalid credentials in Secret %s/%s: %w", ref.Namespace, ref.Name, err)
	}
	return api, credentials, nil
}
