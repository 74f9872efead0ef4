package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/distribution/reference"

	"github.com/packetyard/packetyard/hack/checkout"
	"github.com/packetyard/packetyard/internal/charts"
)

// latestLine is the line of README.md that names the latest release.
var latestLine = regexp.MustCompile(`(?m)^Latest release: .*$`)

// releaseFolder is what README.md may say anywhere about the files of a release.
var releaseFolder = regexp.MustCompile(`deploy/release/v[0-9][0-9A-Za-z.-]*[0-9A-Za-z]`)

// prerelease writes the files of a release, to be committed and tagged: the
// cloud controller manager's manifests with its image, and its name in README.md.
func (j job) prerelease(ctx context.Context, arguments []string) error {
	tag, err := j.releaseTag()
	if err != nil {
		return err
	}
	if len(arguments) != 1 {
		return errors.New("the repository of the cloud controller manager's image is missing")
	}
	if _, err := reference.ParseNormalizedNamed(arguments[0]); err != nil {
		return fmt.Errorf("the image's repository is %q: %w; [registry/]repository is allowed", arguments[0], err)
	}
	tagged, err := checkout.TagCommit(ctx, j.dir, tag)
	if err != nil {
		return err
	}
	if tagged != "" {
		return fmt.Errorf("RELEASE_TAG is %q, which is a tag of commit %s already: the files of a release are not written again", tag, tagged)
	}

	// All of it is made before any of it is written.
	files := map[string]string{}
	folder := filepath.Join("deploy", "release", tag)
	for _, manifest := range charts.CloudControllerManager() {
		text, err := manifest.Text(j.dir, arguments[0]+":"+tag, "make prerelease RELEASE_TAG="+tag)
		if err != nil {
			return fmt.Errorf("making %s: %w", manifest.Name, err)
		}
		files[manifest.Name] = text
	}
	readme, err := os.ReadFile(filepath.Join(j.dir, "README.md"))
	if err != nil {
		return fmt.Errorf("reading README.md: %w", err)
	}
	if err := writeFolder(filepath.Join(j.dir, folder), files); err != nil {
		return fmt.Errorf("writing %s: %w", folder, err)
	}
	fmt.Fprintf(j.out, "wrote %s\n", filepath.ToSlash(folder))
	written := []string{filepath.ToSlash(folder)}
	if updated := nameRelease(string(readme), tag); updated != string(readme) {
		if err := os.WriteFile(filepath.Join(j.dir, "README.md"), []byte(updated), 0o644); err != nil { //nolint:gosec // A README is for everybody to read.
			return fmt.Errorf("writing README.md: %w", err)
		}
		fmt.Fprintln(j.out, "updated README.md")
		written = append(written, "README.md")
	} else if !latestLine.MatchString(updated) {
		fmt.Fprintln(j.out, `README.md stays as it is: it has no line that begins with "Latest release: "`)
	}
	fmt.Fprintf(j.out, "next: git add %s && git commit, git tag %s, and push both\n", strings.Join(written, " "), tag)
	return nil
}

// nameRelease puts a release in the place of the one that a README names.
func nameRelease(readme, tag string) string {
	readme = latestLine.ReplaceAllLiteralString(readme, fmt.Sprintf("Latest release: [%s](deploy/release/%s).", tag, tag))
	return releaseFolder.ReplaceAllLiteralString(readme, "deploy/release/"+tag)
}

// writeFolder puts files in the place of a folder, or leaves what was there.
func writeFolder(folder string, files map[string]string) error {
	parent := filepath.Dir(folder)
	if err := os.MkdirAll(parent, 0o755); err != nil {
		return err
	}
	made, err := os.MkdirTemp(parent, ".release-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(made) }()
	if err := os.Chmod(made, 0o755); err != nil { //nolint:gosec // A folder of a repository is for everybody to read.
		return err
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(made, name), []byte(text), 0o644); err != nil { //nolint:gosec // A manifest is for everybody to read.
			return err
		}
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	return os.Rename(made, folder)
}
