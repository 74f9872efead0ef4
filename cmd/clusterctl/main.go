// Command clusterctl is Cluster API's clusterctl with the packet infrastructure
// provider built in, so that it works without network.
package main

import (
	"fmt"
	"os"

	"sigs.k8s.io/cluster-api/cmd/clusterctl/cmd"

	"github.com/packetyard/packetyard/internal/clusterctl"
)

func main() {
	if err := clusterctl.Extend(cmd.RootCmd); err != nil {
		fmt.Fprintln(os.Stderr, "Error:", err)
		os.Exit(1)
	}
	cmd.Execute()
}
