package processtest

import (
	"errors"
	"fmt"
	"net"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// recorder is a test that may fail.
type recorder struct {
	testing.TB
	message string
}

func (r *recorder) Helper() {}

func (r *recorder) Fatalf(format string, arguments ...any) {
	r.message = fmt.Sprintf(format, arguments...)
	runtime.Goexit()
}

func TestSucceedsAsksUntilThereIsNoError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		Succeeds(t, time.Minute, "the third answer is good", func() error {
			if asked++; asked < 3 {
				return errors.New("not yet")
			}
			return nil
		})
		if asked != 3 {
			t.Errorf("asked %d times, want 3", asked)
		}
	})
}

func TestSucceedsGivesUpAndTellsTheLastError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r, began := &recorder{}, time.Now()
		done := make(chan struct{})
		go func() {
			defer close(done)
			Succeeds(r, time.Minute, "it is well", func() error { return fmt.Errorf("bad after %s", time.Since(began).Round(time.Second)) })
		}()
		<-done
		for _, want := range []string{"1m0s", "it is well", "bad after 1m"} {
			if !strings.Contains(r.message, want) {
				t.Errorf("the test says %q, want %q in it", r.message, want)
			}
		}
	})
}

func TestUntil(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		asked := 0
		Until(t, time.Minute, "it was asked twice", func() bool { asked++; return asked == 2 })
		r, done := &recorder{}, make(chan struct{})
		go func() {
			defer close(done)
			Until(r, time.Minute, "pigs fly", func() bool { return false })
		}()
		<-done
		if asked != 2 || !strings.Contains(r.message, "until pigs fly") {
			t.Errorf("asked %d times, and the test says %q", asked, r.message)
		}
	})
}

func TestFreePort(t *testing.T) {
	port := FreePort(t)
	for _, host := range []string{"127.0.0.1", "0.0.0.0"} {
		listener, err := net.Listen("tcp4", fmt.Sprintf("%s:%d", host, port))
		if err != nil {
			t.Fatal(err)
		}
		_ = listener.Close()
	}
}
