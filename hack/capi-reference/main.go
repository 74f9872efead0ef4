// Command capi-reference writes the reference page of the Cluster API provider's API, out of the CustomResourceDefinitions and
// the conditions that are generated from, and written in, api/infrastructure/v1beta2.
package main

import (
	"bytes"
	"fmt"
	"os"
)

const (
	page       = "docs/reference/capi-api.md"
	crdFolder  = "config/crd/bases"
	typeFolder = "api/infrastructure/v1beta2"
)

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "capi-reference:", err)
		os.Exit(1)
	}
}

func write() error {
	definitions, err := readDefinitions(crdFolder)
	if err != nil {
		return err
	}
	conditions, err := readConditions(typeFolder)
	if err != nil {
		return err
	}
	var content bytes.Buffer
	if err := render(&content, definitions, conditions); err != nil {
		return err
	}
	if err := os.MkdirAll("docs/reference", 0o755); err != nil {
		return fmt.Errorf("making the folder of the page: %w", err)
	}
	if err := os.WriteFile(page, content.Bytes(), 0o644); err != nil {
		return fmt.Errorf("writing the page: %w", err)
	}
	return nil
}
