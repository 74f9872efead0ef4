package clusterctl

import (
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"sigs.k8s.io/cluster-api/version"
	"sigs.k8s.io/yaml"
)

// versions is what `clusterctl version` prints: upstream's document, and the
// version of the built-in provider.
type versions struct {
	ClusterAPI version.Info `json:"clusterctl"`
	Packet     string       `json:"packet"`
}

// currentVersions returns the versions in this program. Upstream's build stamps
// its version into the program; a build without the stamp has the version that
// go.mod names.
func currentVersions() versions {
	info := version.Get()
	if info.GitVersion == "" {
		info.GitVersion = clusterAPIVersion
		info.Major, info.Minor, _ = strings.Cut(strings.TrimPrefix(clusterAPIVersion, "v"), ".")
		info.Minor, _, _ = strings.Cut(info.Minor, ".")
	}
	return versions{ClusterAPI: info, Packet: Version}
}

// printVersion prints the versions in upstream's formats.
func printVersion(out io.Writer, format string) error {
	v := currentVersions()
	var text string
	switch format {
	case "":
		text = fmt.Sprintf("clusterctl version: %#v\npacket provider version: %s\n", &v.ClusterAPI, v.Packet)
	case "short":
		text = v.ClusterAPI.GitVersion + "\n"
	case "yaml":
		y, err := yaml.Marshal(v)
		if err != nil {
			return fmt.Errorf("encoding the version: %w", err)
		}
		text = string(y)
	case "json":
		j, err := json.MarshalIndent(v, "", "  ")
		if err != nil {
			return fmt.Errorf("encoding the version: %w", err)
		}
		text = string(j) + "\n"
	default:
		return fmt.Errorf("--output is %q, allowed are yaml, json and short", format)
	}
	if _, err := io.WriteString(out, text); err != nil {
		return fmt.Errorf("printing the version: %w", err)
	}
	return nil
}
