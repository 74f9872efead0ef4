package apiserver_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/packetyard/packetyard/internal/apiserver"
	"github.com/packetyard/packetyard/internal/machines/none"
)

const (
	// creators is how many clients make devices at the same time.
	creators = 64
	// benchFleet is how many devices the figures of memory and of a start are
	// for.
	benchFleet = 100_000
	// creationsTimed is how many devices the rates are measured with.
	creationsTimed = 10_000
)

// creator makes devices over one connection.
type creator struct {
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
}

func newCreator(b *testing.B, address, path, token, body string) *creator {
	b.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return &creator{conn: conn, reader: bufio.NewReader(conn), request: fmt.Appendf(nil,
		"POST %s HTTP/1.1\r\nHost: %s\r\nX-Auth-Token: %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s",
		path, address, token, len(body), body)}
}

func (c *creator) create() ([]byte, error) {
	if _, err := c.conn.Write(c.request); err != nil {
		return nil, err
	}
	answer, err := http.ReadResponse(c.reader, nil)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusCreated {
		err = fmt.Errorf("the answer is %s: %s", answer.Status, body)
	}
	return body, err
}

// createMany makes n devices and returns how long each took, in order of
// duration, and how long all did.
func createMany(b *testing.B, address, path, token, body string, n int) (took []time.Duration, total time.Duration, last []byte) {
	b.Helper()
	each := make([][]time.Duration, creators)
	var made atomic.Int64
	var wait sync.WaitGroup
	clients := make([]*creator, creators)
	for i := range clients {
		clients[i] = newCreator(b, address, path, token, body)
	}
	began := time.Now()
	for i, client := range clients {
		wait.Go(func() {
			for made.Add(1) <= int64(n) {
				before := time.Now()
				answer, err := client.create()
				if err != nil {
					b.Error(err)
					return
				}
				each[i] = append(each[i], time.Since(before))
				if i == 0 {
					last = answer
				}
			}
		})
	}
	wait.Wait()
	total = time.Since(began)
	took = slices.Concat(each...)
	slices.Sort(took)
	return took, total, last
}

// newDevice is what is asked for. There are not enough public IPv4 addresses
// for a fleet of devices with one each.
func newDevice(public bool) string {
	addresses := ""
	if !public {
		addresses = `"ip_addresses":[{"address_family":4,"public":false},{"address_family":6,"public":true}],`
	}
	return `{"hostname":"node.example.org","plan":"c3.small.x86","operating_system":"ubuntu_24_04","metro":"da",` +
		addresses + `"tags":["cluster","kubernetes"]}`
}

// startForBench runs a server on a folder, and returns how long it took to be
// ready.
func startForBench(b *testing.B, dir string) (server *apiserver.Server, stop func(), took time.Duration) {
	b.Helper()
	began := time.Now()
	server, err := apiserver.New(context.Background(), apiserver.Config{
		ListenAddress: "127.0.0.1:0", DataDir: dir, Driver: none.New(), Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	for {
		recorder := &answerStatus{}
		server.Handler().ServeHTTP(recorder, &http.Request{Method: http.MethodGet, URL: &url.URL{Path: "/_packetyard/ready"}, Header: http.Header{}})
		if recorder.status == http.StatusOK {
			break
		}
		runtime.Gosched()
	}
	return server, func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
		if err := server.Close(); err != nil {
			b.Error(err)
		}
	}, time.Since(began)
}

// answerStatus is a ResponseWriter that keeps the status alone.
type answerStatus struct{ status int }

func (*answerStatus) Header() http.Header            { return http.Header{} }
func (*answerStatus) Write(data []byte) (int, error) { return len(data), nil }
func (a *answerStatus) WriteHeader(status int)       { a.status = status }

// memoryInUse is the heap in use and the resident memory, in bytes. Each is
// measured after a collection: what garbage comes on top, GOGC says.
func memoryInUse() (heap, resident float64) {
	debug.FreeOSMemory()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	data, _ := os.ReadFile("/proc/self/statm")
	var size, pages float64
	_, _ = fmt.Sscan(string(data), &size, &pages)
	return float64(stats.HeapAlloc), pages * float64(os.Getpagesize())
}

// bareRate is how often per second a handler that does nothing but read the
// request and send the same answer is asked by the same clients.
func bareRate(b *testing.B, body string, answer []byte) float64 {
	b.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	bare := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		_, _ = io.Copy(io.Discard, req.Body)
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.WriteHeader(http.StatusCreated)
		_, _ = w.Write(answer)
	})}
	go func() { _ = bare.Serve(listener) }()
	defer bare.Close()
	_, total, _ := createMany(b, listener.Addr().String(), "/", "token", body, creationsTimed)
	return creationsTimed / total.Seconds()
}

