package apiserver

import (
	"bytes"
	"sync"
)

// pages keeps long answers in one piece. Controllers ask for the same page of
// a list again and again, and mostly nothing has changed: then it need not be
// put together. What an answer is made of is compared every time, so nothing
// has to be forgotten when a record changes.
type pages struct {
	mu   sync.Mutex
	kept map[string]keptPage
	// bytes is how much is kept, at most maxKeptPages.
	bytes int
}

// keptPage is an answer as it was made last time, and in one piece from the
// second time on.
type keptPage struct {
	parts [][]byte
	body  []byte
	bytes int
}

// maxKeptPages is how many bytes of answers are kept.
const maxKeptPages = 32 << 20

// whole returns an answer in one piece, or nil where that is not worth it:
// for an answer that is short, or different from the one before.
func (p *pages) whole(key string, parts [][]byte, size int) []byte {
	if size <= smallChunk || size > maxKeptPages/4 {
		return nil
	}
	p.mu.Lock()
	page, ok := p.kept[key]
	p.mu.Unlock()
	switch {
	case !ok || !sameParts(page.parts, parts):
		page = keptPage{parts: parts, bytes: len(key) + size}
	case page.body != nil:
		return page.body
	default:
		page.body = make([]byte, 0, size)
		for _, part := range parts {
			page.body = append(page.body, part...)
		}
		page.bytes += size
	}
	p.keep(key, page)
	return page.body
}

func (p *pages) keep(key string, page keptPage) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.kept == nil || p.bytes+page.bytes > maxKeptPages {
		// What is asked for often is soon there again.
		p.kept, p.bytes = map[string]keptPage{}, 0
	}
	p.bytes += page.bytes - p.kept[key].bytes
	p.kept[key] = page
}

// sameParts tells whether two answers are the same. Their elements are the
// very same bytes in memory if they are; what is around them is made anew.
func sameParts(a, b [][]byte) bool {
	if len(a) != len(b) || len(a) == 0 {
		return false
	}
	last := len(a) - 1
	for i := 1; i < last; i++ {
		if len(a[i]) != len(b[i]) || len(a[i]) > 0 && &a[i][0] != &b[i][0] {
			return false
		}
	}
	return bytes.Equal(a[0], b[0]) && bytes.Equal(a[last], b[last])
}
