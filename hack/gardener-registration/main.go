// Command gardener-registration writes example/controller-registration.yaml and example/extension.yaml. Run it from the
// repository's root.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"

	"github.com/packetyard/packetyard/internal/gardener/registration"
)

func main() {
	tag := flag.String("tag", "dev", "the tag of the extension's image and charts")
	to := flag.String("to", "example", "the folder that the files are written into")
	flag.Parse()
	if err := write(*to, *tag); err != nil {
		fmt.Fprintf(os.Stderr, "gardener-registration: %v\n", err)
		os.Exit(1)
	}
}

func write(folder, tag string) error {
	file, err := registration.ControllerRegistration(os.DirFS("charts"), "gardener-extension-provider-packet", tag)
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{"controller-registration.yaml": file, "extension.yaml": registration.Extension(tag)} {
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o644); err != nil { //nolint:gosec // An example is for everybody to read.
			return fmt.Errorf("writing %s: %w", name, err)
		}
	}
	return nil
}
