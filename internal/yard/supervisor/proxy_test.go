package supervisor

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"
)

// startProxy serves a Proxy whose network is the test's own.
func startProxy(t *testing.T, dial func(ctx context.Context, network, address string) (net.Conn, error)) *url.URL {
	t.Helper()
	server := httptest.NewServer(&Proxy{Dial: dial, Timeout: 5 * time.Second, Log: slog.New(slog.DiscardHandler)})
	t.Cleanup(server.Close)
	address, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	return address
}

func TestProxyCarriesTLS(t *testing.T) {
	target := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "hello from %s", r.Host)
	}))
	defer target.Close()
	dialled := make(chan string, 1)
	proxy := startProxy(t, func(ctx context.Context, network, address string) (net.Conn, error) {
		dialled <- address
		return (&net.Dialer{}).DialContext(ctx, network, target.Listener.Addr().String())
	})
	client := target.Client()
	client.Transport.(*http.Transport).Proxy = http.ProxyURL(proxy)
	// The name is one that only the yard knows.
	client.Transport.(*http.Transport).TLSClientConfig.ServerName = "example.com"
	response, err := client.Get("https://198.18.1.1:6443/")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil || string(body) != "hello from 198.18.1.1:6443" {
		t.Errorf("got %q, %v", body, err)
	}
	if address := <-dialled; address != "198.18.1.1:6443" {
		t.Errorf("dialled %s", address)
	}
}

func TestProxyPassesTheEndOfOneDirection(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		// The answer comes only when the question has ended.
		question, _ := io.ReadAll(conn)
		fmt.Fprintf(conn, "you said %q", question)
	}()
	proxy := startProxy(t, func(ctx context.Context, network, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, network, listener.Addr().String())
	})
	conn, err := net.Dial("tcp", proxy.Host)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// The first bytes come with the request, as an eager client sends them.
	fmt.Fprint(conn, "CONNECT 198.18.1.1:7 HTTP/1.1\r\nHost: 198.18.1.1:7\r\n\r\nearly and ")
	reader := bufio.NewReader(conn)
	response, err := http.ReadResponse(reader, &http.Request{Method: http.MethodConnect})
	if err != nil || response.StatusCode != http.StatusOK {
		t.Fatalf("got %v, %v", response, err)
	}
	fmt.Fprint(conn, "late")
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	answer, err := io.ReadAll(reader)
	if want := `you said "early and late"`; err != nil || string(answer) != want {
		t.Errorf("got %q, %v; want %q", answer, err, want)
	}
}

func TestProxyRefuses(t *testing.T) {
	proxy := startProxy(t, func(context.Context, string, string) (net.Conn, error) {
		return nil, errors.New("no route to that machine")
	})
	for _, test := range []struct {
		name, method, target string
		wantStatus           int
		wantText             string
	}{
		{"a machine that is not there", http.MethodConnect, "198.18.1.9:6443", http.StatusBadGateway, "no route to that machine"},
		{"another method", http.MethodGet, "http://198.18.1.9/", http.StatusMethodNotAllowed, "CONNECT"},
	} {
		t.Run(test.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", proxy.Host)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "%s %s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", test.method, test.target)
			response, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer response.Body.Close()
			body, _ := io.ReadAll(response.Body)
			if response.StatusCode != test.wantStatus || !strings.Contains(string(body), test.wantText) {
				t.Errorf("got %d %q, want %d and %q", response.StatusCode, body, test.wantStatus, test.wantText)
			}
		})
	}
}
