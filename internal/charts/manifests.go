package charts

import (
	"fmt"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"
)

// Manifest is a file made of a chart with certain values, for people who use no Helm.
type Manifest struct {
	// Name is that of the file.
	Name string
	// chart is the folder below the repository's root.
	chart, release, namespace string
	values                    map[string]any
	// header are lines of a comment, below the one that says what made the file.
	header string
}

const ccm = "packet-cloud-controller-manager"

// CloudControllerManager are the manifests of the cloud controller manager: one
// process, and one for each node of a control plane.
func CloudControllerManager() []Manifest {
	return []Manifest{{
		Name: ccm + ".yaml", chart: "charts/" + ccm, release: ccm, namespace: "kube-system",
		header: `# The cloud controller manager of a cluster whose nodes are devices of the
# Packet API. It needs the Secret kube-system/packet-cloud-config, whose key
# cloud-sa.json says where the API is, for which project, and with which token:
#
#   kubectl -n kube-system create secret generic packet-cloud-config --from-file=cloud-sa.json
#
#   {"apiKey": "<token>", "projectID": "<uuid>", "base-url": "http://198.18.0.1/metal/v1"}
`,
	}, {
		Name: ccm + "-ha.yaml", chart: "charts/" + ccm, release: ccm, namespace: "kube-system",
		values: map[string]any{
			"kind": "DaemonSet", "leaderElection": true, "loadBalancer": "kube-vip://",
			"eipTag": "capp:cluster-id:CLUSTER", "podDisruptionBudget": map[string]any{"enabled": true},
		},
		header: `# As packet-cloud-controller-manager.yaml, for a control plane of several
# nodes: one process on each, a leader among them, Services by kube-vip, and
# the control plane's elastic IP, whose reservation has the tag of --packet-eip-tag,
# moved to a node that works. Put the name of the cluster in the place of CLUSTER.
`,
	}}
}

// Text is the file, for the repository in root. The image is a repository and a
// tag with a colon between them; empty is the chart's own. Command is what has
// the file made, for its first line.
func (m Manifest) Text(root, image, command string) (string, error) {
	values := map[string]any{}
	for key, value := range m.values {
		values[key] = value
	}
	if image != "" {
		colon := strings.LastIndex(image, ":")
		if colon <= strings.LastIndex(image, "/") {
			return "", fmt.Errorf("image is %q: a repository and a tag are allowed, for example packetyard/%s:v1.2.3", image, ccm)
		}
		values["image"] = map[string]any{"repository": image[:colon], "tag": image[colon+1:]}
	}
	given, err := yaml.Marshal(values)
	if err != nil {
		return "", fmt.Errorf("the values of %s: %w", m.Name, err)
	}
	text, err := Render(filepath.Join(root, m.chart), m.release, m.namespace, string(given))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("# Generated from %s by `%s`; do not edit.\n#\n%s%s", m.chart, command, m.header, text), nil
}
