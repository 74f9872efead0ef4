package ignition

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/vincent-petithory/dataurl"
)

// maxContent bounds what one source may have, in bytes.
const maxContent = 512 << 20

// How often a source is asked that does not answer, and how long to wait
// before the first repetition; the delay doubles.
const (
	fetchAttempts = 5
	fetchDelay    = 200 * time.Millisecond
)

// errGone is about a source that says that there is nothing.
var errGone = errors.New("there is nothing")

// fetch returns what a source has, unpacked and verified. Errors name the
// source only where it is a URL of a server: data may be secret.
func (e *Executor) fetch(ctx context.Context, r resource) ([]byte, error) {
	if r.source == "" {
		return nil, nil
	}
	content, err := e.load(ctx, r)
	if err != nil {
		return nil, err
	}
	switch r.compression {
	case "":
	case "gzip":
		if content, err = unpack(content); err != nil {
			return nil, fmt.Errorf("%s.compression: %w", r.field, err)
		}
	default:
		return nil, fmt.Errorf("%s.compression is %q, it must be gzip or empty", r.field, r.compression)
	}
	return content, verify(r, content)
}

func (e *Executor) load(ctx context.Context, r resource) ([]byte, error) {
	address, err := url.Parse(r.source)
	if err != nil {
		return nil, fmt.Errorf("%s.source is not a URL", r.field)
	}
	switch address.Scheme {
	case "data":
		decoded, err := dataurl.DecodeString(r.source)
		if err != nil {
			return nil, fmt.Errorf("%s.source is not a valid data URL", r.field)
		}
		return decoded.Data, nil
	case "http", "https":
		content, err := e.download(ctx, address, r.headers)
		if err != nil {
			return nil, fmt.Errorf("%s.source %s: %w", r.field, address.Redacted(), err)
		}
		return content, nil
	}
	return nil, fmt.Errorf("%s.source has the scheme %q, this machine can read data, http and https", r.field, address.Scheme)
}

// download asks a server, again where that can help.
func (e *Executor) download(ctx context.Context, address *url.URL, headers map[string]string) ([]byte, error) {
	delay := fetchDelay
	for attempt := 1; ; attempt++ {
		content, err := e.get(ctx, address, headers)
		if err == nil || errors.Is(err, errGone) || attempt == fetchAttempts || ctx.Err() != nil {
			return content, err
		}
		e.Printf("ignition: GET %s: %v; trying again", address.Redacted(), err)
		timer := time.NewTimer(delay)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, context.Cause(ctx)
		}
		delay *= 2
	}
}

func (e *Executor) get(ctx context.Context, address *url.URL, headers map[string]string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address.String(), nil)
	if err != nil {
		return nil, err
	}
	request.Header.Set("User-Agent", "Ignition/2.26.0")
	for name, value := range headers {
		request.Header.Set(name, value)
	}
	response, err := e.HTTP.Do(request)
	if err != nil {
		// The outer error repeats the URL, with its password.
		var wrapped *url.Error
		if errors.As(err, &wrapped) {
			err = wrapped.Err
		}
		return nil, err
	}
	defer func() { _ = response.Body.Close() }()
	switch {
	case response.StatusCode >= 500:
		return nil, fmt.Errorf("the server answers %s", response.Status)
	case response.StatusCode != http.StatusOK:
		return nil, fmt.Errorf("%w: the server answers %s", errGone, response.Status)
	}
	content, err := io.ReadAll(io.LimitReader(response.Body, maxContent+1))
	if err == nil && len(content) > maxContent {
		err = fmt.Errorf("%w of so small a size: it is longer than %d bytes", errGone, maxContent)
	}
	return content, err
}

func unpack(content []byte) ([]byte, error) {
	reader, err := gzip.NewReader(bytes.NewReader(content))
	if err != nil {
		return nil, fmt.Errorf("unpacking gzip: %w", err)
	}
	unpacked, err := io.ReadAll(io.LimitReader(reader, maxContent+1))
	if err != nil {
		return nil, fmt.Errorf("unpacking gzip: %w", err)
	}
	if len(unpacked) > maxContent {
		return nil, fmt.Errorf("unpacking gzip: it holds more than %d bytes", maxContent)
	}
	return unpacked, nil
}

// verify compares content with the sum that it should have.
func verify(r resource, content []byte) error {
	if r.hash == "" {
		return nil
	}
	function, wanted, _ := strings.Cut(r.hash, "-")
	var sum hash.Hash
	switch function {
	case "sha512":
		sum = sha512.New()
	case "sha256":
		sum = sha256.New()
	default:
		return fmt.Errorf("%s.verification.hash begins with %q, it must be sha512 or sha256", r.field, function)
	}
	_, _ = sum.Write(content)
	if found := hex.EncodeToString(sum.Sum(nil)); !strings.EqualFold(found, wanted) {
		return fmt.Errorf("%s.verification.hash: the %s of what was read is %s, it must be %s", r.field, function, found, wanted)
	}
	return nil
}
