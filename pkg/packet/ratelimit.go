package packet

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// limiter spreads a client's requests over time: a token bucket, and a pause
// that a "too many requests" to one of them puts on all of them.
type limiter struct {
	clock  Clock
	bucket *rate.Limiter

	mu    sync.Mutex
	until time.Time
}

// wait returns when a request may go out and tells how long that took. It
// fails at once if the context would end before, rather than when it does.
func (l *limiter) wait(ctx context.Context) (time.Duration, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	now := l.clock.Now()
	reservation := l.bucket.ReserveN(now, 1)
	delay := reservation.DelayFrom(now)
	if pause := l.pausedUntil().Sub(now); pause > delay {
		delay = pause
	}
	if delay <= 0 {
		return 0, nil
	}
	if deadline, ok := ctx.Deadline(); ok && deadline.Sub(now) < delay {
		reservation.CancelAt(now)
		return 0, fmt.Errorf("the rate limit allows the request only in %s, after the context's deadline: %w",
			delay.Round(time.Millisecond), context.DeadlineExceeded)
	}
	if err := l.clock.Sleep(ctx, delay); err != nil {
		reservation.CancelAt(l.clock.Now())
		return 0, err
	}
	return delay, nil
}

// pause holds all requests back until a moment.
func (l *limiter) pause(until time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until.After(l.until) {
		l.until = until
	}
}

func (l *limiter) pausedUntil() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.until
}

// parseRetryAfter reads the header of that name: seconds, or a date. It is 0
// for none, a past one, and one that cannot be read.
func parseRetryAfter(header string, now time.Time) time.Duration {
	header = strings.TrimSpace(header)
	if header == "" {
		return 0
	}
	if seconds, err := strconv.ParseFloat(header, 64); err == nil {
		const day = 24 * 60 * 60
		if !(seconds > 0) {
			return 0
		}
		return time.Duration(min(seconds, day) * float64(time.Second))
	}
	if date, err := http.ParseTime(header); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}
