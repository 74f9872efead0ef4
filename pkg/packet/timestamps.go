package packet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"
)

// Timestamp is a moment as the API writes it: RFC 3339 in UTC, to the second.
// What it reads may have fractions, another zone, or no zone at all, which
// the API's documentation defines to be UTC (see termination_time).
type Timestamp struct {
	time.Time
}

// NewTimestamp makes a Timestamp of a time, cut to the precision that
// survives the wire, so that a value compares equal before and after.
func NewTimestamp(t time.Time) *Timestamp {
	return &Timestamp{Time: t.UTC().Truncate(time.Second)}
}

// MarshalJSON implements json.Marshaler. The zero time is written as null.
func (t Timestamp) MarshalJSON() ([]byte, error) {
	if t.IsZero() {
		return []byte("null"), nil
	}
	return json.Marshal(t.UTC().Format(time.RFC3339))
}

// UnmarshalJSON implements json.Unmarshaler. Null and the empty string give
// the zero time.
func (t *Timestamp) UnmarshalJSON(data []byte) error {
	if bytes.Equal(data, []byte("null")) {
		t.Time = time.Time{}
		return nil
	}
	var text string
	if err := json.Unmarshal(data, &text); err != nil {
		return fmt.Errorf("reading a time: %w", err)
	}
	if text == "" {
		t.Time = time.Time{}
		return nil
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05", "2006-01-02 15:04:05", time.DateOnly} {
		if parsed, err := time.Parse(layout, text); err == nil {
			t.Time = parsed.UTC()
			return nil
		}
	}
	return fmt.Errorf("reading a time: %q is not RFC 3339, for example 2006-01-02T15:04:05Z", text)
}
