package main

import (
	"archive/tar"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
)

// writeArchive puts an index into a tar file, as an OCI image layout that
// `docker load` can read also where Docker keeps images in its old store.
func writeArchive(output string, name reference.NamedTagged, index v1.ImageIndex) error {
	dir, err := os.MkdirTemp("", "ociimage-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	// The one is what the specification says, the other what containerd and
	// Docker read. Both want the whole name, with its registry.
	err = path.AppendIndex(index, layout.WithAnnotations(map[string]string{
		"org.opencontainers.image.ref.name": name.String(),
		"io.containerd.image.name":          name.String(),
	}))
	if err != nil {
		return err
	}
	if err := writeDockerManifest(filepath.Join(dir, "manifest.json"), name, index); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(output), 0o755); err != nil {
		return err
	}
	return writeTar(output, dir)
}

// writeDockerManifest writes the file by which Docker's old image store, and
// versions before 25, find the parts of an image. They hold one platform: that
// of the host, if it is there.
func writeDockerManifest(path string, name reference.NamedTagged, index v1.ImageIndex) error {
	manifest, err := index.IndexManifest()
	if err != nil {
		return err
	}
	chosen := manifest.Manifests[0]
	for _, m := range manifest.Manifests {
		if m.Platform.Architecture == runtime.GOARCH {
			chosen = m
		}
	}
	image, err := index.Image(chosen.Digest)
	if err != nil {
		return err
	}
	parts, err := image.Manifest()
	if err != nil {
		return err
	}
	type dockerManifest struct {
		Config   string
		RepoTags []string
		Layers   []string
	}
	blob := func(hash v1.Hash) string { return "blobs/" + hash.Algorithm + "/" + hash.Hex }
	content := dockerManifest{Config: blob(parts.Config.Digest), RepoTags: []string{reference.FamiliarString(name)}}
	for _, layer := range parts.Layers {
		content.Layers = append(content.Layers, blob(layer.Digest))
	}
	data, err := json.Marshal([]dockerManifest{content})
	if err != nil {
		return err
	}
	return os.WriteFile(path, data, 0o600)
}

// writeTar puts a folder into a tar file, in the order of its names and
// without its times. The file appears when it is whole.
func writeTar(output, dir string) error {
	file, err := os.CreateTemp(filepath.Dir(output), filepath.Base(output)+".*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(file.Name()) }()
	defer func() { _ = file.Close() }()
	writer := tar.NewWriter(file)
	err = filepath.WalkDir(dir, func(path string, item fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		return addToTar(writer, dir, path, item)
	})
	if err == nil {
		err = writer.Close()
	}
	if err == nil {
		err = file.Chmod(0o644)
	}
	if err == nil {
		err = file.Close()
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", output, err)
	}
	return os.Rename(file.Name(), output)
}

func addToTar(writer *tar.Writer, dir, path string, item fs.DirEntry) error {
	name, err := filepath.Rel(dir, path)
	if err != nil {
		return err
	}
	name = filepath.ToSlash(name)
	if item.IsDir() {
		return writer.WriteHeader(&tar.Header{Name: name + "/", Mode: 0o755, ModTime: epoch, Typeflag: tar.TypeDir})
	}
	info, err := item.Info()
	if err != nil {
		return err
	}
	if err := writer.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: info.Size(), ModTime: epoch, Typeflag: tar.TypeReg}); err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	_, err = io.Copy(writer, file)
	return err
}
