package apiserver

import (
	"crypto/sha256"
	"encoding/hex"
	"mime"
	"net/http"
	"strings"

	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// admit finds the token that a request was sent with, and whether that, and
// what it has left of its rate, allow what is asked.
func (r *router) admit(x *exchange, req *http.Request) error {
	sent := req.Header.Get("X-Auth-Token")
	if sent == "" {
		if err := r.edge.limiter.take(x, limitedAddress(req.RemoteAddr)); err != nil {
			return err
		}
		return errUnauthorized()
	}
	hash := hashToken(sent)
	return r.api.store.Read(x.ctx, func(s *store.Snapshot) error {
		row, ok := s.Tokens.Get(hash)
		if !ok {
			// Whoever guesses tokens is counted by address.
			if err := r.edge.limiter.take(x, limitedAddress(req.RemoteAddr)); err != nil {
				return err
			}
			return errUnauthorized()
		}
		x.token = row.Value
		if err := r.edge.limiter.take(x, hash); err != nil {
			return err
		}
		return authorize(s, x.op, req, x.token)
	})
}

// hashToken is what is stored of a token. Tokens are long and random, so one
// round of SHA-256 gives nothing away.
func hashToken(token string) string {
	sum := sha256.Sum256([]byte(token))
	return hex.EncodeToString(sum[:])
}

// admitBody refuses a body by what its header says, before any of it is read.
// A body that does not say what it is counts as JSON, which is what clients
// of the API always sent.
func (r *router) admitBody(req *http.Request) error {
	if req.ContentLength == 0 || req.Body == http.NoBody {
		return nil
	}
	if req.ContentLength > r.edge.maxBody {
		return errTooLarge(r.edge.maxBody)
	}
	declared := req.Header.Get("Content-Type")
	if declared == "" || declared == "application/json" {
		return nil
	}
	kind, parameters, err := mime.ParseMediaType(declared)
	charset := parameters["charset"]
	switch {
	case err == nil && kind != "application/json" && !strings.HasSuffix(kind, "+json"):
	case err == nil && charset != "" && !strings.EqualFold(charset, "utf-8"):
	case err == nil:
		return nil
	}
	return refuse(http.StatusUnsupportedMediaType, "Content-Type %q is not supported, it must be application/json", shortened(declared))
}

func errTooLarge(limit int64) error {
	return refuse(http.StatusRequestEntityTooLarge, "The request body is larger than %d bytes", limit)
}

// shortened keeps a text that somebody sent from filling an answer.
func shortened(text string) string {
	const most = 60
	if len(text) > most {
		return strings.ToValidUTF8(text[:most], "") + "…"
	}
	return text
}
