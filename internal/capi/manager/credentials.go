package manager

import (
	"os"

	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/packetyard/packetyard/internal/capi/credentials"
	"github.com/packetyard/packetyard/pkg/packet"
)

// credentialsConfig is where the credentials of the Packet API come from, and how its clients behave.
func (o *Options) credentialsConfig(reader client.Reader) credentials.Config {
	return credentials.Config{
		Reader:      reader,
		Secret:      client.ObjectKey{Namespace: o.PodNamespace, Name: o.Packet.CredentialsSecret},
		Environment: packet.CredentialsFromEnvironment(os.Getenv),
		UserAgent:   controllerName,
		QPS:         o.Packet.QPS,
		Burst:       o.Packet.Burst,
		Timeout:     o.Packet.Timeout,
		ListingTTL:  o.Packet.ListingTTL,
		Registerer:  metrics.Registry,
	}
}
