// Command charts writes the plain manifests that are made of the Helm charts,
// for people who use no Helm. Run it from the repository's root.
package main

import (
	"fmt"
	"os"

	"github.com/packetyard/packetyard/internal/charts"
)

// manifest is a file that is a chart's, with certain values.
type manifest struct {
	path, chart, release, namespace, values, header string
}

func manifests() []manifest {
	return []manifest{{
		path:  "deploy/ccm/packet-cloud-controller-manager.yaml",
		chart: "charts/packet-cloud-controller-manager", release: "packet-cloud-controller-manager", namespace: "kube-system",
		header: `# Generated from charts/packet-cloud-controller-manager by ` + "`make generate`" + `; do not edit.
#
# The cloud controller manager of a cluster whose nodes are devices of the
# Packet API. It needs the Secret kube-system/packet-cloud-config, whose key
# cloud-sa.json says where the API is, for which project, and with which token:
#
#   kubectl -n kube-system create secret generic packet-cloud-config --from-file=cloud-sa.json
#
#   {"apiKey": "<token>", "projectID": "<uuid>", "base-url": "http://198.18.0.1/metal/v1"}
`,
	}, {
		path:  "deploy/ccm/packet-cloud-controller-manager-ha.yaml",
		chart: "charts/packet-cloud-controller-manager", release: "packet-cloud-controller-manager", namespace: "kube-system",
		values: "{kind: DaemonSet, leaderElection: true, loadBalancer: 'kube-vip://', eipTag: 'cluster-api-provider-packet:cluster-id:CLUSTER', podDisruptionBudget: {enabled: true}}",
		header: `# Generated from charts/packet-cloud-controller-manager by ` + "`make generate`" + `; do not edit.
#
# As packet-cloud-controller-manager.yaml, for a control plane of several
# nodes: one process on each, a leader among them, Services by kube-vip, and
# the control plane's elastic IP, whose reservation has the tag of --packet-eip-tag,
# moved to a node that works. Put the name of the cluster in the place of CLUSTER.
`,
	}}
}

func main() {
	for _, m := range manifests() {
		text, err := charts.Render(m.chart, m.release, m.namespace, m.values)
		if err == nil {
			err = os.WriteFile(m.path, []byte(m.header+text), 0o644) //nolint:gosec // A manifest is for everybody to read.
		}
		if err != nil {
			fmt.Fprintf(os.Stderr, "writing %s: %v\n", m.path, err)
			os.Exit(1)
		}
	}
}
