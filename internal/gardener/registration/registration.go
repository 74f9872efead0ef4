// Package registration makes what registers the extension with Gardener: example/controller-registration.yaml, with the chart
// inside, and example/extension.yaml for gardener-operator.
package registration

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

// Name is that of the ControllerRegistration and of the ControllerDeployment.
const Name = "provider-packet"

// kinds are those that gardenlet asks the extension to reconcile.
var kinds = [...]string{"Bastion", "ControlPlane", "Infrastructure", "Worker"}

// ControllerRegistration is the file with the ControllerDeployment and the ControllerRegistration. chart is the folder of the
// extension's chart; the image has the tag of the chart's appVersion unless another is given.
//
// The ControllerDeployment is of core.gardener.cloud/v1beta1, in which the chart's field is called chart and stands in one line:
// people look into it by `grep chart | awk '{print $2}' | base64 -d | tar zxvf -`.
func ControllerRegistration(chart fs.FS, folder, tag string) ([]byte, error) {
	archive, err := Archive(chart, folder)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, `# Written by make generate.
---
apiVersion: core.gardener.cloud/v1beta1
kind: ControllerDeployment
metadata:
  name: %s
type: helm
injectGardenKubeconfig: true
providerConfig:
  chart: %s
  values:
    replicaCount: 1
    image:
      tag: %q
---
apiVersion: core.gardener.cloud/v1beta1
kind: ControllerRegistration
metadata:
  name: %s
  annotations:
    security.gardener.cloud/pod-security-enforce: baseline
spec:
  deployment:
    deploymentRefs:
    - name: %s
  resources:
`, Name, base64.StdEncoding.EncodeToString(archive), tag, Name, Name)
	for _, kind := range kinds {
		fmt.Fprintf(&out, "  - kind: %s\n    type: packet\n", kind)
	}
	return out.Bytes(), nil
}

// Extension is the file for gardener-operator, which takes charts from a registry only. Its addresses are placeholders.
func Extension(tag string) []byte {
	var out bytes.Buffer
	fmt.Fprintf(&out, `# Written by make generate. gardener-operator takes charts from a registry: put the charts of this version into yours, by
# helm package and helm push, and its address in place of registry.example.com.
---
apiVersion: operator.gardener.cloud/v1alpha1
kind: Extension
metadata:
  name: %s
  annotations:
    security.gardener.cloud/pod-security-enforce: baseline
spec:
  deployment:
    extension:
      injectGardenKubeconfig: true
      helm:
        ociRepository:
          ref: registry.example.com/packetyard/charts/gardener-extension-provider-packet:%s
    admission:
      runtimeCluster:
        helm:
          ociRepository:
            ref: registry.example.com/packetyard/charts/gardener-extension-admission-packet-runtime:%s
      virtualCluster:
        helm:
          ociRepository:
            ref: registry.example.com/packetyard/charts/gardener-extension-admission-packet-application:%s
  resources:
`, Name, tag, tag, tag)
	for _, kind := range kinds {
		fmt.Fprintf(&out, "  - kind: %s\n    type: packet\n", kind)
	}
	return out.Bytes()
}

// Archive is a chart as Helm packs it, with the same bytes whoever packs it, and when.
func Archive(chart fs.FS, folder string) ([]byte, error) {
	var out bytes.Buffer
	compressed, err := gzip.NewWriterLevel(&out, gzip.BestCompression)
	if err != nil {
		return nil, fmt.Errorf("packing chart %s: %w", folder, err)
	}
	archive := tar.NewWriter(compressed)
	// WalkDir goes by name, so the order is always the same.
	err = fs.WalkDir(chart, folder, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(chart, name)
		if err != nil {
			return err
		}
		packed := path.Join(path.Base(folder), strings.TrimPrefix(name, folder))
		if err := archive.WriteHeader(&tar.Header{Name: packed, Mode: 0o644, Size: int64(len(content)), Format: tar.FormatUSTAR}); err != nil {
			return err
		}
		_, err = archive.Write(content)
		return err
	})
	for _, end := range []func() error{archive.Close, compressed.Close} {
		if closing := end(); err == nil {
			err = closing
		}
	}
	if err != nil {
		return nil, fmt.Errorf("packing chart %s: %w", folder, err)
	}
	return out.Bytes(), nil
}
