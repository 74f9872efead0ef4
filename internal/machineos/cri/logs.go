package cri

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"time"

	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// longestLine is where a longer line of a container is parted.
const longestLine = 16 << 10

// containerLog is a container's log file in the format that the kubelet
// reads: time, stream, tag and text in a line.
type containerLog struct {
	path string
	now  func() time.Time

	mu        sync.Mutex
	file      *os.File
	listeners map[*listener]struct{}
}

// listener is someone attached to the container.
type listener struct {
	stream runtimeapi.LogStreamType
	data   chan []byte
}

// listenerBacklog is how many pieces of output an attached client may lag
// behind before it is let go: it must not hold up the container.
const listenerBacklog = 256

// newLog returns a log that is not open yet. Without a path it is never written.
func newLog(path string, now func() time.Time) *containerLog {
	return &containerLog{path: path, now: now, listeners: make(map[*listener]struct{})}
}

func (l *containerLog) open() error {
	if l.path == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Dir(l.path), 0o755); err != nil {
		return fmt.Errorf("making the log's directory: %w", err)
	}
	return l.reopen()
}

// reopen opens the file anew, after it was moved away to begin another.
func (l *containerLog) reopen() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.path == "" {
		return nil
	}
	file, err := os.OpenFile(l.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o640)
	if err != nil {
		return fmt.Errorf("opening the container's log: %w", err)
	}
	if l.file != nil {
		_ = l.file.Close()
	}
	l.file = file
	return nil
}

func (l *containerLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		_ = l.file.Close()
		l.file = nil
	}
	for one := range l.listeners {
		close(one.data)
	}
	l.listeners = nil
}

// line writes one line. A log that cannot be written does not stop its container.
func (l *containerLog) line(stream runtimeapi.LogStreamType, text []byte, whole bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file == nil {
		return
	}
	tag := runtimeapi.LogTagFull
	if !whole {
		tag = runtimeapi.LogTagPartial
	}
	entry := l.now().AppendFormat(make([]byte, 0, len(text)+64), time.RFC3339Nano)
	entry = append(append(append(append(entry, ' '), stream...), ' '), tag...)
	entry = append(append(append(entry, ' '), text...), '\n')
	_, _ = l.file.Write(entry)
}

// pump copies a container's output until it ends.
func (l *containerLog) pump(stream runtimeapi.LogStreamType, output io.Reader) {
	reader := bufio.NewReaderSize(tee{output, l, stream}, longestLine)
	for {
		text, err := reader.ReadSlice('\n')
		whole := err == nil
		if whole {
			text = text[:len(text)-1]
		}
		if whole || len(text) > 0 {
			// What a container wrote last may lack the line's end.
			l.line(stream, text, whole || !errors.Is(err, bufio.ErrBufferFull))
		}
		if err != nil && !errors.Is(err, bufio.ErrBufferFull) {
			return
		}
	}
}

// tee shows what is read to whoever is attached.
type tee struct {
	io.Reader
	log    *containerLog
	stream runtimeapi.LogStreamType
}

func (t tee) Read(buffer []byte) (int, error) {
	count, err := t.Reader.Read(buffer)
	if count > 0 {
		t.log.show(t.stream, buffer[:count])
	}
	return count, err
}

func (l *containerLog) show(stream runtimeapi.LogStreamType, data []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for one := range l.listeners {
		if one.stream != stream {
			continue
		}
		select {
		case one.data <- append([]byte(nil), data...):
		default:
			close(one.data)
			delete(l.listeners, one)
		}
	}
}

// listen returns a listener whose channel is closed when the output has
// ended, or at once where it already has.
func (l *containerLog) listen(stream runtimeapi.LogStreamType) *listener {
	l.mu.Lock()
	defer l.mu.Unlock()
	one := &listener{stream: stream, data: make(chan []byte, listenerBacklog)}
	if l.listeners == nil {
		close(one.data)
		return one
	}
	l.listeners[one] = struct{}{}
	return one
}

func (l *containerLog) leave(one *listener) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, there := l.listeners[one]; there {
		delete(l.listeners, one)
		close(one.data)
	}
}
