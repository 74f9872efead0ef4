// machine-init is the first process of a simulated machine. Under the names
// systemctl, journalctl, sudo, envsubst and those of package managers it is these commands.
package main

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/packetyard/packetyard/internal/machineos"
	"github.com/packetyard/packetyard/internal/machineos/control"
	"github.com/packetyard/packetyard/internal/machineos/envsubst"
	"github.com/packetyard/packetyard/internal/machineos/kubelet"
	"github.com/packetyard/packetyard/internal/machineos/kubernetes"
	"github.com/packetyard/packetyard/internal/machineos/packages"
	"github.com/packetyard/packetyard/internal/machineos/service"
	"github.com/packetyard/packetyard/internal/machineos/stage"
	"github.com/packetyard/packetyard/internal/machineos/sudo"
)

// metadataVariable names the metadata service's URL.
const metadataVariable = "PACKET_METADATA_URL"

// rescueVariable is set in a machine that was booted into its rescue system.
const rescueVariable = "PACKET_RESCUE"

func main() {
	name := filepath.Base(os.Args[0])
	switch {
	case stage.Is(name):
		stage.Main(name)
	case name == "systemctl":
		ctl := service.Systemctl{Socket: control.Socket, Stdout: os.Stdout, Stderr: os.Stderr, Now: time.Now}
		os.Exit(ctl.Run(context.Background(), os.Args[1:]))
	case name == "sudo":
		os.Exit(sudo.Run(os.Args[1:], os.Stderr))
	case name == "envsubst":
		os.Exit(envsubst.Run(os.Args[1:], os.Getenv, os.Stdin, os.Stdout, os.Stderr))
	case name == "journalctl":
		os.Exit(service.Journalctl{LogFile: kubelet.LogFile, Stdout: os.Stdout, Stderr: os.Stderr}.Run(os.Args[1:]))
	}
	if slices.Contains(packages.Commands(), name) {
		manager := packages.Manager{
			Root: "/", Image: kubernetes.Image{Directory: machineos.ImageDirectory}, Programs: machineos.ProgramDirectory,
			Stdout: os.Stdout, Stderr: os.Stderr,
		}
		os.Exit(manager.Run(name, os.Args[1:]))
	}
	os.Exit(boot())
}

func boot() int {
	if os.Getpid() != 1 {
		fmt.Fprintln(os.Stderr, "machine-init is the first process of a machine and runs as process 1 only")
		return machineos.ExitFailed
	}
	url := os.Getenv(metadataVariable)
	if !strings.HasPrefix(url, "http://") && !strings.HasPrefix(url, "https://") {
		fmt.Fprintf(os.Stderr, "%s is %q, it must be the metadata service's URL\n", metadataVariable, url)
		return machineos.ExitFailed
	}
	// There is one of this on every machine: memory matters more than time.
	debug.SetGCPercent(40)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGPWR, syscall.SIGINT)
	machine := machineos.New(machineos.Options{
		Root:        "/",
		MetadataURL: url,
		Console:     os.Stdout,
		Environment: os.Environ(),
		Rescue:      os.Getenv(rescueVariable) != "",
		Now:         time.Now,
	})
	return machine.Run(signals)
}
