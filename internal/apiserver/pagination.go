package apiserver

import (
	"net/url"
	"strconv"

	"github.com/packetyard/packetyard/pkg/packet"
)

// The sizes and numbers of pages.
const (
	defaultPerPage    = 10
	defaultIPsPerPage = 250
	maxPage           = 100000
)

// page is a part of a list.
type page struct {
	number, size int
}

// paging reads page and per_page. What is out of range is brought into it, as
// the service did, but what is no number is a mistake.
func (r *request) paging(defaultSize int) (page, error) {
	var p problems
	read := func(name string, value, greatest int) int {
		text := r.query.Get(name)
		if text == "" {
			return value
		}
		number, err := strconv.Atoi(text)
		if err != nil {
			p.add("%s %q is not a number", name, text)
		}
		return min(max(number, 1), greatest)
	}
	result := page{number: read("page", 1, maxPage), size: read("per_page", defaultSize, packet.MaxPerPage)}
	return result, p.err()
}

// cut returns the elements of a list that are on the page.
func cut[T any](p page, all []T) []T {
	from := min((p.number-1)*p.size, len(all))
	return all[from:min(from+p.size, len(all))]
}

// meta says where the page is. Its references are without the prefix of the
// path: packngo appends them to its base URL, which has the prefix.
func (p page) meta(path string, query url.Values, total int) *packet.Meta {
	last := max((total+p.size-1)/p.size, 1)
	reference := func(number int) *packet.Href {
		values := url.Values{}
		for key, value := range query {
			values[key] = value
		}
		values.Set("page", strconv.Itoa(number))
		return &packet.Href{Href: path + "?" + values.Encode()}
	}
	meta := &packet.Meta{
		First:       reference(1),
		Last:        reference(last),
		Self:        reference(p.number),
		Total:       total,
		CurrentPage: p.number,
		LastPage:    last,
	}
	if p.number < last {
		meta.Next = reference(p.number + 1)
	}
	if p.number > 1 {
		meta.Previous = reference(min(p.number-1, last))
	}
	return meta
}
