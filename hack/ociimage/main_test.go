package main

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"debug/elf"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/packetyard/packetyard/hack/checkout"
)

// testState is a commit.
var testState = checkout.State{Commit: strings.Repeat("0123456789", 4), Description: "v1.2.3-4-g01234567", Time: time.Unix(1700000000, 0).UTC()}

// writeProgram writes the head of a program for an architecture: as much as is
// looked at.
func writeProgram(t *testing.T, machine elf.Machine) string {
	t.Helper()
	header := elf.Header64{Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64}
	copy(header.Ident[:], elf.ELFMAG)
	header.Ident[elf.EI_CLASS], header.Ident[elf.EI_DATA], header.Ident[elf.EI_VERSION] = byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)
	var content bytes.Buffer
	if err := binary.Write(&content, binary.LittleEndian, header); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, content.Bytes(), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func testSettings(t *testing.T) settings {
	t.Helper()
	s := settings{
		program: "packet-api-server", title: "Packet API server", name: "registry.example:5000/packetyard/packet-api-server:test",
		output: filepath.Join(t.TempDir(), "made", "image.tar"), data: "/data", port: "8080/tcp", arguments: []string{"--data-dir", "/data"},
	}
	for platform, machine := range map[string]elf.Machine{"linux/amd64": elf.EM_X86_64, "linux/arm64": elf.EM_AARCH64} {
		if err := s.addBinary(platform + "=" + writeProgram(t, machine)); err != nil {
			t.Fatal(err)
		}
	}
	if s.binaries[0].platform.Architecture != "amd64" {
		s.binaries[0], s.binaries[1] = s.binaries[1], s.binaries[0]
	}
	return s
}

