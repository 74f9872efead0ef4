// Package machineexec is how a process is run inside a machine from outside:
// the protocol between a machine's first process, which serves it on a unix
// socket, and whoever holds that socket.
//
// A session begins as an HTTP/1.1 request, POST /exec with a Request as JSON
// body and the header "Upgrade: packetyard-exec". The answer 101 turns the
// connection into frames in both directions: one byte for the stream, four
// bytes of big endian length, the payload. The last frame holds the exit code.
package machineexec

// Path and Upgrade are the HTTP path and the protocol name of a session.
const (
	Path    = "/exec"
	Upgrade = "packetyard-exec"
)

// Request says what to run.
type Request struct {
	// Command is the program and its arguments; the program is looked up in the machine's PATH.
	Command []string `json:"command"`
	// Env is added to the machine's environment, each entry KEY=value.
	Env []string `json:"env,omitempty"`
	// TTY asks for a terminal of Rows and Cols; output and error output then come as one stream.
	TTY  bool   `json:"tty,omitempty"`
	Rows uint16 `json:"rows,omitempty"`
	Cols uint16 `json:"cols,omitempty"`
}

// Size is the size of a terminal in characters.
type Size struct {
	Rows uint16 `json:"rows"`
	Cols uint16 `json:"cols"`
}
