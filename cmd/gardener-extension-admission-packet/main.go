// Command gardener-extension-admission-packet checks the garden resources of provider packet.
package main

import (
	"fmt"
	"os"

	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/manager/signals"

	"github.com/gardener/gardener/pkg/logger"

	"github.com/packetyard/packetyard/internal/gardener/admission/command"
)

// version is set when it is built.
var version = "dev"

func main() {
	log.SetLogger(logger.MustNewZapLogger(logger.InfoLevel, logger.FormatJSON))
	if err := command.New(signals.SetupSignalHandler(), version).Execute(); err != nil {
		fmt.Fprintf(os.Stderr, "gardener-extension-admission-packet: %v\n", err)
		os.Exit(1)
	}
}
