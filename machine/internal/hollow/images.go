package hollow

import (
	"os"
	"path/filepath"
	"strings"
)

// ImagesDir is where a machine finds the executables of the images it knows.
const ImagesDir = "/opt/packetyard/images"

// Images decides which container images a machine can really run.
type Images struct {
	// Dir holds one executable per known image, named after the image.
	Dir string
}

// builtIn are the images whose programs are part of the multi-call binary.
var builtIn = map[string]bool{
	"kube-apiserver":          true,
	"kube-controller-manager": true,
	"kube-scheduler":          true,
	"kube-proxy":              true,
	"etcd":                    true,
}

// Known reports whether the machine runs a container of the image as a process.
// The directory is read every time: an image that is added later becomes known
// without a restart, and the look-up costs a stat.
func (i Images) Known(image string) bool {
	name := Name(image)
	if name == "" {
		return false
	}
	if builtIn[name] {
		return true
	}
	info, err := os.Stat(filepath.Join(i.Dir, name))
	return err == nil && info.Mode().IsRegular() && info.Mode().Perm()&0o111 != 0
}

// Name returns the last path element of an image reference, without tag and
// digest: "manager" for "registry.example:5000/packetyard/manager:dev@sha256:…".
func Name(image string) string {
	image, _, _ = strings.Cut(image, "@")
	if slash := strings.LastIndexByte(image, '/'); slash >= 0 {
		image = image[slash+1:]
	}
	name, _, _ := strings.Cut(image, ":")
	if name == "." || name == ".." {
		return ""
	}
	return name
}
