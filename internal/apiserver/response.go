package apiserver

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"

	"github.com/packetyard/packetyard/pkg/packet"
)

// response is what a handler answers. The router writes it.
type response struct {
	status int
	// body is JSON, nil for none.
	body []byte
	// parts are the body where it is not in one piece; see listing.
	parts [][]byte
	// location is the path of what was created, without the prefix.
	location string
	// header is what else is to be said; it may be nil.
	header http.Header
}

// noContent answers that it is done.
func noContent() (response, error) {
	return response{status: http.StatusNoContent}, nil
}

// encode answers with a value.
func encode(status int, value any) (response, error) {
	body, err := json.Marshal(value)
	if err != nil {
		return response{}, fmt.Errorf("encoding the answer: %w", err)
	}
	return response{status: status, body: body}, nil
}

// list makes the body of a list out of elements that are JSON already. Meta
// is nil for the lists that have no pages.
func list(key string, elements [][]byte, meta *packet.Meta) ([]byte, error) {
	parts, err := listing(key, elements, meta)
	if err != nil {
		return nil, err
	}
	body := make([]byte, 0, size(parts))
	for _, part := range parts {
		body = append(body, part...)
	}
	return body, nil
}

var comma = []byte{','}

// listing is list without copying the elements, of which a page has many.
func listing(key string, elements [][]byte, meta *packet.Meta) ([][]byte, error) {
	parts := make([][]byte, 0, 2*len(elements)+2)
	parts = append(parts, []byte(`{"`+key+`":[`))
	for i, element := range elements {
		if i > 0 {
			parts = append(parts, comma)
		}
		parts = append(parts, element)
	}
	end := []byte(`]}`)
	if meta != nil {
		encoded, err := json.Marshal(meta)
		if err != nil {
			return nil, fmt.Errorf("encoding meta: %w", err)
		}
		end = append(append([]byte(`],"meta":`), encoded...), '}')
	}
	return append(parts, end), nil
}

func size(parts [][]byte) (sum int) {
	for _, part := range parts {
		sum += len(part)
	}
	return sum
}

// The values of headers that are the same with every answer. Sharing them,
// and naming headers as net/http keeps them, spares what Header.Set allocates.
var (
	contentTypeJSON = []string{"application/json; charset=utf-8"}
	notStored       = []string{"no-store"}
)

// write is the one place where answers go out. They all say that they are
// JSON, also those without a body: old clients refuse others.
func (r *router) write(w http.ResponseWriter, req *http.Request, x *exchange, answer response) {
	header := w.Header()
	for name, values := range answer.header {
		header[name] = values
	}
	header["Content-Type"] = contentTypeJSON
	header["Cache-Control"] = notStored
	header["X-Request-Id"] = []string{x.id}
	x.quota.describe(header)
	if answer.location != "" {
		header["Location"] = []string{r.base(req) + answer.location}
	}
	length := len(answer.body) + size(answer.parts)
	if length > 0 {
		header["Content-Length"] = []string{strconv.Itoa(length)}
	}
	w.WriteHeader(answer.status)
	// The client is gone where writing fails, and has nobody to be told.
	if answer.body != nil {
		_, _ = w.Write(answer.body)
	}
	if answer.parts == nil || req.Method == http.MethodHead {
		return
	}
	if body := r.pages.whole(req.URL.RequestURI(), answer.parts, length); body != nil {
		_, _ = w.Write(body)
		return
	}
	r.writeParts(w, answer.parts, length)
}

// base is the URL that the client has for the server, without a path.
func (r *router) base(req *http.Request) string {
	switch {
	case r.edge.baseURL != "":
		return r.edge.baseURL
	case req.TLS != nil:
		return "https://" + req.Host
	default:
		return "http://" + req.Host
	}
}

// The sizes of the buffers that long answers are put together in. A socket
// takes one large write in half the time of many small ones, so a page of a
// list goes out in one.
const (
	smallChunk = 64 << 10
	largeChunk = 1 << 20
)

// chunks are such buffers, kept for the next answer.
type chunks struct{ small, large sync.Pool }

// borrow finds a buffer for an answer of a size, and says how to give it back.
func (c *chunks) borrow(size int) (buffer []byte, giveBack func()) {
	pool, capacity := &c.small, smallChunk
	if size > smallChunk {
		pool, capacity = &c.large, largeChunk
	}
	kept, ok := pool.Get().(*[]byte)
	if !ok {
		made := make([]byte, capacity)
		kept = &made
	}
	return *kept, func() { pool.Put(kept) }
}

// writeParts writes many small pieces as few large ones.
func (r *router) writeParts(w http.ResponseWriter, parts [][]byte, size int) {
	buffer, giveBack := r.chunks.borrow(size)
	defer giveBack()
	filled := 0
	for _, part := range parts {
		for len(part) > 0 {
			n := copy(buffer[filled:], part)
			part, filled = part[n:], filled+n
			if filled < len(buffer) {
				continue
			}
			if _, err := w.Write(buffer); err != nil {
				return
			}
			filled = 0
		}
	}
	_, _ = w.Write(buffer[:filled])
}
