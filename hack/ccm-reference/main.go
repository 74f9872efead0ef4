// Command ccm-reference writes the reference page of the cloud controller
// manager's configuration.
package main

import (
	"bytes"
	"fmt"
	"os"

	"github.com/packetyard/packetyard/internal/ccm"
)

const page = "docs/reference/ccm-configuration.md"

func main() {
	if err := write(); err != nil {
		fmt.Fprintln(os.Stderr, "ccm-reference:", err)
		os.Exit(1)
	}
}

func write() error {
	var content bytes.Buffer
	if err := ccm.WriteReference(&content); err != nil {
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
