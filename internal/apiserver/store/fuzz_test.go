package store

import (
	"bytes"
	"testing"
)

// FuzzBackup reads anything as a backup: what is none is refused, and nothing
// makes the reader fail otherwise.
func FuzzBackup(f *testing.F) {
	var whole bytes.Buffer
	w := newBackupWriter(&whole)
	if err := w.end(0); err != nil {
		f.Fatal(err)
	}
	f.Add(whole.Bytes())
	f.Add([]byte("{}\n"))
	f.Add([]byte("\x1f\x8b"))
	f.Fuzz(func(_ *testing.T, data []byte) {
		_, _, _ = readBackup(bytes.NewReader(data))
	})
}
