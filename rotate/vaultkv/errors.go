package vaultkv

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/rekey-go/rekey/source"
)

// A Kind says what went wrong in terms of what helps.
type Kind string

// The kinds of an [Error].
const (
	// Permission: the token's policies do not allow it, or the token has ended.
	// The error names the capability and the path that a policy must grant.
	Permission Kind = "permission denied"
	// NotFound: there is no such secret. Make it first, or mend the path.
	NotFound Kind = "not found"
	// Refused: Vault understood the request and will not do it. Its own words
	// are in the error.
	Refused Kind = "refused"
	// Unavailable: no answer, or Vault is sealed, busy or in trouble. Try again.
	Unavailable Kind = "unavailable"
	// Malformed: the answer is not one of Vault's. Its content is not shown.
	Malformed Kind = "malformed answer"
)

// An Error is a request to Vault that failed. It holds no token and no password.
// Errors of the kinds Permission, NotFound and Refused are marked by
// [source.Permanent].
type Error struct {
	Op     string // "read" or "write"
	Path   string // the request's path, without /v1/
	Kind   Kind   //
	Detail string // what else is known, in words; may be empty
	Err    error  // the cause, an *api.ResponseError if Vault answered; may be nil
}

func (e *Error) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "vaultkv: %s %s: %s", e.Op, e.Path, e.Kind)
	if e.Detail != "" {
		s.WriteString(": " + e.Detail)
	}
	var response *api.ResponseError
	switch {
	case errors.As(e.Err, &response):
		fmt.Fprintf(&s, " (%d: %s)", response.StatusCode, strings.Join(response.Errors, "; "))
	case e.Err != nil:
		fmt.Fprintf(&s, ": %v", e.Err)
	}
	return s.String()
}

func (e *Error) Unwrap() error { return e.Err }

// failed makes an Error of what came of a request. The end of ctx goes before
// what a request made of it.
func failed(ctx context.Context, op, path string, err error) error {
	e := &Error{Op: op, Path: path, Kind: Unavailable}
	var response *api.ResponseError
	switch {
	case ctx.Err() != nil:
		e.Err = ctx.Err()
		return e
	case errors.As(err, &response):
	case errors.As(err, new(interface{ Timeout() bool })): // of net and net/url
		e.Err = err
		return e
	default: // an answer that was not understood; the words may quote it
		e.Kind, e.Detail = Malformed, "it is not the JSON that Vault sends"
		return e
	}
	safe := &api.ResponseError{HTTPMethod: response.HTTPMethod, StatusCode: response.StatusCode, RawError: response.RawError}
	e.Err = safe
	if response.RawError { // it could be anything, an echo of the request included
		safe.Errors = []string{"the answer does not come from Vault; it is not shown"}
	} else {
		safe.Errors = response.Errors[:min(len(response.Errors), 5)]
	}
	switch code := response.StatusCode; {
	case response.RawError && code < 500 && code != http.StatusTooManyRequests:
		e.Kind = Malformed
		return e
	case code == http.StatusForbidden:
		e.Kind, e.Detail = Permission, fmt.Sprintf("the token needs capability %q on %q", capability(op), path)
	case code == http.StatusNotFound:
		e.Kind = NotFound
	case code == http.StatusTooManyRequests, code == http.StatusPreconditionFailed, code >= 500:
		return e
	default:
		e.Kind = Refused
	}
	return permanent(e)
}

func capability(op string) string {
	if op == "read" {
		return "read"
	}
	return "update" // and create, where there is nothing yet
}

func malformed(op, path, detail string) error {
	return &Error{Op: op, Path: path, Kind: Malformed, Detail: detail}
}

func permanent(e *Error) error { return source.Permanent(e) }
