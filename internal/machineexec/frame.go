package machineexec

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"sync"
)

// stream says what a frame carries; it is the first byte of the frame.
type stream byte

const (
	streamStdin  stream = 0 // to the machine: input; an empty frame is the end of input
	streamStdout stream = 1 // from the machine: output
	streamStderr stream = 2 // from the machine: error output
	streamResize stream = 3 // to the machine: JSON of Size
	streamExit   stream = 4 // from the machine: JSON of exit, the last frame
)

const (
	headerBytes = 5
	// chunkBytes is the most that a writer puts into one frame.
	chunkBytes = 32 << 10
	// maxPayloadBytes bounds what a reader takes, so that a broken peer cannot make it allocate 4 GiB.
	maxPayloadBytes = 1 << 20
)

// exit is the payload of the last frame.
type exit struct {
	Code int `json:"code"`
}

// frameWriter writes whole frames; it may be used from several goroutines.
type frameWriter struct {
	mutex  sync.Mutex
	writer io.Writer
}

// write sends payload in one frame.
func (w *frameWriter) write(kind stream, payload []byte) error {
	frame := make([]byte, headerBytes, headerBytes+len(payload))
	frame[0] = byte(kind)
	binary.BigEndian.PutUint32(frame[1:], uint32(len(payload)))
	frame = append(frame, payload...)
	w.mutex.Lock()
	defer w.mutex.Unlock()
	if _, err := w.writer.Write(frame); err != nil {
		return fmt.Errorf("writing a frame of stream %d: %w", kind, err)
	}
	return nil
}

func (w *frameWriter) writeJSON(kind stream, value any) error {
	payload, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("encoding a frame of stream %d: %w", kind, err)
	}
	return w.write(kind, payload)
}

// streamWriter is one output stream as an io.Writer.
type streamWriter struct {
	frames *frameWriter
	kind   stream
}

// Write implements io.Writer. Empty writes are dropped: an empty frame has a meaning of its own.
func (w streamWriter) Write(data []byte) (int, error) {
	written := 0
	for written < len(data) {
		chunk := data[written:min(written+chunkBytes, len(data))]
		if err := w.frames.write(w.kind, chunk); err != nil {
			return written, err
		}
		written += len(chunk)
	}
	return written, nil
}

// readFrame reads one frame. It returns io.EOF only where the peer ended
// between two frames.
func readFrame(reader io.Reader) (stream, []byte, error) {
	var header [headerBytes]byte
	if _, err := io.ReadFull(reader, header[:]); err != nil {
		if err == io.EOF {
			return 0, nil, io.EOF
		}
		return 0, nil, fmt.Errorf("reading a frame's header: %w", err)
	}
	kind, length := stream(header[0]), binary.BigEndian.Uint32(header[1:])
	if kind > streamExit {
		return 0, nil, fmt.Errorf("unknown stream %d in a frame's header", kind)
	}
	if length > maxPayloadBytes {
		return 0, nil, fmt.Errorf("a frame of %d bytes, at most %d are allowed", length, maxPayloadBytes)
	}
	payload := make([]byte, length)
	if _, err := io.ReadFull(reader, payload); err != nil {
		return 0, nil, fmt.Errorf("reading a frame of %d bytes: %w", length, io.ErrUnexpectedEOF)
	}
	return kind, payload, nil
}
