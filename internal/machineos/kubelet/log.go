package kubelet

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

const (
	// longestLog is when the log is cut, to its last keptLog bytes.
	longestLog = 32 << 20
	keptLog    = 4 << 20
	// shownLines is how much of it goes to the console when the kubelet keeps failing.
	shownLines = 15
)

// openLog opens the log for appending, so that cutting it under a running
// kubelet is safe.
func (s *Supervisor) openLog() (*os.File, error) {
	file := s.path(LogFile)
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return nil, fmt.Errorf("making the log's directory: %w", err)
	}
	trimLog(file)
	log, err := os.OpenFile(file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return nil, fmt.Errorf("opening the kubelet's log: %w", err)
	}
	return log, nil
}

// trimLog keeps the end of a log that has grown too long. Lines that are
// written meanwhile may be lost.
func trimLog(file string) {
	info, err := os.Stat(file)
	if err != nil || info.Size() < longestLog {
		return
	}
	kept, err := tail(file, keptLog)
	if err != nil || os.Truncate(file, 0) != nil {
		return
	}
	if log, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0); err == nil {
		_, _ = log.Write(kept)
		_ = log.Close()
	}
}

// tail returns the last bytes of a file, from the beginning of a line on.
func tail(file string, size int64) ([]byte, error) {
	opened, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = opened.Close() }()
	end, err := opened.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	start := max(0, end-size)
	content := make([]byte, end-start)
	count, err := opened.ReadAt(content, start)
	if err != nil && count == 0 {
		return nil, err
	}
	content = content[:count]
	if _, whole, found := bytes.Cut(content, []byte("\n")); found && start > 0 {
		content = whole
	}
	return content, nil
}

// Tail returns up to count of the log's last lines.
func Tail(file string, count int) ([]string, error) {
	content, err := tail(file, 1<<20)
	if err != nil || len(content) == 0 {
		return nil, err
	}
	lines := strings.Split(strings.TrimRight(string(content), "\n"), "\n")
	return lines[max(0, len(lines)-count):], nil
}

// showLog brings the kubelet's last words to the console.
func (s *Supervisor) showLog() {
	lines, err := Tail(s.path(LogFile), shownLines)
	if err != nil {
		return
	}
	for _, line := range lines {
		s.config.Printf("kubelet log: %s", line)
	}
}
