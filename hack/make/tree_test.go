// Package maketest runs the Makefile, in a copy of it and of the commands that
// it calls, beside programs that are built in no time.
package maketest

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// tree is a repository of its own.
type tree struct {
	t   *testing.T
	dir string
	// engines has what is in the place of Docker and Podman.
	engines string
	// environment is added to that of make.
	environment []string
}

// host is the platform of this machine, as the names of binaries have it.
const host = runtime.GOOS + "-" + runtime.GOARCH

// program prints its name and arguments without any import, because building
// the standard library for another system takes long.
const program = `package main

func main() { println("this is %s") }
`

func newTree(t *testing.T) *tree {
	t.Helper()
	tr := &tree{t: t, dir: t.TempDir(), engines: t.TempDir()}
	root := filepath.Join("..", "..")
	for _, name := range []string{"Makefile", "go.mod", "go.sum", "machine", "README.md", ".gitignore", "hack", "charts", "internal/charts"} {
		tr.copy(filepath.Join(root, name), name)
	}
	for _, name := range []string{"manager", "packet-api-server", "packet-cloud-controller-manager"} {
		tr.write(filepath.Join("cmd", name, "main.go"), fmt.Sprintf(program, name))
	}
	// Neither Docker nor Podman answers, whatever this machine has.
	for _, engine := range []string{"docker", "podman"} {
		tr.engine(engine, "exit 1")
	}
	tr.environment = []string{"PATH=" + tr.engines + string(os.PathListSeparator) + os.Getenv("PATH")}
	tr.git("init", "-q", "-b", "main")
	tr.commit()
	return tr
}

// engine puts a shell script in the place of Docker or Podman.
func (tr *tree) engine(name, script string) {
	tr.t.Helper()
	if err := os.WriteFile(filepath.Join(tr.engines, name), []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *tree) copy(from, name string) {
	tr.t.Helper()
	err := filepath.WalkDir(from, func(path string, item fs.DirEntry, err error) error {
		if err != nil || item.IsDir() {
			return err
		}
		// Of the machines' Kubernetes, the Makefile reads which version it is.
		if name == "machine" && item.Name() != "go.mod" {
			return nil
		}
		relative, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		info, err := item.Info()
		if err != nil {
			return err
		}
		target := filepath.Join(tr.dir, name, relative)
		tr.write(filepath.Join(name, relative), string(data))
		return os.Chmod(target, info.Mode())
	})
	if err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *tree) write(name, text string) {
	tr.t.Helper()
	path := filepath.Join(tr.dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		tr.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		tr.t.Fatal(err)
	}
}

func (tr *tree) read(name string) []byte {
	tr.t.Helper()
	data, err := os.ReadFile(filepath.Join(tr.dir, name))
	if err != nil {
		tr.t.Fatal(err)
	}
	return data
}

func (tr *tree) exists(name string) bool {
	_, err := os.Stat(filepath.Join(tr.dir, name))
	return err == nil
}

func (tr *tree) git(arguments ...string) string {
	tr.t.Helper()
	command := exec.CommandContext(tr.t.Context(), "git", append([]string{"-c", "user.name=Test", "-c", "user.email=test@example.com"}, arguments...)...)
	command.Dir = tr.dir
	out, err := command.CombinedOutput()
	if err != nil {
		tr.t.Fatalf("git %v: %v\n%s", arguments, err, out)
	}
	return strings.TrimSpace(string(out))
}

// commit commits everything, and returns its hash.
func (tr *tree) commit() string {
	tr.t.Helper()
	tr.git("add", "-A")
	tr.git("commit", "-q", "--allow-empty", "-m", "A change")
	return tr.git("rev-parse", "HEAD")
}

// make runs make, and fails the test if make fails.
func (tr *tree) make(arguments ...string) string {
	tr.t.Helper()
	out, err := tr.run(tr.t.Context(), arguments)
	if err != nil {
		tr.t.Fatalf("make %q: %v\n%s", arguments, err, out)
	}
	return out
}

// refuses runs make, which has to fail and to say all texts.
func (tr *tree) refuses(arguments []string, wants ...string) {
	tr.t.Helper()
	out, err := tr.run(tr.t.Context(), arguments)
	if err == nil {
		tr.t.Errorf("make %q did not fail:\n%s", arguments, out)
	}
	for _, want := range wants {
		if !strings.Contains(out, want) {
			tr.t.Errorf("make %q does not say %q:\n%s", arguments, want, out)
		}
	}
}

func (tr *tree) run(ctx context.Context, arguments []string) (string, error) {
	command := exec.CommandContext(ctx, "make", arguments...)
	command.Dir = tr.dir
	// A test that make itself runs must not get what that make was given.
	for _, variable := range os.Environ() {
		name, _, _ := strings.Cut(variable, "=")
		switch name {
		case "MAKEFLAGS", "MFLAGS", "MAKELEVEL", "MAKEOVERRIDES", "OS", "ARCH", "IMG", "IMAGE", "REGISTRY", "PLATFORMS", "DOCKERBUILD",
			"CONFIRM", "BRANCH_NAME", "RELEASE_TAG", "IMAGES", "API_SERVER_IMG", "GOOS", "GOARCH", "CGO_ENABLED":
		default:
			command.Env = append(command.Env, variable)
		}
	}
	command.Env = append(command.Env, tr.environment...)
	var out bytes.Buffer
	command.Stdout, command.Stderr = &out, &out
	err := command.Run()
	return out.String(), err
}
