// Command gardener-crds writes the definitions of those custom resources that the Packet extension works with into a folder, so that
// it can be run against a cluster without a Gardener. They are those of Gardener's module, without the descriptions: `kubectl explain`
// is all that would show them, and they are most of the size.
//
//	gardener-crds <folder of Gardener's module> <folder of etcd-druid's API module> <folder>
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/packetyard/packetyard/hack/internal/crds"
)

const header = "# Written by hack/gardener-crds from Gardener's module. Do not edit: run hack/generate-gardener.sh.\n---\n"

// definitions are the files of Gardener's module: what gardenlet makes for a Shoot of this extension, what the extension makes for
// gardener-resource-manager and for Prometheus, and what it makes for the machine-controller-manager. A webhook is only registered
// where the kinds exist that it is for.
func definitions() []string {
	return []string{
		"autoscaling.k8s.io_verticalpodautoscalers.yaml",
		"extensions.gardener.cloud_bastions.yaml",
		"extensions.gardener.cloud_clusters.yaml",
		"extensions.gardener.cloud_controlplanes.yaml",
		"extensions.gardener.cloud_infrastructures.yaml",
		"extensions.gardener.cloud_operatingsystemconfigs.yaml",
		"extensions.gardener.cloud_workers.yaml",
		"machine.sapcloud.io_machineclasses.yaml",
		"machine.sapcloud.io_machinedeployments.yaml",
		"machine.sapcloud.io_machines.yaml",
		"machine.sapcloud.io_machinesets.yaml",
		"monitoring.coreos.com_prometheusrules.yaml",
		"monitoring.coreos.com_servicemonitors.yaml",
		"resources.gardener.cloud_managedresources.yaml",
	}
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "gardener-crds: three arguments are needed: the folders of Gardener's module, of etcd-druid's API, and of the examples")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		fmt.Fprintln(os.Stderr, "gardener-crds:", err)
		os.Exit(1)
	}
}

func run(gardener, druid, folder string) error {
	files := map[string]string{"druid.gardener.cloud_etcds.yaml": filepath.Join(druid, "core", "v1alpha1", "crds", "druid.gardener.cloud_etcds.yaml")}
	for _, name := range definitions() {
		files[name] = filepath.Join(gardener, "example", "seed-crds", "10-crd-"+name)
	}
	for name, file := range files {
		text, err := definition(file)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, "20-crd-"+name), text, 0o644); err != nil {
			return fmt.Errorf("writing a definition: %w", err)
		}
	}
	return nil
}

// definition is a definition of Gardener's module, as the examples have it.
func definition(file string) ([]byte, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("reading a definition: %w", err)
	}
	object := map[string]any{}
	if err := yaml.Unmarshal(content, &object); err != nil {
		return nil, fmt.Errorf("decoding %s: %w", filepath.Base(file), err)
	}
	versions, _ := object["spec"].(map[string]any)["versions"].([]any)
	if len(versions) == 0 {
		return nil, fmt.Errorf("%s has no spec.versions", filepath.Base(file))
	}
	for _, version := range versions {
		crds.WithoutDescriptions(version.(map[string]any)["schema"])
	}
	text, err := yaml.Marshal(object)
	if err != nil {
		return nil, fmt.Errorf("encoding %s: %w", filepath.Base(file), err)
	}
	return []byte(header + strings.TrimPrefix(string(text), "---\n")), nil
}
