package apiserver

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"reflect"
	"strings"

	"github.com/packetyard/packetyard/internal/apiserver/store"
)

// defaultMaxBody is more than any request of the API needs, so that what is
// over it is not read.
const defaultMaxBody = 1 << 20

// request is what a handler gets to see of an HTTP request.
type request struct {
	ctx   context.Context
	http  *http.Request
	query url.Values
	// token is the one that the client sent.
	token store.Token
	// maxBody is how many bytes of a body are read.
	maxBody int64
}

// path is what was asked for, without the prefix of the API.
func (r *request) path() string {
	if rest, found := strings.CutPrefix(r.http.URL.Path, prefix); found && (rest == "" || rest[0] == '/') {
		return rest
	}
	return r.http.URL.Path
}

func (r *request) viewer() viewer { return viewer{r.token} }

// id is the part of the path that names an object.
func (r *request) id() string {
	return r.http.PathValue("id")
}

// decode reads a JSON body. What is not JSON is the client's mistake in
// speaking (400), a value of a wrong type one in what it says (422).
func (r *request) decode(into any) error {
	body, err := io.ReadAll(io.LimitReader(r.http.Body, r.maxBody+1))
	if err != nil {
		return bodyError(err)
	}
	if int64(len(body)) > r.maxBody {
		return errTooLarge(r.maxBody)
	}
	if len(bytes.TrimSpace(body)) == 0 {
		return refuse(http.StatusBadRequest, "The request body is empty, it must be a JSON object")
	}
	if !json.Valid(body) {
		return refuse(http.StatusBadRequest, "The request body is not JSON: %v", json.Unmarshal(body, new(any)))
	}
	err = json.Unmarshal(body, into)
	var wrongType *json.UnmarshalTypeError
	switch {
	case errors.As(err, &wrongType) && wrongType.Field == "":
		return refuse(http.StatusBadRequest, "The request body is a JSON %s, it must be an object", wrongType.Value)
	case errors.As(err, &wrongType):
		return refuse(http.StatusUnprocessableEntity, "%s must be %s, not a JSON %s", wrongType.Field, jsonName(wrongType.Type), wrongType.Value)
	case err != nil:
		return refuse(http.StatusUnprocessableEntity, "%v", err)
	}
	return nil
}

// jsonName says what a Go type is in JSON.
func jsonName(t reflect.Type) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch t.Kind() {
	case reflect.String:
		return "a string"
	case reflect.Bool:
		return "true or false"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Struct, reflect.Map:
		return "an object"
	default:
		return "a number"
	}
}
