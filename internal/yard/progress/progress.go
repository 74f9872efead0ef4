// Package progress tells a person what a long command is doing: one line per
// step with the time it took, and on a terminal a line that lives meanwhile.
package progress

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"
	"unicode/utf8"
)

// Printer prints steps. One step runs at a time.
type Printer struct {
	// Out takes the lines.
	Out io.Writer
	// Columns is the width of the terminal that Out is, or 0 where it is none.
	Columns int
	// Now tells the time.
	Now func() time.Time
	// Tick makes a channel that asks for the living line to be drawn anew,
	// and a function that ends it. It is only used on a terminal.
	Tick func() (<-chan time.Time, func())

	taken []Timing
}

// Timing is the time that one step took.
type Timing struct {
	Name string
	Took time.Duration
}

// New returns a Printer for the system's clock.
func New(out io.Writer, columns int) *Printer {
	return &Printer{Out: out, Columns: columns, Now: time.Now, Tick: func() (<-chan time.Time, func()) {
		ticker := time.NewTicker(100 * time.Millisecond)
		return ticker.C, ticker.Stop
	}}
}

// Timings returns what the steps took that were done, in their order.
func (p *Printer) Timings() []Timing { return p.taken }

// Say prints lines between steps.
func (p *Printer) Say(format string, arguments ...any) {
	fmt.Fprintf(p.Out, format+"\n", arguments...)
}

// Do runs a step and prints how it ended.
func (p *Printer) Do(name string, run func(*Step) error) error {
	step := &Step{printer: p, name: name, began: p.Now()}
	stop := step.live()
	err := run(step)
	stop()
	took := p.Now().Sub(step.began)
	if err != nil {
		p.Say("✗ %s (%s)", name, Short(took))
		return err
	}
	p.taken = append(p.taken, Timing{Name: name, Took: took})
	if step.result != "" {
		name += ": " + step.result
	}
	p.Say("✓ %s (%s)", name, Short(took))
	return nil
}

// Short writes a duration with as many digits as a person reads.
func Short(d time.Duration) string {
	switch {
	case d < 10*time.Second:
		return d.Round(100 * time.Millisecond).String()
	default:
		return d.Round(time.Second).String()
	}
}

// Step is a step that runs.
type Step struct {
	printer *Printer
	name    string
	began   time.Time
	result  string

	mu     sync.Mutex
	detail string
}

// Detail tells what the step is at, or waits for. The same text again does
// nothing, so it may be told as often as it is looked at.
func (s *Step) Detail(format string, arguments ...any) {
	text := fmt.Sprintf(format, arguments...)
	s.mu.Lock()
	changed := text != s.detail
	s.detail = text
	s.mu.Unlock()
	if changed && text != "" && s.printer.Columns == 0 {
		s.printer.Say("  … %s", text)
	}
}

// Last returns the last detail, for the message of a step that gave up.
func (s *Step) Last() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.detail
}

// Result adds to the line that is printed when the step is done.
func (s *Step) Result(format string, arguments ...any) {
	s.result = fmt.Sprintf(format, arguments...)
}

const (
	clearLine = "\r\x1b[K"
	frames    = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
)

// live draws the living line until the returned function is called.
func (s *Step) live() (stop func()) {
	if s.printer.Columns == 0 {
		return func() {}
	}
	ticks, end := s.printer.Tick()
	done := make(chan struct{})
	var drawing sync.WaitGroup
	spinner := []rune(frames)
	drawing.Go(func() {
		for i := 0; ; i++ {
			fmt.Fprint(s.printer.Out, clearLine+s.line(string(spinner[i%len(spinner)])))
			select {
			case <-ticks:
			case <-done:
				fmt.Fprint(s.printer.Out, clearLine)
				return
			}
		}
	})
	return func() {
		end()
		close(done)
		drawing.Wait()
	}
}

func (s *Step) line(spinner string) string {
	text := fmt.Sprintf("%s %s (%s)", spinner, s.name, s.printer.Now().Sub(s.began).Round(time.Second))
	if detail := s.Last(); detail != "" {
		text += ": " + strings.ReplaceAll(detail, "\n", " ")
	}
	// A line that wraps could not be cleared again.
	if limit := s.printer.Columns - 1; utf8.RuneCountInString(text) > limit {
		text = string([]rune(text)[:max(limit-1, 0)]) + "…"
	}
	return text
}
