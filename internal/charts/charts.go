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

// Files returns what a chart makes for a release, as helm install does, by the
// names of its templates. The values are YAML; those that the chart's schema
// does not allow are an error.
func Files(dir, release, namespace, values string) (map[string]string, error) {
	chart, err := loader.LoadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("loading the chart in %s: %w", dir, err)
	}
	var given map[string]any
	if err := yaml.Unmarshal([]byte(values), &given); err != nil {
		return nil, fmt.Errorf("reading the values for the chart in %s: %w", dir, err)
	}
	all, err := util.ToRenderValues(chart, given, common.ReleaseOptions{Name: release, Namespace: namespace, IsInstall: true, Revision: 1}, common.DefaultCapabilities)
	if err != nil {
		return nil, fmt.Errorf("checking the values for the chart in %s: %w", dir, err)
	}
	files, err := engine.Render(chart, all)
	if err != nil {
		return nil, fmt.Errorf("rendering the chart in %s: %w", dir, err)
	}
	return files, nil
}

// Render returns the manifests among the Files of a chart, one document after
// the other, in the order of its files.
func Render(dir, release, namespace, values string) (string, error) {
	files, err := Files(dir, release, namespace, values)
	if err != nil {
		return "", err
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
