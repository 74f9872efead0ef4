package controlplane

import (
	_ "embed"
	"fmt"
	"regexp"

	"k8s.io/utils/ptr"

	extensionswebhook "github.com/gardener/gardener/extensions/pkg/webhook"
	v1beta1constants "github.com/gardener/gardener/pkg/apis/core/v1beta1/constants"
	extensionsv1alpha1 "github.com/gardener/gardener/pkg/apis/extensions/v1alpha1"
)

const (
	defaultMetadataURL = "http://metadata.packet.net"

	peerRouteService = "bgp-peer-route.service"
	peerRouteTimer   = "bgp-peer-route.timer"
	peerRouteScript  = v1beta1constants.OperatingSystemConfigFilePathBinaries + "/bgp-peer.sh"
)

//go:embed bgp-peer.sh
var peerRouteText string

// metadataURLs leaves nothing that systemd or a shell would read as anything but itself.
var metadataURLs = regexp.MustCompile(`^https?://([A-Za-z0-9][A-Za-z0-9.-]*|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*/?$`)

// checkMetadataURL tells whether a script on a machine can use this as the address of the metadata service.
func checkMetadataURL(address string) error {
	if !metadataURLs.MatchString(address) {
		return fmt.Errorf("%q must be an http or https URL of letters, digits, dots and dashes, such as %s", address, defaultMetadataURL)
	}
	return nil
}

// addPeerRoutes adds what routes the switches' BGP speakers, 169.254.255.1 and 169.254.255.2, through the gateway of the machine's
// private network: without that no session with them comes up, and no address of a load balancer is announced.
//
// A timer runs it, not gardener-node-agent: routes are gone after a restart of systemd-networkd, and a metadata service that does
// not answer must not keep a node from joining.
func (m *mutator) addPeerRoutes(spec *extensionsv1alpha1.OperatingSystemConfigSpec, metadataURL string) error {
	script, err := m.script(peerRouteScript, peerRouteText)
	if err != nil {
		return err
	}
	spec.Files = extensionswebhook.EnsureFileWithPath(spec.Files, script)
	spec.Units = extensionswebhook.EnsureUnitWithName(spec.Units, extensionsv1alpha1.Unit{
		Name:   peerRouteService,
		Enable: ptr.To(true),
		Content: ptr.To(`[Unit]
Description=Routes to the BGP peers of the machine
After=network-online.target
Wants=network-online.target
[Service]
Type=oneshot
Environment=METADATA_URL=` + metadataURL + `
ExecStart=` + peerRouteScript + `
[Install]
WantedBy=multi-user.target`),
	})
	spec.Units = extensionswebhook.EnsureUnitWithName(spec.Units, extensionsv1alpha1.Unit{
		Name:    peerRouteTimer,
		Enable:  ptr.To(true),
		Command: ptr.To(extensionsv1alpha1.CommandStart),
		Content: ptr.To(`[Unit]
Description=Keeps the routes to the BGP peers of the machine
[Timer]
OnActiveSec=0
OnUnitInactiveSec=1min
AccuracySec=10s
[Install]
WantedBy=timers.target`),
		// A new script is used at once, not at the next boot.
		FilePaths: []string{peerRouteScript},
	})
	return nil
}
