// Command release takes the images that `make ci` has built from a commit to a
// registry, and writes the files of a release. It runs in the repository's
// root, from `make cd`, `make prerelease` and `make release`:
//
//	release cd <file>=<image>...
//	release prerelease <repository of the cloud controller manager's image>
//	release release <file>=<image>...
//
// CONFIRM, BRANCH_NAME and RELEASE_TAG come from the environment. Credentials
// are those of `docker login`: ~/.docker/config.json, or the one in
// DOCKER_CONFIG, and the helpers that it names.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// job is one call of the command.
type job struct {
	// dir is the repository's root.
	dir string
	// variable returns a variable of the environment, empty if it is not set.
	variable func(string) string
	// out is where what was done is told.
	out io.Writer
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	j := job{dir: ".", variable: os.Getenv, out: os.Stdout}
	if err := j.run(ctx, os.Args[1:]); err != nil {
		fmt.Fprintf(os.Stderr, "%v\n", err)
		os.Exit(1)
	}
}

func (j job) run(ctx context.Context, arguments []string) error {
	if len(arguments) == 0 {
		return errors.New("what to do is missing: cd, prerelease or release")
	}
	var err error
	switch arguments[0] {
	case "cd":
		err = j.cd(ctx, arguments[1:])
	case "prerelease":
		err = j.prerelease(ctx, arguments[1:])
	case "release":
		err = j.release(ctx, arguments[1:])
	default:
		return fmt.Errorf("%q is nothing to do: cd, prerelease and release are", arguments[0])
	}
	if err != nil {
		return fmt.Errorf("make %s: %w", arguments[0], err)
	}
	return nil
}
