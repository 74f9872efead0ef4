package cloudinit

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// defaultMode is what a file gets that names no permissions.
const defaultMode = 0o644

// fileEntry is an entry of write_files.
type fileEntry struct {
	Path        string          `json:"path"`
	Content     json.RawMessage `json:"content"`
	Encoding    string          `json:"encoding"`
	Owner       string          `json:"owner"`
	Permissions json.RawMessage `json:"permissions"`
	Append      json.RawMessage `json:"append"`
	Defer       json.RawMessage `json:"defer"`
	Source      json.RawMessage `json:"source"`
}

// writeFiles writes the files that are, or are not, put off until users exist.
func (w *work) writeFiles(c *cloudConfig, deferred bool) {
	items, err := c.list("write_files")
	if err != nil {
		if !deferred {
			w.fail("%w", err)
		}
		return
	}
	for i, item := range items {
		field := fmt.Sprintf("write_files[%d]", i)
		var entry fileEntry
		if err := json.Unmarshal(item, &entry); err != nil {
			if !deferred {
				w.fail("%s must be a map with the keys path, content, encoding, owner, permissions, append and defer, and text as values", field)
			}
			continue
		}
		later, _ := scalar(entry.Defer)
		if isTrue(later) != deferred {
			continue
		}
		if entry.Path == "" {
			w.warn("%s.path is empty, the entry is ignored", field)
			continue
		}
		if err := w.writeFile(field, entry); err != nil {
			w.fail("%s (%s): %w", field, entry.Path, err)
		}
	}
}

func (w *work) writeFile(field string, entry fileEntry) error {
	if !filepath.IsAbs(entry.Path) {
		return fmt.Errorf("path is %q, it must be absolute", entry.Path)
	}
	if len(entry.Source) > 0 && string(entry.Source) != "null" {
		w.warn("%s.source is ignored: files are not downloaded", field)
	}
	content, known, err := decodeContent(entry)
	if err != nil {
		return err
	}
	if !known {
		w.warn("%s.encoding is %q, known are text/plain, b64, base64, gz, gzip, gz+b64, gzip+b64, gz+base64 and gzip+base64; it is taken as text/plain", field, entry.Encoding)
	}
	mode, err := permissions(entry.Permissions)
	if err != nil {
		w.warn("%s.permissions: %v; 0644 is used", field, err)
	}
	if owner := entry.Owner; owner != "" && owner != "root" && owner != "root:root" {
		w.warn("%s.owner is %s: the machine has no user but root, who owns %s", field, owner, entry.Path)
	}
	file := w.path(entry.Path)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return fmt.Errorf("making its directory: %w", err)
	}
	flags := os.O_CREATE | os.O_WRONLY | os.O_TRUNC
	if value, _ := scalar(entry.Append); isTrue(value) {
		flags = os.O_CREATE | os.O_WRONLY | os.O_APPEND
	}
	// The file is made private first: what is written may be a secret.
	opened, err := os.OpenFile(file, flags, 0o600)
	if err != nil {
		return fmt.Errorf("opening it: %w", err)
	}
	_, writeErr := opened.Write(content)
	if err := errors.Join(writeErr, opened.Close()); err != nil {
		return fmt.Errorf("writing it: %w", err)
	}
	if err := os.Chmod(file, mode); err != nil {
		return fmt.Errorf("setting its permissions: %w", err)
	}
	return nil
}

// decodeContent undoes the encodings that cloud-init knows, under all of
// their names. As there, an unknown one means plain text.
func decodeContent(entry fileEntry) (content []byte, known bool, err error) {
	text, ok := scalar(entry.Content)
	if !ok && len(entry.Content) > 0 && string(entry.Content) != "null" {
		return nil, true, fmt.Errorf("content is %s, it must be a string", shape(entry.Content))
	}
	content = []byte(text)
	packed, encoded := false, false
	switch encoding := strings.ToLower(strings.TrimSpace(entry.Encoding)); encoding {
	case "gz", "gzip":
		packed = true
	case "gz+base64", "gzip+base64", "gz+b64", "gzip+b64":
		packed, encoded = true, true
	case "b64", "base64":
		encoded = true
	case "", "text/plain":
	default:
		return content, false, nil
	}
	if encoded {
		decoded, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(text), ""))
		if err != nil {
			return nil, true, fmt.Errorf("content is not base64: %w", err)
		}
		content = decoded
	}
	if packed {
		unpacked, err := gunzip(content)
		if err != nil {
			return nil, true, fmt.Errorf("content: %w", err)
		}
		content = unpacked
	}
	return content, true, nil
}

// permissions reads octal text, or a number, which YAML has already read as
// octal where it began with 0.
func permissions(raw json.RawMessage) (os.FileMode, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return defaultMode, nil
	}
	text, ok := scalar(raw)
	base := 8
	if ok && raw[0] != '"' {
		base = 10
	}
	number, err := strconv.ParseUint(strings.TrimPrefix(strings.TrimSpace(text), "0o"), base, 16)
	if !ok || err != nil || number > 0o7777 {
		return defaultMode, fmt.Errorf("%q is not octal permissions such as '0640'", text)
	}
	mode := os.FileMode(number) & fs.ModePerm
	for bit, flag := range map[uint64]os.FileMode{0o4000: fs.ModeSetuid, 0o2000: fs.ModeSetgid, 0o1000: fs.ModeSticky} {
		if number&bit != 0 {
			mode |= flag
		}
	}
	return mode, nil
}
