package packet

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// perPageOfEvents is how many events are asked for at a time. Who follows a
// project finds what is new on the first page, most of which they know.
const perPageOfEvents = 250

// DeviceID is the ID of the device that an event is about, empty if it is
// about something else.
func (e *Event) DeviceID() string {
	for _, related := range e.Relationships {
		if before, id, found := strings.Cut(related.Href, "/devices/"); found && !strings.Contains(before, "/devices/") && !strings.Contains(id, "/") {
			return id
		}
	}
	return ""
}

// ProjectEvents lists what happened in a project at a moment or later, newest
// first (findProjectEvents). It reads as many pages as that takes, and no
// more. Times of events are the API server's and have whole seconds.
func (c *Client) ProjectEvents(ctx context.Context, projectID string, since time.Time, options ...QueryOption) ([]Event, error) {
	if err := checkID("project", projectID); err != nil {
		return nil, err
	}
	q := query(options)
	q.Set("per_page", strconv.Itoa(perPageOfEvents))
	since = since.Truncate(time.Second)
	for range 1 + relists {
		events, moved, err := c.projectEvents(ctx, projectID, since, q)
		if err != nil {
			return nil, err
		}
		if !moved {
			return events, nil
		}
		// The fewer pages, the less often one moves.
		q.Set("per_page", strconv.Itoa(MaxPerPage))
	}
	return nil, fmt.Errorf("findProjectEvents: %w, %d times", ErrListChanged, 1+relists)
}

// projectEvents reads the list once. Events go when their device does, which
// pulls others to an earlier page, where they are never seen: moved tells that
// this happened.
func (c *Client) projectEvents(ctx context.Context, projectID string, since time.Time, q url.Values) (events []Event, moved bool, err error) {
	const operation = "findProjectEvents"
	seen := map[string]struct{}{}
	total := 0
	for page := 1; ; {
		answer := &EventList{}
		q.Set("page", strconv.Itoa(page))
		if err := c.do(ctx, request{
			operation: operation, method: http.MethodGet, path: "/projects/" + projectID + "/events", query: q, into: answer,
		}); err != nil {
			return nil, false, err
		}
		if answer.Events == nil {
			return nil, false, c.malformed(operation, "it has no list of what was asked for")
		}
		meta := answer.Meta
		if meta == nil {
			meta = &Meta{}
		}
		if meta.Total < total {
			return nil, true, nil
		}
		total = meta.Total
		fresh := 0
		for i := range answer.Events {
			event := &answer.Events[i]
			if event.CreatedAt != nil && event.CreatedAt.Before(since) {
				return events, false, nil
			}
			if _, known := seen[event.ID]; known {
				continue
			}
			seen[event.ID] = struct{}{}
			events = append(events, *event)
			fresh++
		}
		next, err := nextPage(meta, page, len(seen))
		if err != nil {
			return nil, false, c.malformed(operation, err.Error())
		}
		if next == 0 || fresh == 0 {
			return events, false, nil
		}
		page = next
	}
}
