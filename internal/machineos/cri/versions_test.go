package cri_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// addVersions gives the machine image two versions of Kubernetes, which say
// what they are.
func addVersions(t *testing.T, directory string) {
	t.Helper()
	for name, content := range map[string]string{
		"kube": "v1.36.4", "kubernetes/default": "v1.36.4\n", "kubernetes/v1.35.4/kube": "v1.35.4",
	} {
		if !strings.HasSuffix(name, "default") {
			content = "#!/bin/sh\necho " + content + " $(basename $0) \"$@\"\n"
		}
		file := filepath.Join(directory, "image", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, []byte(content), 0o755)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTagOfAnImageChoosesTheVersionThatRuns(t *testing.T) {
	directory := t.TempDir()
	addVersions(t, directory)
	r := start(t, directory)
	for _, test := range []struct{ image, want string }{
		{"registry.k8s.io/kube-apiserver:v1.35.4", "v1.35.4 kube-apiserver --flag"},
		{"registry.k8s.io/kube-apiserver:v1.36.4", "v1.36.4 kube-apiserver --flag"},
		{"registry.k8s.io/kube-scheduler:v1.35.4@sha256:" + strings.Repeat("a", 64), "v1.35.4 kube-scheduler --flag"},
		{"registry.k8s.io/kube-scheduler:latest", "v1.36.4 kube-scheduler --flag"},
		{"registry.k8s.io/etcd:3.5.21-0", "v1.36.4 etcd --flag"},
	} {
		sandbox, _ := r.sandbox(t, runtimeapi.NamespaceMode_NODE)
		container := r.create(t, sandbox, &runtimeapi.ContainerConfig{Image: &runtimeapi.ImageSpec{Image: test.image}, Args: []string{"--flag"}})
		r.startContainer(t, container)
		printed := log(t, r.awaitExit(t, container).LogPath)
		if !strings.Contains(printed, test.want) {
			t.Errorf("%s printed %q, want %q", test.image, printed, test.want)
		}
		if err := os.RemoveAll(r.logs); err != nil {
			t.Fatal(err)
		}
	}
}

func TestImageOfAVersionThatThereIsNot(t *testing.T) {
	directory := t.TempDir()
	addVersions(t, directory)
	r := start(t, directory)
	const reference = "registry.k8s.io/kube-apiserver:v1.34.0"
	spec := &runtimeapi.ImageSpec{Image: reference}
	_, err := r.images.PullImage(t.Context(), &runtimeapi.PullImageRequest{Image: spec})
	if status.Code(err) != codes.NotFound || !strings.Contains(err.Error(), reference) || !strings.Contains(err.Error(), "it has v1.35.4, v1.36.4") {
		t.Errorf("pulling gives %v", err)
	}
	if found, err := r.images.ImageStatus(t.Context(), &runtimeapi.ImageStatusRequest{Image: spec}); err != nil || found.Image != nil {
		t.Errorf("the image is there: %v, %v", found, err)
	}
}
