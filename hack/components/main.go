// Command components writes provider-components.yaml, everything a bootstrap cluster needs to make clusters on Packet in one
// process, and the files of the four providers that `clusterctl init` installs one by one. It puts the manifests in config/
// and those of Cluster API's Go module together; there is nothing to download.
//
//	go run ./hack/components -image packetyard/manager:dev -output provider-components.yaml -providers bin
package main

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/packetyard/packetyard/internal/capi/components"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "components: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	image := flag.String("image", "packetyard/manager:dev", "image of the manager")
	output := flag.String("output", "provider-components.yaml", "file to write")
	providers := flag.String("providers", "", "folder to write the files of the single providers into; none if empty")
	config := flag.String("config", "config", "folder of our manifests")
	flag.Parse()
	if flag.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q", flag.Arg(0))
	}
	if strings.TrimSpace(*image) == "" {
		return fmt.Errorf("-image is empty, it should be like packetyard/manager:dev")
	}
	upstream, err := moduleFolder("sigs.k8s.io/cluster-api")
	if err != nil {
		return err
	}
	theirs, ours := os.DirFS(upstream), os.DirFS(*config)
	manifests, err := components.Build(theirs, ours, *image)
	if err != nil {
		return err
	}
	if err := write(*output, manifests, components.Header); err != nil {
		return err
	}
	if *providers == "" {
		return nil
	}
	for _, provider := range components.Providers() {
		manifests, err := components.BuildProvider(theirs, ours, *image, provider)
		if err != nil {
			return fmt.Errorf("making %s: %w", provider.File, err)
		}
		if err := write(filepath.Join(*providers, provider.File), manifests, provider.Header()); err != nil {
			return err
		}
	}
	return nil
}

func write(path string, manifests components.Manifests, header string) error {
	var file bytes.Buffer
	if err := manifests.Write(&file, header); err != nil {
		return err
	}
	if err := os.WriteFile(path, file.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the components: %w", err)
	}
	return nil
}

// moduleFolder is where Go keeps the source of a module that go.mod requires.
func moduleFolder(module string) (string, error) {
	command := exec.CommandContext(context.Background(), "go", "list", "-m", "-f", "{{.Dir}}", module)
	command.Stderr = os.Stderr
	out, err := command.Output()
	if err != nil {
		return "", fmt.Errorf("asking Go where module %s is: %w", module, err)
	}
	folder := strings.TrimSpace(string(out))
	if folder == "" {
		return "", fmt.Errorf("module %s is not in Go's cache: run `go mod download %s`", module, module)
	}
	return folder, nil
}
