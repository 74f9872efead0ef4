package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/distribution/reference"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// revisionKey is the annotation that says which commit an image was made from.
const revisionKey = "org.opencontainers.image.revision"

// builtImage is an image that `make ci` has made, and where it goes.
type builtImage struct {
	file       string
	repository name.Repository
	index      v1.ImageIndex
	platforms  []string
}

// openImages reads the images that arguments of the form <file>=<name> name,
// and sees to it that they were made from a commit. A tag in a name is passed
// over: the tags are what this command is about. The folder takes what is
// unpacked.
func (j job) openImages(arguments []string, commit, folder string) ([]builtImage, error) {
	if len(arguments) == 0 {
		return nil, errors.New("IMAGES is empty: there is nothing to push")
	}
	var images []builtImage
	var problems []error
	for _, argument := range arguments {
		image, err := j.openImage(argument, commit, folder)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		images = append(images, image)
	}
	return images, errors.Join(problems...)
}

func (j job) openImage(argument, commit, folder string) (builtImage, error) {
	file, target, ok := strings.Cut(argument, "=")
	if !ok {
		return builtImage{}, fmt.Errorf("%q has to be <file>=<image>", argument)
	}
	repository, err := parseRepository(target)
	if err != nil {
		return builtImage{}, err
	}
	dir, err := os.MkdirTemp(folder, "image-")
	if err != nil {
		return builtImage{}, fmt.Errorf("making a folder for %s: %w", file, err)
	}
	index, err := readArchive(filepath.Join(j.dir, file), dir)
	if err != nil {
		return builtImage{}, err
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		return builtImage{}, fmt.Errorf("reading %s: %w", file, err)
	}
	if err := checkRevision(file, manifest.Annotations[revisionKey], commit); err != nil {
		return builtImage{}, err
	}
	image := builtImage{file: file, repository: repository, index: index}
	for _, m := range manifest.Manifests {
		image.platforms = append(image.platforms, m.Platform.String())
	}
	return image, nil
}

// parseRepository reads an image's name as Docker does, without its tag.
func parseRepository(text string) (name.Repository, error) {
	named, err := reference.ParseNormalizedNamed(text)
	if err != nil {
		return name.Repository{}, fmt.Errorf("the image's name is %q: %w; [registry/]repository is allowed, for example packetyard/manager", text, err)
	}
	return name.NewRepository(reference.TrimNamed(named).Name())
}

// checkRevision is an error if an image was not made from the commit that is
// checked out: its tags would tell something else than what is in it.
func checkRevision(file, revision, commit string) error {
	switch {
	case revision == commit:
		return nil
	case revision == "":
		return fmt.Errorf("%s does not say which commit it was made from: run make ci in a Git checkout", file)
	case strings.HasSuffix(revision, "-dirty"):
		return fmt.Errorf("%s was made from %s with changes that are not committed: commit them, and run make ci", file, strings.TrimSuffix(revision, "-dirty"))
	default:
		return fmt.Errorf("%s was made from commit %s, and %s is checked out: check out the other, or run make ci", file, revision, commit)
	}
}
