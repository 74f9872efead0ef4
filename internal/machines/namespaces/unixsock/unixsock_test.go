package unixsock

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestLongAndShortPaths(t *testing.T) {
	for name, directory := range map[string]string{"short": "s", "long": strings.Repeat("l", 200)} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), directory, "x.sock")
			if _, err := Dial(t.Context(), path); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), path) {
				t.Errorf("connecting to nothing: %v", err)
			}
			if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
				t.Fatal(err)
			}
			listener, err := Listen(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer listener.Close()
			go func() {
				connection, err := listener.Accept()
				if err == nil {
					io.WriteString(connection, "hello")
					connection.Close()
				}
			}()
			connection, err := Dial(t.Context(), path)
			if err != nil {
				t.Fatal(err)
			}
			defer connection.Close()
			if text, err := io.ReadAll(connection); err != nil || string(text) != "hello" {
				t.Errorf("read %q, %v", text, err)
			}
		})
	}
}
