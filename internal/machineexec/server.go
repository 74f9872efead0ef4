package machineexec

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
)

// maxRequestBytes bounds a Request's JSON.
const maxRequestBytes = 1 << 20

// Session is the machine's end: what was asked for and the streams to serve it with.
type Session struct {
	Request Request
	// Stdin ends with io.EOF when the caller's input does. It holds the
	// caller back while nobody reads it, so copy it to the process at once,
	// and close the process's input when it ends.
	Stdin io.Reader
	// Stdout and Stderr may be written to by different goroutines.
	Stdout io.Writer
	Stderr io.Writer
	// Resize carries sizes of the terminal; only the newest is kept. It is
	// never closed: stop at the end of the context.
	Resize <-chan Size
}

// Handler serves POST /exec. It calls run for each session, with a context
// that ends when the caller hangs up (kill the process then), and sends what
// run returns as the exit code. run must have written all output when it
// returns. Shells' codes are customary: 127 for a program that is not found,
// 126 for one that cannot be started, 128+n for one that signal n ended.
func Handler(run func(ctx context.Context, session *Session) int) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		request, status, err := decode(r)
		if err != nil {
			http.Error(w, err.Error(), status)
			return
		}
		connection, buffered, err := http.NewResponseController(w).Hijack()
		if err != nil {
			http.Error(w, "taking over the connection: "+err.Error(), http.StatusInternalServerError)
			return
		}
		defer connection.Close()
		serve(connection, buffered.Reader, request, run)
	})
}

// decode checks what a client sent before the connection becomes frames.
func decode(r *http.Request) (Request, int, error) {
	var request Request
	if r.Method != http.MethodPost {
		return request, http.StatusMethodNotAllowed, fmt.Errorf("method %s is not allowed, POST is", r.Method)
	}
	if !strings.EqualFold(r.Header.Get("Upgrade"), Upgrade) {
		return request, http.StatusUpgradeRequired, fmt.Errorf("header Upgrade is %q, it must be %q", r.Header.Get("Upgrade"), Upgrade)
	}
	// The whole body has to be read before the connection is taken over:
	// what follows it are frames.
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRequestBytes+1))
	if err != nil {
		return request, http.StatusBadRequest, fmt.Errorf("reading the request: %w", err)
	}
	if len(body) > maxRequestBytes {
		return request, http.StatusRequestEntityTooLarge, fmt.Errorf("the request is longer than %d bytes", maxRequestBytes)
	}
	if err := json.Unmarshal(body, &request); err != nil {
		return request, http.StatusBadRequest, fmt.Errorf("decoding the request: %w", err)
	}
	if len(request.Command) == 0 || request.Command[0] == "" {
		return request, http.StatusBadRequest, fmt.Errorf("command is %q, it must name a program", request.Command)
	}
	for _, entry := range request.Env {
		if name, _, found := strings.Cut(entry, "="); !found || name == "" {
			// The entry itself may be a secret.
			return request, http.StatusBadRequest, fmt.Errorf("an entry of env is not of the form KEY=value")
		}
	}
	return request, 0, nil
}

func serve(connection net.Conn, reader *bufio.Reader, request Request, run func(context.Context, *Session) int) {
	_, err := fmt.Fprintf(connection, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", Upgrade)
	if err != nil {
		return
	}
	ctx, hangUp := context.WithCancel(context.Background())
	defer hangUp()
	frames := &frameWriter{writer: connection}
	stdinReader, stdinWriter := io.Pipe()
	// Closing the read end frees the goroutine below where the process ended with input left.
	defer stdinReader.Close()
	sizes := make(chan Size, 1)
	go func() {
		defer hangUp()
		stdinWriter.CloseWithError(receiveInput(reader, stdinWriter, sizes))
	}()
	code := run(ctx, &Session{
		Request: request,
		Stdin:   stdinReader,
		Stdout:  streamWriter{frames, streamStdout},
		Stderr:  streamWriter{frames, streamStderr},
		Resize:  sizes,
	})
	// A caller that is gone does not need the code.
	_ = frames.writeJSON(streamExit, exit{Code: code})
}

// receiveInput takes the caller's frames until the connection ends.
func receiveInput(reader io.Reader, stdin *io.PipeWriter, sizes chan Size) error {
	for {
		kind, payload, err := readFrame(reader)
		if err != nil {
			return err
		}
		switch kind {
		case streamStdin:
			if len(payload) == 0 {
				stdin.Close()
				continue
			}
			// Input that nobody reads any more is dropped: sizes and the
			// end of the connection still have to be seen.
			_, _ = stdin.Write(payload)
		case streamResize:
			var size Size
			if err := json.Unmarshal(payload, &size); err != nil {
				return fmt.Errorf("decoding a terminal size: %w", err)
			}
			select {
			case <-sizes:
			default:
			}
			sizes <- size
		default:
			return fmt.Errorf("a frame of stream %d came from the caller", kind)
		}
	}
}