// processorTime is what this process has used so far, server and clients.
func processorTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func reportCreations(b *testing.B, took []time.Duration, total time.Duration, suffix string) {
	b.ReportMetric(float64(len(took))/total.Seconds(), "devices/s"+suffix)
	b.ReportMetric(float64(took[len(took)/2].Microseconds())/1000, "p50-ms"+suffix)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "p99-ms"+suffix)
}

// BenchmarkCreateDevices has 64 clients make devices, each from its request
// until it is durable, with fsync; their installation goes on beside that. The
// clients share the processors with the server. The bare handler answers the
// same bytes to the same clients, and keeps nothing.
func BenchmarkCreateDevices(b *testing.B) {
	for range b.N {
		server, stop, empty := startForBench(b, b.TempDir())
		credentials := server.Credentials()
		base, err := url.Parse(credentials.APIURL)
		if err != nil {
			b.Fatal(err)
		}
		path := base.Path + "/projects/" + credentials.ProjectID + "/devices"
		before := processorTime()
		took, total, answer := createMany(b, base.Host, path, credentials.APIToken, newDevice(true), creationsTimed)
		// The rate is of a host that others use too; this is not.
		b.ReportMetric(float64((processorTime()-before).Microseconds())/creationsTimed, "processor-us/device")
		reportCreations(b, took, total, "")
		b.ReportMetric(float64(empty.Milliseconds()), "empty-start-ms")
		stop()
		b.ReportMetric(bareRate(b, newDevice(true), bytes.Clone(answer)), "bare-answers/s")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkFleet makes 100,000 devices by the API, and tells what they cost:
// how fast the last of them were made, the memory for each while the server
// that made them runs and after it started anew, and how long that start took
// until the server was ready. Half of the devices have public IPv4 addresses.
func BenchmarkFleet(b *testing.B) {
	for range b.N {
		dir := b.TempDir()
		server, stop, _ := startForBench(b, dir)
		heapBefore, residentBefore := memoryInUse()
		credentials := server.Credentials()
		base, err := url.Parse(credentials.APIURL)
		if err != nil {
			b.Fatal(err)
		}
		path := base.Path + "/projects/" + credentials.ProjectID + "/devices"
		createMany(b, base.Host, path, credentials.APIToken, newDevice(true), benchFleet/2)
		createMany(b, base.Host, path, credentials.APIToken, newDevice(false), benchFleet/2-creationsTimed)
		took, total, _ := createMany(b, base.Host, path, credentials.APIToken, newDevice(false), creationsTimed)
		reportCreations(b, took, total, "-at-100000")
		report := func(suffix string) {
			heap, resident := memoryInUse()
			b.ReportMetric((heap-heapBefore)/benchFleet, "heap-B/device"+suffix)
			b.ReportMetric((resident-residentBefore)/benchFleet, "RSS-B/device"+suffix)
		}
		report("")
		stop()
		before := processorTime()
		again, stop, start := startForBench(b, dir)
		b.ReportMetric(float64((processorTime() - before).Milliseconds()), "start-processor-ms")
		b.ReportMetric(float64(start.Milliseconds()), "start-ms")
		report("-restarted")
		runtime.KeepAlive(again)
		stop()
	}
	b.ReportMetric(0, "ns/op")
}
