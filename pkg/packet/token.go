package packet

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// TokenSource gives the token for a request. It is asked for each, so that a
// token can change while a client is in use.
type TokenSource interface {
	// Token returns a token, or an error that does not show one.
	Token(ctx context.Context) (string, error)
}

// staticToken is a token that does not change.
type staticToken string

// Token implements TokenSource.
func (t staticToken) Token(context.Context) (string, error) { return string(t), nil }

// tokenFileInterval is how often a TokenFile looks at its file at most. The
// kubelet takes about a minute to renew a mounted Secret.
const tokenFileInterval = 10 * time.Second

// TokenFile is a TokenSource that reads a file, and reads it again when it has
// changed. A file that cannot be read, or holds no token, leaves the last good
// token in use: half a file is what one finds while somebody writes it.
type TokenFile struct {
	path    string
	extract func(content []byte) (string, error)
	clock   Clock
	log     *slog.Logger

	mu     sync.Mutex
	token  string
	looked time.Time
	failed bool
}

// NewTokenFile reads the token for the first time. The whole file, without
// space around it, is the token, unless extract says otherwise; extract's
// errors must not show the file's content. The logger may be nil.
func NewTokenFile(path string, extract func(content []byte) (string, error), clock Clock, logger *slog.Logger) (*TokenFile, error) {
	if extract == nil {
		extract = func(content []byte) (string, error) { return strings.TrimSpace(string(content)), nil }
	}
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	f := &TokenFile{path: path, extract: extract, clock: clock, log: logger}
	token, err := f.read()
	if err != nil {
		return nil, err
	}
	f.token, f.looked = token, clock.Now()
	return f, nil
}

// Token implements TokenSource.
func (f *TokenFile) Token(ctx context.Context) (string, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.clock.Now()
	if now.Sub(f.looked) < tokenFileInterval {
		return f.token, nil
	}
	f.looked = now
	token, err := f.read()
	switch {
	case err != nil && !f.failed:
		f.log.WarnContext(ctx, "the API token cannot be read again, the last one stays in use", "file", f.path, "error", err)
	case err == nil && token != f.token:
		f.log.InfoContext(ctx, "the API token has changed", "file", f.path)
	}
	f.failed = err != nil
	if err == nil {
		f.token = token
	}
	return f.token, nil
}

func (f *TokenFile) read() (string, error) {
	content, err := os.ReadFile(f.path)
	if err != nil {
		return "", fmt.Errorf("reading the API token: %w", err)
	}
	token, err := f.extract(content)
	if err == nil {
		err = checkToken(token)
	}
	if err != nil {
		return "", fmt.Errorf("reading the API token from %s: %w", f.path, err)
	}
	return token, nil
}

// ErrToken marks a request that was not sent for want of a token.
var ErrToken = errors.New("no API token")

// usedTokens remembers the tokens that were sent last, to keep them out of
// messages: an answer can come when its token has just been replaced.
type usedTokens struct {
	mu           sync.Mutex
	last, before string
}

func (u *usedTokens) add(token string) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if token != u.last {
		u.last, u.before = token, u.last
	}
}

func (u *usedTokens) all() []string {
	u.mu.Lock()
	defer u.mu.Unlock()
	return []string{u.last, u.before}
}
