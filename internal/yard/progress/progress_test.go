package progress

import (
	"bytes"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode/utf8"
)

// clock returns a function that tells a second later at every call.
func clock() func() time.Time {
	var mu sync.Mutex
	now := time.Date(2026, 7, 1, 0, 0, 0, 0, time.UTC)
	return func() time.Time {
		mu.Lock()
		defer mu.Unlock()
		now = now.Add(time.Second)
		return now
	}
}

func TestPlainOutput(t *testing.T) {
	var out bytes.Buffer
	printer := &Printer{Out: &out, Now: clock()}
	err := printer.Do("First", func(step *Step) error {
		step.Detail("half of it")
		step.Detail("half of it")
		step.Detail("all of it")
		step.Result("%d things", 2)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	failure := errors.New("no")
	if err := printer.Do("Second", func(*Step) error { return failure }); !errors.Is(err, failure) {
		t.Errorf("Do returned %v", err)
	}
	const want = "  … half of it\n  … all of it\n✓ First: 2 things (1s)\n✗ Second (1s)\n"
	if out.String() != want {
		t.Errorf("printed\n%swant\n%s", out.String(), want)
	}
	if timings := printer.Timings(); len(timings) != 1 || timings[0] != (Timing{Name: "First", Took: time.Second}) {
		t.Errorf("timings %v", timings)
	}
}

func TestTerminalDrawsOneLineThatFits(t *testing.T) {
	var out bytes.Buffer
	ticks, ended := make(chan time.Time), false
	printer := &Printer{Out: &out, Columns: 40, Now: clock(), Tick: func() (<-chan time.Time, func()) {
		return ticks, func() { ended = true }
	}}
	err := printer.Do("A step", func(step *Step) error {
		step.Detail("%s", strings.Repeat("wörds\n", 20))
		ticks <- time.Time{}
		ticks <- time.Time{}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if !ended {
		t.Error("the ticker was not ended")
	}
	text := out.String()
	if last := text[strings.LastIndex(text, clearLine)+len(clearLine):]; !strings.HasPrefix(last, "✓ A step (") || !strings.HasSuffix(last, ")\n") {
		t.Errorf("the last line is missing: %q", text)
	}
	for line := range strings.SplitSeq(strings.TrimSuffix(text, "\n"), clearLine) {
		if utf8.RuneCountInString(line) >= 40 || strings.Contains(line, "\n") {
			t.Errorf("the line %q does not fit", line)
		}
	}
}

func TestShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		1234 * time.Millisecond:  "1.2s",
		12345 * time.Millisecond: "12s",
		30 * time.Millisecond:    "0s",
	} {
		if got := Short(d); got != want {
			t.Errorf("Short(%s) is %s, want %s", d, got, want)
		}
	}
}
