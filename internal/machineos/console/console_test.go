package console_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/machineos/console"
)

func TestConsole(t *testing.T) {
	var out strings.Builder
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	c := console.New(&out, func() time.Time { return now })
	now = now.Add(1500 * time.Millisecond)
	c.Printf("%s is up", "it")
	command := c.Writer()
	_, _ = fmt.Fprint(command, "one\r\ntw")
	_, _ = fmt.Fprint(command, "o\n\x1b[31mred\x1b[0m")
	_ = command.Close()
	if want := "[    1.500000] it is up\none\ntwo\n\x1b[31mred\x1b[0m\n"; out.String() != want {
		t.Errorf("console is %q, want %q", out.String(), want)
	}
	if got := c.Tail(2, 100); got != "two\nred" {
		t.Errorf("tail is %q", got)
	}
	if got := c.Tail(10, 6); got != "red" {
		t.Errorf("tail of 6 bytes is %q", got)
	}
}

func TestLongLinesAreParted(t *testing.T) {
	var out strings.Builder
	c := console.New(&out, time.Now)
	writer := c.Writer()
	for range 10 {
		_, _ = writer.Write([]byte(strings.Repeat("x", 1000)))
	}
	_ = writer.Close()
	if lines := strings.Count(out.String(), "\n"); lines != 2 && lines != 3 || strings.Count(out.String(), "x") != 10_000 {
		t.Errorf("%d lines of %d characters", lines, strings.Count(out.String(), "x"))
	}
}

func TestOldLinesAreForgotten(t *testing.T) {
	c := console.New(&strings.Builder{}, time.Now)
	for i := range 1000 {
		c.Printf("line %d", i)
	}
	tail := strings.Split(c.Tail(1000, 1<<20), "\n")
	if len(tail) != 200 || !strings.HasSuffix(tail[199], "line 999") {
		t.Errorf("tail has %d lines and ends with %q", len(tail), tail[len(tail)-1])
	}
}
