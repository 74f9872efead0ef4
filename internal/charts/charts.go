// Package charts renders the Helm charts of this repository, for the manifests
// that are generated from them and for their tests.
package charts

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	"helm.sh/helm/v4/pkg/chart/loader"
	"helm.sh/helm/v4/pkg/engine"
	"sigs.k8s.io/yaml"
)

// Render returns the manifests that a chart makes for a release, one document
// after the other, in the order of its files. The values are YAML; those that
// the chart's schema does not allow are an error.
func Render(dir, release, namespace, values string) (string, error) {
	chart, err := loader.LoadDir(dir)
	if err != nil {
		return "", fmt.Errorf("loading the chart in %s: %w", dir, err)
	}
	var given map[string]any
	if err := yaml.Unmarshal([]byte(values), &given); err != nil {
		return "", fmt.Errorf("reading the values for the chart in %s: %w", dir, err)
	}
	all, err := util.ToRenderValues(chart, given, common.ReleaseOptions{Name: release, Namespace: namespace, IsInstall: true, Revision: 1}, common.DefaultCapabilities)
	if err != nil {
		return "", fmt.Errorf("checking the values for the chart in %s: %w", dir, err)
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return "", fmt.Errorf("rendering the chart in %s: %w", dir, err)
	}
	var documents []string
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if path.Ext(name) != ".yaml" {
			continue
		}
		if text := strings.TrimSpace(strings.TrimPrefix(strings.TrimSpace(files[name]), "---")); text != "" {
			documents = append(documents, text+"\n")
		}
	}
	return strings.Join(documents, "---\n"), nil
}
