package supervisor

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"
)

// Proxy is an HTTP proxy that knows one method, CONNECT. It is what makes a
// kubeconfig of the yard work from the user's own shell, because kubectl and
// every client-go program dial through the `proxy-url` of a kubeconfig.
type Proxy struct {
	// Dial connects from inside the machines' network.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout bounds one Dial.
	Timeout time.Duration
	Log     *slog.Logger
}

// ServeHTTP implements http.Handler.
func (p *Proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodConnect {
		w.Header().Set("Allow", http.MethodConnect)
		http.Error(w, fmt.Sprintf("this proxy leads to the machines of a yard and only knows the method CONNECT, not %s", r.Method), http.StatusMethodNotAllowed)
		return
	}
	ctx, cancel := context.WithTimeout(r.Context(), p.Timeout)
	defer cancel()
	machine, err := p.Dial(ctx, "tcp", r.Host)
	if err != nil {
		p.Log.Debug("a connection into the yard's network failed", "address", r.Host, "error", err)
		http.Error(w, fmt.Sprintf("connecting to %s in the yard's network: %v", r.Host, err), http.StatusBadGateway)
		return
	}
	defer machine.Close()
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		http.Error(w, fmt.Sprintf("taking the connection over: %v", err), http.StatusInternalServerError)
		return
	}
	defer client.Close()
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		return
	}
	// A client may send its first bytes together with the request.
	if n := buffered.Reader.Buffered(); n > 0 {
		if _, err := io.CopyN(machine, buffered.Reader, int64(n)); err != nil {
			return
		}
	}
	join(client, machine)
}

// join copies between two connections until both directions have ended. The
// end of one direction is passed on, and the other may go on: a client that
// has sent all it had still waits for the answer.
func join(a, b net.Conn) {
	var directions sync.WaitGroup
	pass := func(to, from net.Conn) {
		_, err := io.Copy(to, from)
		half, ok := to.(interface{ CloseWrite() error })
		if err != nil || !ok || half.CloseWrite() != nil {
			to.Close()
			from.Close()
		}
	}
	directions.Go(func() { pass(a, b) })
	directions.Go(func() { pass(b, a) })
	directions.Wait()
}
