package cloudinit

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

// shellScript makes one script of a list of commands, as cloud-init does: a
// string is a line of shell, a list is a command whose words are quoted. The
// script has no "set -e": its exit code is that of its last command.
func shellScript(key string, items []json.RawMessage) ([]byte, error) {
	var script strings.Builder
	script.WriteString("#!/bin/sh\n")
	for i, item := range items {
		if string(item) == "null" {
			continue
		}
		if line, ok := scalar(item); ok {
			script.WriteString(line + "\n")
			continue
		}
		var words []json.RawMessage
		if err := json.Unmarshal(item, &words); err != nil {
			return nil, fmt.Errorf("%s[%d] is %s, it must be a string or a list of strings", key, i, shape(item))
		}
		for position, word := range words {
			text, ok := scalar(word)
			if !ok {
				return nil, fmt.Errorf("%s[%d][%d] is %s, it must be a string", key, i, position, shape(word))
			}
			if position > 0 {
				script.WriteByte(' ')
			}
			script.WriteString("'" + strings.ReplaceAll(text, "'", `'\''`) + "'")
		}
		script.WriteByte('\n')
	}
	return []byte(script.String()), nil
}

// bootCommands runs bootcmd before all else.
func (w *work) bootCommands(ctx context.Context, c *cloudConfig) {
	items, err := c.list("bootcmd")
	if err != nil {
		w.fail("%w", err)
		return
	}
	if len(items) == 0 {
		return
	}
	content, err := shellScript("bootcmd", items)
	if err != nil {
		w.fail("%w", err)
		return
	}
	w.runScript(ctx, script{"bootcmd", content})
}

// prepareRunCommands makes a script of runcmd, which runs among the others.
func (w *work) prepareRunCommands(c *cloudConfig) {
	items, err := c.list("runcmd")
	if err != nil {
		w.fail("%w", err)
		return
	}
	if len(items) == 0 {
		return
	}
	content, err := shellScript("runcmd", items)
	if err != nil {
		w.fail("%w", err)
		return
	}
	w.scripts = append(w.scripts, script{"runcmd", content})
}

// runScripts runs all scripts, also after one that failed.
func (w *work) runScripts(ctx context.Context) {
	slices.SortStableFunc(w.scripts, func(a, b script) int { return cmp.Compare(a.name, b.name) })
	for _, one := range w.scripts {
		if ctx.Err() != nil {
			return
		}
		w.runScript(ctx, one)
	}
}

// runScript writes a script below /var/lib/cloud and runs it, as root and in
// the root directory.
func (w *work) runScript(ctx context.Context, one script) {
	directory := w.path(scriptDirectory)
	file := filepath.Join(directory, one.name)
	if err := os.MkdirAll(directory, 0o700); err != nil {
		w.fail("%s: making its directory: %w", one.name, err)
		return
	}
	content := one.content
	if line, _, _ := bytes.Cut(content, []byte("\n")); bytes.HasSuffix(line, []byte("\r")) {
		// An interpreter's name must not end with a carriage return.
		content = bytes.ReplaceAll(content, []byte("\r\n"), []byte("\n"))
	}
	if err := os.WriteFile(file, content, 0o700); err != nil {
		w.fail("%s: writing the script: %w", one.name, err)
		return
	}
	// A boothook has no interpreter line; the shell runs what has none.
	cmd := &exec.Cmd{Path: file, Args: []string{file}, Dir: w.Root, Env: append(os.Environ(), "INSTANCE_ID="+w.Instance.ID)}
	if !strings.HasPrefix(string(one.content), "#!") {
		cmd.Path, cmd.Args = "/bin/sh", []string{"/bin/sh", file}
	}
	w.Printf("cloud-init: running %s", one.name)
	if err := w.Run(ctx, cmd, w.output); err != nil {
		w.fail("%s: %w", one.name, err)
	}
}
