package main

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/blang/semver/v4"
)

// tagForm is that of an image's tag, of the distribution specification:
// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
var tagForm = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9._-]{0,127}$`)

// confirmed is an error unless CONFIRM is true: to push is not to be undone.
func (j job) confirmed() error {
	if value := j.variable("CONFIRM"); value != "true" {
		return fmt.Errorf("CONFIRM is %q: it pushes to a registry only with CONFIRM=true", value)
	}
	return nil
}

// branchName is BRANCH_NAME, which becomes a tag.
func (j job) branchName() (string, error) {
	value := j.variable("BRANCH_NAME")
	switch {
	case value == "":
		return "", errors.New(`BRANCH_NAME is "": the branch that the commit was merged into, for example BRANCH_NAME=main`)
	case !tagForm.MatchString(value):
		return "", fmt.Errorf("BRANCH_NAME is %q, which cannot be an image's tag: up to 128 letters, digits, dots, underscores and dashes are allowed, and no dot or dash first", value)
	case checkRelease(value) == nil:
		return "", fmt.Errorf("BRANCH_NAME is %q, which is the tag of a release: make release pushes those", value)
	}
	return value, nil
}

// releaseTag is RELEASE_TAG.
func (j job) releaseTag() (string, error) {
	value := j.variable("RELEASE_TAG")
	if err := checkRelease(value); err != nil {
		return "", fmt.Errorf("RELEASE_TAG is %q: vMAJOR.MINOR.PATCH is allowed, with -PRERELEASE after it or not, for example v1.2.3 or v1.2.3-rc.1: %w", value, err)
	}
	return value, nil
}

// checkRelease is an error if a tag is no version by https://semver.org with a
// v before it. Build metadata is none of a tag: an image's cannot have a plus.
func checkRelease(tag string) error {
	number, ok := strings.CutPrefix(tag, "v")
	if !ok {
		return errors.New("it does not begin with v")
	}
	version, err := semver.Parse(number)
	if err != nil {
		return err
	}
	if len(version.Build) > 0 {
		return errors.New("it has build metadata")
	}
	if !tagForm.MatchString(tag) {
		return errors.New("it is longer than an image's tag can be")
	}
	return nil
}
