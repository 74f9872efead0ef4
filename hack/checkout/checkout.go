// Package checkout tells which commit a working tree is, for what is built
// from it and for what is pushed of it.
package checkout

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"time"
)

// State is what Git knows about a working tree.
type State struct {
	// Commit is the hash of HEAD, 40 hexadecimal digits.
	Commit string
	// Changed is true if a file differs from the commit, or is not in it and
	// not ignored: such a file can be part of what is built.
	Changed bool
	// Description is the nearest tag, and how far it is: `git describe --tags`.
	Description string
	// Time is when the commit was made, in whole seconds, or what
	// SOURCE_DATE_EPOCH says, as https://reproducible-builds.org asks.
	Time time.Time
}

// Revision is the commit, with "-dirty" after it if the tree was changed: what
// was built from it can be had from no repository.
func (s State) Revision() string {
	if s.Changed {
		return s.Commit + "-dirty"
	}
	return s.Commit
}

// Read asks Git about the working tree in a folder. It is an error if there is
// no Git, no repository or no commit.
func Read(ctx context.Context, dir string) (State, error) {
	var state State
	var err error
	if state.Commit, err = git(ctx, dir, "rev-parse", "--verify", "HEAD^{commit}"); err != nil {
		return State{}, err
	}
	changes, err := git(ctx, dir, "status", "--porcelain")
	if err != nil {
		return State{}, err
	}
	state.Changed = changes != ""
	if state.Description, err = git(ctx, dir, "describe", "--tags", "--always", "--dirty"); err != nil {
		return State{}, err
	}
	seconds := os.Getenv("SOURCE_DATE_EPOCH")
	if seconds == "" {
		if seconds, err = git(ctx, dir, "log", "-1", "--format=%ct"); err != nil {
			return State{}, err
		}
	}
	unix, err := strconv.ParseInt(seconds, 10, 64)
	if err != nil {
		return State{}, fmt.Errorf("SOURCE_DATE_EPOCH is %q: seconds since 1970 are allowed", seconds)
	}
	state.Time = time.Unix(unix, 0).UTC()
	return state, nil
}

// TagCommit is the commit that a tag names, and empty if there is no such tag.
func TagCommit(ctx context.Context, dir, tag string) (string, error) {
	commit, err := git(ctx, dir, "rev-parse", "--verify", "--quiet", "refs/tags/"+tag+"^{commit}")
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) && exit.ExitCode() == 1 {
		return "", nil
	}
	return commit, err
}

func git(ctx context.Context, dir string, arguments ...string) (string, error) {
	command := exec.CommandContext(ctx, "git", arguments...)
	command.Dir = dir
	output, err := command.Output()
	if err == nil {
		return strings.TrimSpace(string(output)), nil
	}
	if exit := (*exec.ExitError)(nil); errors.As(err, &exit) {
		return "", fmt.Errorf("git %s: %w: %s", strings.Join(arguments, " "), err, strings.TrimSpace(string(exit.Stderr)))
	}
	return "", fmt.Errorf("git %s: %w", strings.Join(arguments, " "), err)
}
