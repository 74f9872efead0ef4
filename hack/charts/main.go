// Command charts writes the plain manifests that are made of the Helm charts,
// for people who use no Helm. Run it from the repository's root.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/packetyard/packetyard/internal/charts"
)

func main() {
	for _, manifest := range charts.CloudControllerManager() {
		text, err := manifest.Text(".", "", "make generate")
		if err == nil {
			err = os.WriteFile(filepath.Join("deploy", "ccm", manifest.Name), []byte(text), 0o644) //nolint:gosec // A manifest is for everybody to read.
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "writing %s: %v\n", manifest.Name, err)
			os.Exit(1)
		}
	}
}
