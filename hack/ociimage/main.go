// Command ociimage makes a container image of one static program, without a
// container runtime: an OCI image layout in a tar file, which `docker load`,
// `podman load`, containerd, skopeo and crane take. The image is an index with
// one image for each platform. The same programs and the same commit give the
// same image, byte for byte.
//
//	ociimage -program manager -name packetyard/manager:dev -output manager.oci.tar \
//		-binary linux/amd64=manager-amd64 -binary linux/arm64=manager-arm64 \
//		-- --flag-that-the-program-gets-by-default
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"strings"

	"github.com/distribution/reference"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/packetyard/packetyard/hack/checkout"
)

// settings say what the image is.
type settings struct {
	// program is the name of the program in the image.
	program string
	// title is a few words on what it is.
	title string
	// name is the image's name and tag.
	name string
	// output is the tar file to write.
	output string
	// data is a folder of the image that the program may write to, and where
	// it starts. Empty for none.
	data string
	// port is what it listens on, as 8080/tcp. Empty for none.
	port string
	// arguments are what the program gets if the container is given none.
	arguments []string
	// binaries are the files of the program, in the order of the index.
	binaries []platformProgram
}

// platformProgram is the program for one platform.
type platformProgram struct {
	platform v1.Platform
	file     string
}

func main() {
	var s settings
	flag.StringVar(&s.program, "program", "", "the program's name in the image")
	flag.StringVar(&s.title, "title", "", "what the program is")
	flag.StringVar(&s.name, "name", "", "the image's name, as packetyard/packet-api-server:dev; without a tag it is latest")
	flag.StringVar(&s.output, "output", "", "the tar file to write")
	flag.StringVar(&s.data, "data", "", "a folder that the program keeps things in")
	flag.StringVar(&s.port, "expose", "", "the port that the program listens on, as 8080/tcp")
	flag.Func("binary", "the static program for one platform, as linux/arm64=path/of/file; once for each", s.addBinary)
	flag.Parse()
	s.arguments = flag.Args()
	if s.program == "" || s.name == "" || s.output == "" || len(s.binaries) == 0 {
		flag.Usage()
		os.Exit(2)
	}
	// An image of something that is in no repository has no revision; such an
	// image cannot be pushed by hack/release, which compares it.
	state, err := checkout.Read(context.Background(), ".")
	if err != nil {
		fmt.Fprintln(os.Stderr, "ociimage: the image does not say what it was made from:", err)
	}
	if err := run(s, state); err != nil {
		fmt.Fprintln(os.Stderr, "ociimage:", err)
		os.Exit(1)
	}
}

func (s *settings) addBinary(text string) error {
	platform, file, ok := strings.Cut(text, "=")
	system, architecture, slash := strings.Cut(platform, "/")
	if !ok || !slash || file == "" || system != "linux" || machines[architecture] == 0 {
		return fmt.Errorf("it has to be linux/<architecture>=<file>, with one of the architectures %s", strings.Join(architectures(), ", "))
	}
	for _, other := range s.binaries {
		if other.platform.Architecture == architecture {
			return fmt.Errorf("there are two programs for %s", platform)
		}
	}
	s.binaries = append(s.binaries, platformProgram{platform: v1.Platform{OS: system, Architecture: architecture}, file: file})
	return nil
}

// run writes the image. A name that is none is an error before anything is
// written; an error later leaves no half of a file.
func run(s settings, state checkout.State) error {
	name, err := parseName(s.name)
	if err != nil {
		return err
	}
	index, err := newIndex(s, state)
	if err != nil {
		return fmt.Errorf("making the image %s: %w", s.name, err)
	}
	if err := writeArchive(s.output, name, index); err != nil {
		return fmt.Errorf("writing the image %s: %w", s.name, err)
	}
	return nil
}

// parseName reads an image's name as Docker does: latest if there is no tag,
// Docker Hub's if there is no host.
func parseName(text string) (reference.NamedTagged, error) {
	name, err := reference.ParseNormalizedNamed(text)
	if err == nil {
		if _, ok := name.(reference.Digested); ok {
			err = errors.New("it has a digest, which is known only when it is made")
		}
	}
	if err != nil {
		return nil, fmt.Errorf("the image's name is %q: %w; [registry/]repository[:tag] is allowed, for example packetyard/manager:dev", text, err)
	}
	tagged, ok := reference.TagNameOnly(name).(reference.NamedTagged)
	if !ok {
		return nil, fmt.Errorf("the image's name is %q, which has no tag", text)
	}
	return tagged, nil
}
