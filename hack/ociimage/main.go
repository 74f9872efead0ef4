// Command ociimage makes a container image of one static program, without a
// container runtime: an OCI image layout in a tar file, which `docker load`,
// `podman load`, skopeo and crane take. The same program gives the same
// image, byte for byte.
package main

import (
	"archive/tar"
	"bytes"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// nobody is whom the program runs as.
const nobody = 65532

func main() {
	binary := flag.String("binary", "", "the static program to put into the image")
	name := flag.String("name", "", "the image's name, as packetyard/packet-api-server:dev")
	output := flag.String("output", "", "the tar file to write")
	arch := flag.String("arch", runtime.GOARCH, "the architecture that the program is for, as Go names it")
	flag.Parse()
	if *binary == "" || *name == "" || *output == "" || flag.NArg() > 0 {
		flag.Usage()
		os.Exit(2)
	}
	if err := run(*binary, *name, *output, *arch); err != nil {
		fmt.Fprintln(os.Stderr, "ociimage:", err)
		os.Exit(1)
	}
}

func run(binary, name, output, arch string) error {
	image, err := newImage(binary, arch)
	if err != nil {
		return fmt.Errorf("making the image: %w", err)
	}
	dir, err := os.MkdirTemp("", "ociimage-")
	if err != nil {
		return fmt.Errorf("making a folder for the layout: %w", err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	path, err := layout.Write(dir, empty.Index)
	if err != nil {
		return fmt.Errorf("writing the layout: %w", err)
	}
	err = path.AppendImage(image, layout.WithAnnotations(map[string]string{
		// The one is what the specification says, the other what containerd and Docker read.
		"org.opencontainers.image.ref.name": name,
		"io.containerd.image.name":          name,
	}), layout.WithPlatform(v1.Platform{OS: "linux", Architecture: arch}))
	if err != nil {
		return fmt.Errorf("writing the image: %w", err)
	}
	return writeTar(output, dir)
}

// newImage has the program, a user, and a folder for what is kept.
func newImage(binary, arch string) (v1.Image, error) {
	program, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	command := "/" + filepath.Base(binary)
	content, err := layerOf([]entry{
		{name: "etc/", mode: 0o755},
		{name: "etc/passwd", mode: 0o644, data: fmt.Appendf(nil, "nobody:x:%d:%d:nobody:/data:/sbin/nologin\n", nobody, nobody)},
		{name: "etc/group", mode: 0o644, data: fmt.Appendf(nil, "nobody:x:%d:\n", nobody)},
		{name: "tmp/", mode: 0o1777},
		{name: "data/", mode: 0o700, owner: nobody},
		{name: command[1:], mode: 0o755, data: program},
	})
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.AppendLayers(image, layer); err != nil {
		return nil, err
	}
	return mutate.ConfigFile(image, withConfig(image, command, arch))
}

func withConfig(image v1.Image, command, arch string) *v1.ConfigFile {
	config := &v1.ConfigFile{}
	if had, err := image.ConfigFile(); err == nil {
		config = had.DeepCopy()
	}
	config.OS, config.Architecture = "linux", arch
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	config.Config = v1.Config{
		Entrypoint:   []string{command},
		Cmd:          []string{"--listen-address", "0.0.0.0:8080", "--data-dir", "/data"},
		User:         fmt.Sprintf("%d:%d", nobody, nobody),
		WorkingDir:   "/data",
		ExposedPorts: map[string]struct{}{"8080/tcp": {}},
		Volumes:      map[string]struct{}{"/data": {}},
		Labels:       map[string]string{"org.opencontainers.image.title": filepath.Base(command), "org.opencontainers.image.licenses": "Apache-2.0"},
	}
	return config
}

// entry is a file of the image, or a folder where its name ends with a slash.
type entry struct {
	name  string
	mode  int64
	owner int
	data  []byte
}

func layerOf(entries []entry) ([]byte, error) {
	var out bytes.Buffer
	writer := tar.NewWriter(&out)
	for _, e := range entries {
		header := &tar.Header{Name: e.name, Mode: e.mode, Uid: e.owner, Gid: e.owner, Size: int64(len(e.data)), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}
		if e.name[len(e.name)-1] == '/' {
			header.Typeflag = tar.TypeDir
		}
		if err := writer.WriteHeader(header); err != nil {
			return nil, err
		}
		if _, err := writer.Write(e.data); err != nil {
			return nil, err
		}
	}
	err := writer.Close()
	return out.Bytes(), err
}

// writeTar puts a folder into a tar file, in the order of its names and
// without its times.
func writeTar(output, dir string) error {
	file, err := os.Create(output)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	writer := tar.NewWriter(file)
	err = filepath.WalkDir(dir, func(path string, item fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		if item.IsDir() {
			return writer.WriteHeader(&tar.Header{Name: name + "/", Mode: 0o755, ModTime: time.Unix(0, 0), Typeflag: tar.TypeDir})
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		if err := writer.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(data)), ModTime: time.Unix(0, 0), Typeflag: tar.TypeReg}); err != nil {
			return err
		}
		_, err = writer.Write(data)
		return err
	})
	if err != nil {
		return fmt.Errorf("writing %s: %w", output, err)
	}
	if err := writer.Close(); err != nil {
		return fmt.Errorf("writing %s: %w", output, err)
	}
	return file.Close()
}
