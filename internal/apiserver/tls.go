package apiserver

import (
	"context"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// certificateCheck is how old what is known of a certificate's files may be
// when a connection begins.
const certificateCheck = time.Second

// certificate is a pair of files that is read anew when one of them changes,
// so that whatever renews it need not restart the server.
type certificate struct {
	certFile, keyFile string
	logger            *slog.Logger

	mu      sync.Mutex
	current *tls.Certificate
	checked time.Time
	seen    [2]fileVersion
}

// fileVersion tells one content of a file from the next. Kubernetes swaps a
// link to change a mounted secret, which changes all of it.
type fileVersion struct {
	modified time.Time
	size     int64
}

func loadCertificate(certFile, keyFile string, logger *slog.Logger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, logger: logger}
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// config serves HTTPS with the certificate. Clients of the API are old, but
// not so old that they would need less than TLS 1.2.
func (c *certificate) config() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		NextProtos: []string{"h2", "http/1.1"},
		GetCertificate: func(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
			return c.get(hello.Context()), nil
		},
	}
}

// get returns the present certificate. One that is broken, or whose key is
// not there yet, is not taken: the one before stays in use.
func (c *certificate) get(ctx context.Context) *tls.Certificate {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.checked) < certificateCheck {
		return c.current
	}
	c.checked = time.Now()
	if versions, err := c.versions(); err == nil && versions == c.seen {
		return c.current
	}
	if err := c.load(); err != nil {
		c.logger.WarnContext(ctx, "The changed TLS certificate is not usable; the one before stays in use.", "error", err)
	} else {
		c.logger.InfoContext(ctx, "The TLS certificate changed and was read anew.", "file", c.certFile)
	}
	return c.current
}

// load reads both files.
func (c *certificate) load() error {
	// What changes while it is read is read again later.
	versions, err := c.versions()
	if err != nil {
		return fmt.Errorf("reading the TLS certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("reading the TLS certificate %s and its key %s: %w", c.certFile, c.keyFile, err)
	}
	c.current, c.seen = &pair, versions
	return nil
}

func (c *certificate) versions() (versions [2]fileVersion, err error) {
	for i, name := range []string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return versions, err
		}
		versions[i] = fileVersion{modified: info.ModTime(), size: info.Size()}
	}
	return versions, nil
}
