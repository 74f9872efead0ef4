package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"

	"github.com/packetyard/packetyard/hack/checkout"
)

// cd pushes the images under the names of the branch and of the commit.
func (j job) cd(ctx context.Context, arguments []string) error {
	branch, err := j.branchName()
	if err := errors.Join(j.confirmed(), err); err != nil {
		return err
	}
	state, err := checkout.Read(ctx, j.dir)
	if err != nil {
		return err
	}
	return j.push(ctx, arguments, state.Commit, []string{branch, state.Commit}, false)
}

// release pushes the images under the name of a release.
func (j job) release(ctx context.Context, arguments []string) error {
	tag, err := j.releaseTag()
	if err := errors.Join(j.confirmed(), err); err != nil {
		return err
	}
	state, err := checkout.Read(ctx, j.dir)
	if err != nil {
		return err
	}
	tagged, err := checkout.TagCommit(ctx, j.dir, tag)
	if err != nil {
		return err
	}
	if tagged != "" && tagged != state.Commit {
		return fmt.Errorf("RELEASE_TAG is %q, which is a tag of commit %s, and %s is checked out: check that one out first", tag, tagged, state.Commit)
	}
	return j.push(ctx, arguments, state.Commit, []string{tag}, true)
}

// push looks at everything before it pushes anything. Tags that are final must
// not be there yet, or name the same image: then a push that broke off can be
// done again.
func (j job) push(ctx context.Context, arguments []string, commit string, tags []string, final bool) error {
	folder, err := os.MkdirTemp("", "release-")
	if err != nil {
		return fmt.Errorf("making a folder for the images: %w", err)
	}
	defer func() { _ = os.RemoveAll(folder) }()
	images, err := j.openImages(arguments, commit, folder)
	if err != nil {
		return err
	}
	options := []remote.Option{remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithUserAgent("packetyard-release")}
	if final {
		if err := checkUnused(ctx, images, tags, options); err != nil {
			return err
		}
	}
	pusher, err := remote.NewPusher(options...)
	if err != nil {
		return fmt.Errorf("preparing to push: %w", err)
	}
	for _, image := range images {
		for _, tag := range tags {
			target := image.repository.Tag(tag)
			if err := pusher.Push(ctx, target, image.index); err != nil {
				return fmt.Errorf("pushing %s: %w", target, err)
			}
			digest, err := image.index.Digest()
			if err != nil {
				return fmt.Errorf("reading %s: %w", image.file, err)
			}
			fmt.Fprintf(j.out, "pushed %s, %s, for %s\n", target, digest, strings.Join(image.platforms, ", "))
		}
	}
	return nil
}

// checkUnused is an error if a registry has other images under the tags.
func checkUnused(ctx context.Context, images []builtImage, tags []string, options []remote.Option) error {
	var problems []error
	for _, image := range images {
		digest, err := image.index.Digest()
		if err != nil {
			return fmt.Errorf("reading %s: %w", image.file, err)
		}
		for _, tag := range tags {
			target := image.repository.Tag(tag)
			found, err := remote.Head(target, append(options, remote.WithContext(ctx))...)
			if unknown(err) {
				continue
			}
			if err != nil {
				problems = append(problems, fmt.Errorf("asking whether %s is there already: %w", target, err))
			} else if found.Digest != digest {
				problems = append(problems, fmt.Errorf("%s is there already, with %s, and %s is %s: a release stays what it is; take another RELEASE_TAG", target, found.Digest, image.file, digest))
			}
		}
	}
	return errors.Join(problems...)
}

// unknown is whether a registry said that there is no such image. Some say so
// of a repository that is not there yet by refusing to read it; if it was the
// credentials, the push says so.
func unknown(err error) bool {
	answer := (*transport.Error)(nil)
	if !errors.As(err, &answer) {
		return false
	}
	switch answer.StatusCode {
	case http.StatusNotFound, http.StatusUnauthorized, http.StatusForbidden:
		return true
	}
	return false
}
