package apiserver_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/packetyard/packetyard/internal/apiserver/apiservertest"
	"github.com/packetyard/packetyard/internal/apiserver/store"
	"github.com/packetyard/packetyard/pkg/packet"
)

// The rates below are measured beside a bare net/http handler that serves the
// same bytes with the same headers that an answer must have, to the same
// client, in the same run and in turns: first the one and then the other, for
// a short time each, again and again, so that whatever else the host does
// meets both; the figures are the medians of the turns. The client is as cheap as it can be made, since it shares the
// processors: it writes a request that is ready made, and reads the answer by
// its Content-Length.

// benchConnections is how many connections ask at the same time.
const benchConnections = 8

// turn is how long one of the two is asked before the other is.
const turn = 50 * time.Millisecond

// bareHandler is the least that net/http needs to serve some bytes.
func bareHandler(body []byte) http.Handler {
	length := strconv.Itoa(len(body))
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		w.Header().Set("Content-Length", length)
		_, _ = w.Write(body)
	})
}

// asker asks one thing over one connection.
type asker struct {
	conn    net.Conn
	reader  *bufio.Reader
	request []byte
}

func newAsker(b *testing.B, address, path, token string) *asker {
	b.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = conn.Close() })
	return &asker{
		conn: conn, reader: bufio.NewReaderSize(conn, 64<<10),
		request: fmt.Appendf(nil, "GET %s HTTP/1.1\r\nHost: %s\r\nX-Auth-Token: %s\r\nAccept: application/json\r\nUser-Agent: bench\r\n\r\n", path, address, token),
	}
}

// ask sends the request once and reads the answer, of which it returns the
// length of the body.
func (a *asker) ask() (int, error) {
	if _, err := a.conn.Write(a.request); err != nil {
		return 0, err
	}
	length := 0
	for line := 0; ; line++ {
		text, err := a.reader.ReadSlice('\n')
		if err != nil {
			return 0, err
		}
		if line == 0 && string(text) != "HTTP/1.1 200 OK\r\n" {
			return 0, fmt.Errorf("the answer is %q", text)
		}
		if len(text) <= 2 {
			break
		}
		if contentLength := "Content-Length: "; len(text) > len(contentLength) && string(text[:len(contentLength)]) == contentLength {
			if length, err = strconv.Atoi(string(text[len(contentLength) : len(text)-2])); err != nil {
				return 0, err
			}
		}
	}
	_, err := a.reader.Discard(length)
	return length, err
}

// askFor asks for a time, or a number of times, over all connections, and
// returns how many answers there were and how long they took.
func askFor(b *testing.B, askers []*asker, most time.Duration) (int, time.Duration) {
	counts := make([]int, len(askers))
	began := time.Now()
	end := began.Add(most)
	var wait sync.WaitGroup
	for i, a := range askers {
		wait.Go(func() {
			for time.Now().Before(end) {
				if _, err := a.ask(); err != nil {
					b.Error(err)
					return
				}
				counts[i]++
			}
		})
	}
	wait.Wait()
	sum := 0
	for _, count := range counts {
		sum += count
	}
	return sum, time.Since(began)
}

// compare measures a path of the server beside the bare handler, and reports
// both rates and their ratio.
func compare(b *testing.B, server *apiservertest.Server, path string) {
	b.Helper()
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, server.URL+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("X-Auth-Token", server.Token)
	answer, err := http.DefaultClient.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	body, err := io.ReadAll(answer.Body)
	_ = answer.Body.Close()
	if err != nil || answer.StatusCode != http.StatusOK {
		b.Fatalf("%s: %s %v", path, answer.Status, err)
	}

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	bare := &http.Server{Handler: bareHandler(body), ReadHeaderTimeout: 10 * time.Second, ReadTimeout: time.Minute, WriteTimeout: time.Minute}
	go func() { _ = bare.Serve(listener) }()
	b.Cleanup(func() { _ = bare.Close() })

	var ours, theirs []*asker
	for range benchConnections {
		ours = append(ours, newAsker(b, req.URL.Host, req.URL.RequestURI(), server.Token))
		theirs = append(theirs, newAsker(b, listener.Addr().String(), req.URL.RequestURI(), server.Token))
	}
	// What is left of making the devices is not what is measured.
	runtime.GC()
	askFor(b, ours, turn)
	askFor(b, theirs, turn)
	b.ResetTimer()
	var rates, bareRates, ratios []float64
	rate := func(askers []*asker) float64 {
		count, took := askFor(b, askers, turn)
		return float64(count) / took.Seconds()
	}
	for b.Loop() {
		bareRates = append(bareRates, rate(theirs))
		rates = append(rates, rate(ours))
		ratios = append(ratios, rates[len(rates)-1]/bareRates[len(bareRates)-1])
	}
	b.ReportMetric(median(rates), "requests/s")
	b.ReportMetric(median(bareRates), "bare/s")
	b.ReportMetric(100*median(ratios), "%ofbare")
	b.ReportMetric(float64(len(body)), "bytes")
	// An iteration is two turns, which says nothing.
	b.ReportMetric(0, "ns/op")
}

// median is what half of the turns were better than.
func median(values []float64) float64 {
	slices.Sort(values)
	return values[len(values)/2]
}

// fill makes devices as the API makes them, but without installing each: the
// last ones are copies of one that was installed, with addresses and events
// of their own left out.
func fill(b *testing.B, server *apiservertest.Server, count int) (deviceID string) {
	b.Helper()
	client := server.Client(b)
	for i := range 100 {
		deviceID = activeDevice(b, client, server.ProjectID, order(fmt.Sprintf("bench-%d", i))).ID
	}
	const atATime = 1000
	for made := 100; made < count; made += atATime {
		err := server.Change(context.Background(), func(tx *store.Tx) error {
			row, _ := tx.Devices.Get(deviceID)
			for i := range min(atATime, count-made) {
				copied := *row.Value
				copied.ID, copied.Hostname = uuid.NewString(), fmt.Sprintf("bench-%d", made+i)
				tx.Devices.Create(tx, &copied)
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	return deviceID
}

// BenchmarkReads compares the reads that clients send most with a bare handler.
func BenchmarkReads(b *testing.B) {
	for _, count := range []int{100, 100_000} {
		b.Run(fmt.Sprintf("devices=%d", count), func(b *testing.B) {
			server := apiservertest.Start(b, apiservertest.Options{})
			device := fill(b, server, count)
			b.Run("GetDevice", func(b *testing.B) { compare(b, server, "/devices/"+device) })
			b.Run("ListDevices100", func(b *testing.B) {
				compare(b, server, "/projects/"+server.ProjectID+"/devices?per_page="+strconv.Itoa(min(100, packet.MaxPerPage)))
			})
		})
	}
}
