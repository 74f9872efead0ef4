// Command gardener-extension-provider-packet is the Gardener extension for shoots on Packet.
package main

import (
	"fmt"
	"os"

	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager/signals"

	"github.com/gardener/gardener/pkg/logger"

	"github.com/packetyard/packetyard/internal/gardener/provider"
)

// version is set when it is built.
var version = "dev"

func main() {
	log.SetLogger(logger.MustNewZapLogger(logger.InfoLevel, logger.FormatJSON))
	if err := provider.NewCommand(signals.SetupSignalHandler(), version).Execute(); err != nil {
		fmt.Fprintf(os.Stderr, "gardener-extension-provider-packet: %v\n", err)
		os.Exit(1)
	}
}