// TestImage makes an image twice, and reads it as a container runtime does.
func TestImage(t *testing.T) {
	s := testSettings(t)
	var images [2][]byte
	for i := range images {
		if err := run(s, testState); err != nil {
			t.Fatal(err)
		}
		var err error
		if images[i], err = os.ReadFile(s.output); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(images[0], images[1]) {
		t.Error("two images of the same program differ")
	}
	if files, err := os.ReadDir(filepath.Dir(s.output)); err != nil || len(files) != 1 {
		t.Errorf("beside the image there are %v, %v", files, err)
	}

	top, err := layout.ImageIndexFromPath(unpack(t, images[0]))
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Index(top); err != nil {
		t.Error(err)
	}
	manifest, err := top.IndexManifest()
	if err != nil || len(manifest.Manifests) != 1 {
		t.Fatalf("%+v, %v", manifest, err)
	}
	for _, key := range []string{"org.opencontainers.image.ref.name", "io.containerd.image.name"} {
		if got := manifest.Manifests[0].Annotations[key]; got != s.name {
			t.Errorf("%s is %q, want %q", key, got, s.name)
		}
	}
	index, err := top.ImageIndex(manifest.Manifests[0].Digest)
	if err != nil {
		t.Fatal(err)
	}
	checkIndex(t, index)
}

func checkIndex(t *testing.T, index v1.ImageIndex) {
	t.Helper()
	manifest, err := index.IndexManifest()
	if err != nil || len(manifest.Manifests) != 2 {
		t.Fatalf("%+v, %v", manifest, err)
	}
	labels := map[string]string{
		"org.opencontainers.image.title": "packet-api-server", "org.opencontainers.image.description": "Packet API server",
		"org.opencontainers.image.revision": testState.Commit, "org.opencontainers.image.version": testState.Description,
		"org.opencontainers.image.created": "2023-11-14T22:13:20Z", "org.opencontainers.image.licenses": "Apache-2.0",
	}
	for i, architecture := range []string{"amd64", "arm64"} {
		descriptor := manifest.Manifests[i]
		if descriptor.Platform == nil || descriptor.Platform.String() != "linux/"+architecture {
			t.Errorf("image %d is for %v", i, descriptor.Platform)
		}
		image, err := index.Image(descriptor.Digest)
		if err != nil {
			t.Fatal(err)
		}
		config, err := image.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		if config.Architecture != architecture || config.Config.User != "65532:65532" || config.Config.Entrypoint[0] != "/packet-api-server" ||
			config.Config.WorkingDir != "/data" || !config.Created.Equal(testState.Time) || config.Config.Cmd[0] != "--data-dir" {
			t.Errorf("%+v", config)
		}
		for key, want := range labels {
			if config.Config.Labels[key] != want || manifest.Annotations[key] != want {
				t.Errorf("%s is %q and %q, want %q", key, config.Config.Labels[key], manifest.Annotations[key], want)
			}
		}
		files := contents(t, image)
		for name, mode := range map[string]int64{"packet-api-server": 0o755, "etc/passwd": 0o644, "tmp/": 0o1777, "data/": 0o700} {
			if header := files[name]; header.Mode != mode {
				t.Errorf("%s has the mode %o, want %o", name, header.Mode, mode)
			}
		}
		if files["data/"].Uid != nobody || files["packet-api-server"].Uid != 0 {
			t.Error("the program may write to itself, or not to its data")
		}
	}
}

// TestImageVerifiesHTTPS is what an image without certificates cannot do.
func TestImageVerifiesHTTPS(t *testing.T) {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(certificates()) {
		t.Fatal("there are no certificates")
	}
	if count := bytes.Count(certificates(), []byte("BEGIN CERTIFICATE")); count < 50 {
		t.Errorf("there are %d roots only", count)
	}
}

// TestDockerBefore25 reads the image as Docker's old image store does, which
// knows no index: by manifest.json, one platform.
func TestDockerBefore25(t *testing.T) {
	s := testSettings(t)
	s.name = "packetyard/packet-api-server"
	if err := run(s, testState); err != nil {
		t.Fatal(err)
	}
	image, err := tarball.ImageFromPath(s.output, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(image); err != nil {
		t.Error(err)
	}
	data, err := os.ReadFile(s.output)
	if err != nil {
		t.Fatal(err)
	}
	var manifests []struct{ RepoTags []string }
	text, err := os.ReadFile(filepath.Join(unpack(t, data), "manifest.json"))
	if err == nil {
		err = json.Unmarshal(text, &manifests)
	}
	if err != nil || len(manifests) != 1 || manifests[0].RepoTags[0] != "packetyard/packet-api-server:latest" {
		t.Errorf("%s, %v", text, err)
	}
}

func TestImageRefuses(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*settings)
		wants  []string
	}{
		"a name that is none": {func(s *settings) { s.name = "Packet Yard" }, []string{`"Packet Yard"`, "[registry/]repository[:tag]"}},
		"two tags":            {func(s *settings) { s.name = "packetyard/manager:v1:latest" }, []string{`"packetyard/manager:v1:latest"`}},
		"a digest": {func(s *settings) {
			s.name = "packetyard/manager@sha256:" + strings.Repeat("0", 64)
		}, []string{"digest"}},
		"another architecture": {func(s *settings) { s.binaries[0].platform.Architecture = "riscv64" }, []string{"EM_X86_64", "linux/riscv64"}},
		"no program":           {func(s *settings) { s.binaries[0].file = "main_test.go" }, []string{"main_test.go is no program for Linux"}},
		"nothing there":        {func(s *settings) { s.binaries[0].file = "nowhere" }, []string{"nowhere", "linux/amd64"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := testSettings(t)
			test.change(&s)
			err := run(s, testState)
			if err == nil {
				t.Fatal("there is no error")
			}
			for _, want := range test.wants {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("the error is %q, want it to have %q", err, want)
				}
			}
			if _, err := os.Stat(s.output); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("the file is there: %v", err)
			}
		})
	}
	var s settings
	for _, text := range []string{"linux/amd64", "darwin/arm64=x", "linux/z80=x", "linux/amd64="} {
		if err := s.addBinary(text); err == nil || !strings.Contains(err.Error(), "amd64, arm, arm64") {
			t.Errorf("%s: %v", text, err)
		}
	}
	if err := errors.Join(s.addBinary("linux/arm64=x"), s.addBinary("linux/arm64=y")); err == nil || !strings.Contains(err.Error(), "two programs for linux/arm64") {
		t.Error(err)
	}
}

// unpack puts an archive into a folder.
func unpack(t *testing.T, archive []byte) string {
	t.Helper()
	dir := t.TempDir()
	for reader := tar.NewReader(bytes.NewReader(archive)); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return dir
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, header.Name)
		if header.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o755)
		} else {
			var data []byte
			if data, err = io.ReadAll(reader); err == nil {
				err = os.WriteFile(path, data, 0o644)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// contents are the files of an image, by their names.
func contents(t *testing.T, image v1.Image) map[string]tar.Header {
	t.Helper()
	layers, err := image.Layers()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]tar.Header{}
	for _, layer := range layers {
		content, err := layer.Uncompressed()
		if err != nil {
			t.Fatal(err)
		}
		for reader := tar.NewReader(content); ; {
			header, err := reader.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			files[header.Name] = *header
		}
	}
	return files
}
