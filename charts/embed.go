// Package charts holds the Helm charts for programs that are run away from the
// checkout.
package charts

import "embed"

// Files are the charts, each in a folder of its name.
//
//go:embed all:packet-cloud-controller-manager
var Files embed.FS
