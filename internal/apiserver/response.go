package apiserver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/packetyard/packetyard/pkg/packet"
)

// response is what a handler answers. The router writes it.
type response struct {
	status int
	// body is JSON, nil for none.
	body []byte
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
	size := len(key) + 64
	for _, element := range elements {
		size += len(element) + 1
	}
	var b bytes.Buffer
	b.Grow(size)
	b.WriteString(`{"` + key + `":[`)
	for i, element := range elements {
		if i > 0 {
			b.WriteByte(',')
		}
		b.Write(element)
	}
	b.WriteByte(']')
	if meta != nil {
		encoded, err := json.Marshal(meta)
		if err != nil {
			return nil, fmt.Errorf("encoding meta: %w", err)
		}
		b.WriteString(`,"meta":`)
		b.Write(encoded)
	}
	b.WriteByte('}')
	return b.Bytes(), nil
}
