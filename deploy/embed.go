// Package deploy holds the plain manifests, which hack/charts writes.
package deploy

import _ "embed"

// CloudControllerManagerHA is the cloud controller manager for a control plane
// of several nodes. It has the word CLUSTER where the cluster's name belongs.
//
//go:embed ccm/packet-cloud-controller-manager-ha.yaml
var CloudControllerManagerHA []byte
