package machineexec

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"

	"github.com/packetyard/packetyard/internal/machines/namespaces/unixsock"
)

// Streams are the caller's ends of a session. Each may be nil: no input, or
// output that is dropped.
type Streams struct {
	// Stdin is read until it ends. A Read may still be waiting when Run
	// returns; its result is then lost.
	Stdin  io.Reader
	Stdout io.Writer
	Stderr io.Writer
	// Resize carries the terminal's sizes as they change.
	Resize <-chan Size
}

// RunAt runs a command in the machine whose first process listens at
// socketPath. See Run.
func RunAt(ctx context.Context, socketPath string, request Request, streams Streams) (int, error) {
	connection, err := unixsock.Dial(ctx, socketPath)
	if err != nil {
		return 0, err
	}
	return Run(ctx, connection, request, streams)
}

// Run runs a command over a connection to a machine's first process, and
// closes the connection. It returns the command's exit code; an error means
// that there is none, because the session could not begin or broke off. When
// the context ends, so does the command, and the error is the context's.
func Run(ctx context.Context, connection net.Conn, request Request, streams Streams) (int, error) {
	defer connection.Close()
	stop := context.AfterFunc(ctx, func() { connection.Close() })
	defer stop()

	reader, err := open(ctx, connection, request)
	if err != nil {
		return 0, ended(ctx, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	frames := &frameWriter{writer: connection}
	// Errors of these two show as the end of the frames that come back.
	go sendInput(frames, streams.Stdin)
	go sendSizes(ctx, frames, streams.Resize)

	code, err := receive(reader, streams)
	if err != nil {
		return 0, ended(ctx, err)
	}
	return code, nil
}

// ended prefers the reason for which a connection was closed to its symptom.
func ended(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return fmt.Errorf("running a command in the machine: %w", context.Cause(ctx))
	}
	return err
}

// open sends the request and reads the answer's head.
func open(ctx context.Context, connection net.Conn, request Request) (*bufio.Reader, error) {
	body, err := json.Marshal(request)
	if err != nil {
		return nil, fmt.Errorf("encoding the command: %w", err)
	}
	post, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://machine"+Path, bytes.NewReader(body))
	if err != nil {
		return nil, fmt.Errorf("making the request for a command: %w", err)
	}
	post.Header.Set("Content-Type", "application/json")
	post.Header.Set("Connection", "Upgrade")
	post.Header.Set("Upgrade", Upgrade)
	if err := post.Write(connection); err != nil {
		return nil, fmt.Errorf("asking the machine to run a command: %w", err)
	}
	reader := bufio.NewReader(connection)
	answer, err := http.ReadResponse(reader, post)
	if err != nil {
		return nil, fmt.Errorf("reading the machine's answer to a command: %w", err)
	}
	if answer.StatusCode != http.StatusSwitchingProtocols {
		text, _ := io.ReadAll(io.LimitReader(answer.Body, 4<<10))
		answer.Body.Close()
		return nil, fmt.Errorf("the machine refused the command: %s: %s", answer.Status, strings.TrimSpace(string(text)))
	}
	return reader, nil
}

func sendInput(frames *frameWriter, stdin io.Reader) {
	if stdin != nil {
		if _, err := io.Copy(streamWriter{frames, streamStdin}, stdin); err != nil {
			return
		}
	}
	_ = frames.write(streamStdin, nil)
}

func sendSizes(ctx context.Context, frames *frameWriter, sizes <-chan Size) {
	for {
		select {
		case size, open := <-sizes:
			if !open || frames.writeJSON(streamResize, size) != nil {
				return
			}
		case <-ctx.Done():
			return
		}
	}
}

// receive copies output until the exit code comes.
func receive(reader io.Reader, streams Streams) (int, error) {
	for {
		kind, payload, err := readFrame(reader)
		if errors.Is(err, io.EOF) {
			return 0, errors.New("the machine ended the session before the command had ended")
		}
		if err != nil {
			return 0, err
		}
		switch kind {
		case streamStdout:
			err = copyTo(streams.Stdout, payload)
		case streamStderr:
			err = copyTo(streams.Stderr, payload)
		case streamExit:
			var last exit
			if err := json.Unmarshal(payload, &last); err != nil {
				return 0, fmt.Errorf("decoding the command's exit code: %w", err)
			}
			return last.Code, nil
		default:
			err = fmt.Errorf("a frame of stream %d came from the machine", kind)
		}
		if err != nil {
			return 0, err
		}
	}
}

func copyTo(writer io.Writer, payload []byte) error {
	if writer == nil {
		return nil
	}
	if _, err := writer.Write(payload); err != nil {
		return fmt.Errorf("writing the command's output: %w", err)
	}
	return nil
}
