package controlplanetest

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
)

// ModuleFolder is the folder of a module, in the version that go.mod has: tests read there what a module has besides Go, such as
// its CustomResourceDefinitions.
func ModuleFolder(module string) (string, error) {
	output, err := exec.CommandContext(context.Background(), "go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return "", fmt.Errorf("asking Go where module %s is: %w", module, said(err))
	}
	folder := strings.TrimSpace(string(output))
	if folder == "" {
		return "", fmt.Errorf("module %s is in go.mod and not on this machine: run `go mod download`", module)
	}
	return folder, nil
}

// said is an error of a command with what the command wrote on it.
func said(err error) error {
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(exit.Stderr)))
	}
	return err
}
