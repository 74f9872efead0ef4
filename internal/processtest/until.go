package processtest

import (
	"errors"
	"testing"
	"time"
)

// again is how long a test waits before it looks again.
const again = 50 * time.Millisecond

var errNotYet = errors.New("it is not so")

// Until looks again and again until something is so, and fails the test where it is not within a limit.
func Until(t testing.TB, limit time.Duration, what string, so func() bool) {
	t.Helper()
	Succeeds(t, limit, what, func() error {
		if so() {
			return nil
		}
		return errNotYet
	})
}

// Succeeds asks again and again until there is no error, and fails the test with the last one where there is one for longer than a
// limit. What is asked may end the test itself, as where the process that is waited for has ended.
func Succeeds(t testing.TB, limit time.Duration, what string, ask func() error) {
	t.Helper()
	deadline := time.After(limit)
	ticker := time.NewTicker(again)
	defer ticker.Stop()
	for {
		err := ask()
		if err == nil {
			return
		}
		select {
		case <-deadline:
			t.Fatalf("waited %s in vain until %s: %v", limit, what, err)
		case <-ticker.C:
		}
	}
}
