// Package charts holds the Helm charts for programs that are run away from the
// checkout.
package charts

import "embed"

// Files are the charts, each in a folder of its name.
//
//go:embed all:packet-cloud-controller-manager
var Files embed.FS

// Internal are the charts that the Gardener extension deploys itself, each in a folder of its name below internal. People
// install none of them.
//
//go:embed all:internal
var Internal embed.FS
