// Package textfile reads and changes small text files of a machine line by line.
package textfile

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// longestLine bounds a line, in bytes.
const longestLine = 1 << 20

// Lines reads a text file; one that does not exist has none.
func Lines(file string) ([]string, error) {
	content, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", file, err)
	}
	var lines []string
	scanner := bufio.NewScanner(bytes.NewReader(content))
	scanner.Buffer(nil, longestLine)
	for scanner.Scan() {
		lines = append(lines, scanner.Text())
	}
	return lines, scanner.Err()
}

// Write replaces a file that everybody may read, and makes its directory.
func Write(file, text string) error {
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("making the directory of %s: %w", file, err)
	}
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		return fmt.Errorf("writing %s: %w", file, err)
	}
	return nil
}

// Append adds a line to a file that lacks it.
func Append(file, line string) error {
	lines, err := Lines(file)
	if err != nil || slices.Contains(lines, line) {
		return err
	}
	return Write(file, strings.Join(append(lines, line), "\n")+"\n")
}
