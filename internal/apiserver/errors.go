package apiserver

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// apiError is a refusal, with the status and the texts that the client sees.
type apiError struct {
	status   int
	messages []string
	// header is what else the client is told; it may be nil.
	header http.Header
}

func (e *apiError) Error() string {
	return fmt.Sprintf("%d: %s", e.status, strings.Join(e.messages, "; "))
}

// refuse makes a refusal with one text.
func refuse(status int, format string, args ...any) error {
	return &apiError{status: status, messages: []string{fmt.Sprintf(format, args...)}}
}

// The refusals that clients know by their texts.
func errNotFound() error {
	return refuse(http.StatusNotFound, "Not found")
}

func errUnauthorized() error {
	return refuse(http.StatusUnauthorized, "Invalid authentication token")
}

// brokenText is what the service said whenever it was its own fault.
const brokenText = "Oh snap, something went wrong! We've logged the error and will take a look" +
	" - please reach out to us if you continue having trouble."

// problems collects all that is wrong with a request, because a client that
// is told of one mistake at a time has to ask once for each.
type problems []string

func (p *problems) add(format string, args ...any) {
	*p = append(*p, fmt.Sprintf(format, args...))
}

// notOneOf says that a field's value is none of those that exist.
func (p *problems) notOneOf(field, value string, allowed []string) {
	p.add("%s %q is not one of: %s", field, value, strings.Join(allowed, ", "))
}

// unless adds notOneOf where the value is neither empty nor allowed.
func (p *problems) unless(field, value string, allowed ...string) {
	if value != "" && !slices.Contains(allowed, value) {
		p.notOneOf(field, value, allowed)
	}
}

// err is nil where there are no problems.
func (p problems) err() error {
	if len(p) == 0 {
		return nil
	}
	return &apiError{status: http.StatusUnprocessableEntity, messages: p}
}
