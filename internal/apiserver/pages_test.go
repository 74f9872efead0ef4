package apiserver

import (
	"bytes"
	"fmt"
	"testing"
)

func TestPages(t *testing.T) {
	var p pages
	element := bytes.Repeat([]byte("x"), smallChunk)
	page := func(first string, elements ...[]byte) ([][]byte, int) {
		parts := [][]byte{[]byte(first)}
		parts = append(parts, elements...)
		parts = append(parts, []byte("]}"))
		return parts, size(parts)
	}
	ask := func(key, first string, elements ...[]byte) string {
		parts, size := page(first, elements...)
		return string(p.whole(key, parts, size))
	}
	want := "[" + string(element) + "]}"
	if ask("a", "[", element) != "" {
		t.Error("a page was put together the first time")
	}
	for range 2 {
		if ask("a", "[", element) != want {
			t.Error("a page was not put together when it was asked for again")
		}
	}
	other := bytes.Clone(element)
	other[0] = 'y'
	for name, changed := range map[string]func() string{
		"another element":  func() string { return ask("a", "[", other) },
		"one more element": func() string { return ask("a", "[", other, element) },
		"another key":      func() string { return ask("b", "[", other) },
		"another start":    func() string { return ask("b", "{", other) },
	} {
		if got := changed(); got != "" {
			t.Errorf("%s: the page before was answered", name)
		}
	}
	for range 2 {
		if ask("c", "[", []byte("short")) != "" {
			t.Error("a short page was kept")
		}
	}
	for i := range 3000 {
		ask(fmt.Sprint(i%1000), "[", element)
		if p.bytes > maxKeptPages {
			t.Fatalf("%d bytes are kept, which is more than %d", p.bytes, maxKeptPages)
		}
	}
}
