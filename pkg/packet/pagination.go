package packet

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
)

// Limits of the page and per_page parameters.
const (
	MaxPerPage = 1000
	maxPage    = 100000
)

// Meta says where in a list a page is. The references are null where there is
// no such page.
type Meta struct {
	First       *Href `json:"first"`
	Last        *Href `json:"last"`
	Next        *Href `json:"next"`
	Previous    *Href `json:"previous"`
	Self        *Href `json:"self"`
	Total       int   `json:"total"`
	CurrentPage int   `json:"current_page"`
	LastPage    int   `json:"last_page"`
}

// ErrListChanged is returned when a list lost elements while it was read, or
// has fewer than it says, again and again. What was read may then lack
// elements that exist, so it is an error and no list.
var ErrListChanged = errors.New("the list changed while it was read")

// relists is how often a list that is short is read anew.
const relists = 4

// listing describes one list: where it is and what is in a page of it.
type listing[L, T any] struct {
	operation string
	path      string
	query     url.Values
	// paged asks for pages of the greatest size. Where it is false the API
	// documents no pages; if there are some nevertheless, they are read.
	paged bool
	// items gives a page's elements, nil if the page has no such key.
	items func(*L) ([]T, *Meta)
	// id identifies an element, to know it again on a later page.
	id func(*T) string
}

// listAll reads a list to its end.
//
// Pages move when elements come and go between two requests. An element that
// comes pushes others to a later page, where they are seen a second time and
// dropped. An element that goes pulls others to an earlier page, where they
// are never seen: the list is then short, and is read anew.
func listAll[L, T any](ctx context.Context, c *Client, l listing[L, T]) ([]T, error) {
	for range 1 + relists {
		items, short, err := listOnce(ctx, c, l)
		if err != nil {
			return nil, err
		}
		if !short {
			return items, nil
		}
	}
	return nil, fmt.Errorf("%s: %w, %d times", l.operation, ErrListChanged, 1+relists)
}

// listOnce reads a list once, and tells whether it is short: of fewer elements
// than the first page announced.
func listOnce[L, T any](ctx context.Context, c *Client, l listing[L, T]) (items []T, short bool, err error) {
	var seen map[string]struct{}
	total := 0
	for page := 1; ; {
		answer := new(L)
		if err := c.do(ctx, request{
			operation: l.operation, method: http.MethodGet, path: l.path, query: l.pageQuery(page), into: answer,
		}); err != nil {
			return nil, false, err
		}
		found, meta := l.items(answer)
		if found == nil {
			return nil, false, c.malformed(l.operation, "it has no list of what was asked for")
		}
		if meta == nil {
			meta = &Meta{}
		}
		if meta.CurrentPage != 0 && meta.CurrentPage != page {
			return nil, false, c.malformed(l.operation, fmt.Sprintf("asked for page %d, got page %d", page, meta.CurrentPage))
		}
		next, err := nextPage(meta, page, len(seen)+len(found))
		if err != nil {
			return nil, false, c.malformed(l.operation, err.Error())
		}
		if page == 1 {
			// Nearly every list is one page, which then is the answer as it is.
			if next == 0 {
				return found, len(found) < meta.Total, nil
			}
			total = meta.Total
			// Room for a few pages at most: the number is not ours to trust.
			room := min(max(total, len(found)), 10*MaxPerPage)
			seen = make(map[string]struct{}, room)
			items = make([]T, 0, room)
		}
		fresh := 0
		for i := range found {
			id := l.id(&found[i])
			if _, known := seen[id]; known {
				continue
			}
			seen[id] = struct{}{}
			items = append(items, found[i])
			fresh++
		}
		// A page without anything new is the end, whatever its meta says. It is
		// also what keeps a server that ignores the page parameter from being
		// read for ever.
		if next == 0 || fresh == 0 {
			return items, len(items) < total, nil
		}
		page = next
	}
}

func (l listing[L, T]) pageQuery(page int) url.Values {
	if !l.paged && page == 1 {
		return l.query
	}
	query := url.Values{}
	for key, values := range l.query {
		query[key] = values
	}
	query.Set("page", strconv.Itoa(page))
	if l.paged {
		query.Set("per_page", strconv.Itoa(MaxPerPage))
	}
	return query
}

// nextPage is the page to read after one, 0 at the end. The number of the
// last page counts most. Where there is none the reference to the next page
// tells, and its own number is used if it has one; the answer's current_page
// is never counted from, because servers leave it out, and counting from 0
// reads the same page for ever. Where there is no reference either, there is
// a next page as long as fewer elements were read than there are.
func nextPage(meta *Meta, page, read int) (int, error) {
	next := 0
	switch {
	case meta.LastPage > 0:
		if meta.LastPage > page {
			next = page + 1
		}
	case meta.Next != nil && meta.Next.Href != "":
		next = page + 1
		if reference, err := url.Parse(meta.Next.Href); err == nil && reference.Query().Has("page") {
			next, err = strconv.Atoi(reference.Query().Get("page"))
			if err != nil || next <= page {
				return 0, fmt.Errorf("page %d names %q as its next", page, meta.Next.Href)
			}
		}
	case meta.Total > read:
		next = page + 1
	}
	if next > maxPage {
		return 0, fmt.Errorf("the list has more than %d pages", maxPage)
	}
	return next, nil
}
