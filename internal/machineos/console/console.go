// Package console is a machine's serial console: what goes to it is kept by
// whoever plays the hardware, and its last lines are kept here too, because a
// machine that fails to set itself up reports them.
package console

import (
	"bytes"
	"fmt"
	"io"
	"regexp"
	"strings"
	"sync"
	"time"
)

const (
	keptLines   = 200
	maxLineSize = 4 << 10
)

// Console writes to the serial line. It is safe for concurrent use.
type Console struct {
	mu    sync.Mutex
	out   io.Writer
	now   func() time.Time
	boot  time.Time
	lines []string
}

// New returns a Console that writes to out, with times counted from now on.
func New(out io.Writer, now func() time.Time) *Console {
	return &Console{out: out, now: now, boot: now()}
}

// Printf writes one line, with the seconds since boot before it as a kernel
// has them.
func (c *Console) Printf(format string, args ...any) {
	c.line(fmt.Sprintf("[%12.6f] ", c.now().Sub(c.boot).Seconds()) + fmt.Sprintf(format, args...))
}

func (c *Console) line(text string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	// A console that cannot be written to is no reason to stop the machine.
	_, _ = io.WriteString(c.out, text+"\n")
	if len(c.lines) == keptLines {
		c.lines = append(c.lines[:0], c.lines[1:]...)
	}
	c.lines = append(c.lines, text)
}

// colours are the control sequences that programs write to terminals.
var colours = regexp.MustCompile(`\x1b\[[0-9;]*[A-Za-z]`)

// Tail returns up to count of the last lines, at most size bytes of them,
// beginning with a whole line where one fits. It is for people who read it
// elsewhere than on a terminal, so colours are left out.
func (c *Console) Tail(count, size int) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	first := max(0, len(c.lines)-count)
	text := colours.ReplaceAllString(strings.Join(c.lines[first:], "\n"), "")
	if len(text) <= size {
		return text
	}
	text = text[len(text)-size:]
	if _, rest, found := strings.Cut(text, "\n"); found {
		text = rest
	}
	return strings.ToValidUTF8(text, "")
}

// Writer returns a writer of whole lines for the output of a command. Close
// writes an unfinished last line.
func (c *Console) Writer() io.WriteCloser {
	return &lineWriter{console: c}
}

type lineWriter struct {
	mu      sync.Mutex
	console *Console
	partial []byte
}

func (w *lineWriter) Write(data []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for rest := data; len(rest) > 0; {
		line, after, complete := bytes.Cut(rest, []byte("\n"))
		w.partial = append(w.partial, line...)
		if complete || len(w.partial) >= maxLineSize {
			w.flush()
		}
		rest = after
	}
	return len(data), nil
}

func (w *lineWriter) flush() {
	w.console.line(strings.TrimRight(string(w.partial), "\r"))
	w.partial = w.partial[:0]
}

func (w *lineWriter) Close() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.partial) > 0 {
		w.flush()
	}
	return nil
}
