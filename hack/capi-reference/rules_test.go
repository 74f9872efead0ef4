package main

import (
	"slices"
	"testing"
)

func TestTexts(t *testing.T) {
	for expression, want := range map[string][]string{
		`'a'`:                             {"a"},
		`"it is " + self.x`:               {"it is …"},
		`'from ' + self.x + ' to ' + y`:   {"from … to …"},
		`"is " + (has(x) ? x : "CPEM")`:   {"is …"},
		`'a ' + (b ? 'c' : 'd') + ' e'`:   {"a … e"},
		`self == 'X' ? 'not X' : 'wrong'`: {"not X", "wrong"},
		`"say \"a\", it's a: b?"`:         {`say "a", it's a: b?`},
		`'at ' + x.substring(0, 2)`:       {"at …"},
	} {
		if got := texts(expression); !slices.Equal(got, want) {
			t.Errorf("the texts of %s are %q, want %q", expression, got, want)
		}
	}
}

func TestLongestFirst(t *testing.T) {
	got := longestFirst([]string{"a", "1", "abc", "2", "ab", "3"})
	if want := []string{"abc", "2", "ab", "3", "a", "1"}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}
