package controlplane

import (
	"fmt"

	"github.com/gardener/gardener/pkg/utils/chart"

	"github.com/packetyard/packetyard/charts"
	"github.com/packetyard/packetyard/internal/gardener/imagevector"
)

// controlPlaneChart is what runs in the Shoot's namespace of the seed.
func controlPlaneChart() *chart.Chart {
	return &chart.Chart{
		Name: "seed-controlplane", Path: "internal/seed-controlplane", EmbeddedFS: charts.Internal,
		Images: []string{imagevector.CloudControllerManager},
	}
}

// controlPlaneShootChart is what is in the Shoot.
func controlPlaneShootChart() *chart.Chart {
	return &chart.Chart{
		Name: "shoot-system-components", Path: "internal/shoot-system-components", EmbeddedFS: charts.Internal,
		Images: []string{imagevector.MetalLBController, imagevector.MetalLBSpeaker},
	}
}

// controlPlaneShootCRDsChart are the definitions of what is in the Shoot.
func controlPlaneShootCRDsChart() *chart.Chart {
	return &chart.Chart{Name: "shoot-crds", Path: "internal/shoot-crds", EmbeddedFS: charts.Internal}
}

// dashboard is that of the cloud controller manager, in JSON. It is the one of the program's own chart, because the program has the
// same metrics wherever it runs.
func dashboard() (string, error) {
	content, err := charts.Files.ReadFile("packet-cloud-controller-manager/files/dashboard.json")
	if err != nil {
		return "", fmt.Errorf("reading the dashboard of the cloud controller manager: %w", err)
	}
	return string(content), nil
}
