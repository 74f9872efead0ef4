package machineos

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/packetyard/packetyard/internal/machineos/metadata"
)

// metadataFiles are where the services coreos-metadata and afterburn leave what
// they know of the machine, for the units that come after them, with the prefix
// of each file's names.
var metadataFiles = map[string]string{
	"/run/metadata/flatcar":   "COREOS_",
	"/run/metadata/coreos":    "COREOS_",
	"/run/metadata/afterburn": "AFTERBURN_",
}

// writeInstanceMetadata does the work of these services.
func (m *Machine) writeInstanceMetadata(document *metadata.Metadata) error {
	assignments := instanceMetadata(document)
	for name, prefix := range metadataFiles {
		file := filepath.Join(m.options.Root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return fmt.Errorf("writing the machine's metadata: %w", err)
		}
		content := prefix + strings.Join(assignments, "\n"+prefix) + "\n"
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			return fmt.Errorf("writing the machine's metadata: %w", err)
		}
	}
	return nil
}

// instanceMetadata are the assignments that these services make on Packet:
// addresses are numbered within their kind.
func instanceMetadata(document *metadata.Metadata) []string {
	assignments := []string{
		"PACKET_HOSTNAME=" + document.Hostname,
		"PACKET_PHONE_HOME_URL=" + document.PhoneHomeURL,
		"PACKET_PLAN=" + document.Plan,
	}
	numbers := map[string]int{}
	for _, address := range document.Network.Addresses {
		place := "PRIVATE"
		if address.Public {
			place = "PUBLIC"
		}
		kind := fmt.Sprintf("PACKET_IPV%d_%s", address.AddressFamily, place)
		number := numbers[kind]
		numbers[kind]++
		assignments = append(assignments, fmt.Sprintf("%s_%d=%s", kind, number, address.Address))
		if address.Gateway != "" {
			assignments = append(assignments, fmt.Sprintf("%s_GATEWAY_%d=%s", kind, number, address.Gateway))
		}
	}
	return assignments
}
