package vaultkv

import (
	"context"
	"errors"
	"net/http"

	"github.com/hashicorp/vault/api"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/vault"
)

// failed makes an Error of what came of a request, as package source/vault does. The
// end of ctx goes before what a request made of it.
func failed(ctx context.Context, op, path string, err error) error {
	e := &vault.Error{Op: op, Path: path, Kind: vault.Unavailable}
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
		e.Kind, e.Detail = vault.Malformed, "it is not the JSON that Vault sends"
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
		e.Kind = vault.Malformed
		return e
	case code == http.StatusForbidden:
		e.Kind, e.Capability, e.Detail = vault.Permission, capability(op), "or it is not valid any more"
	case code == http.StatusNotFound:
		e.Kind = vault.NotFound
	case code == http.StatusServiceUnavailable:
		e.Kind = vault.Sealed
		return e
	case code == http.StatusTooManyRequests:
		e.Kind = vault.Throttled
		return e
	case code == http.StatusPreconditionFailed, code >= 500:
		return e
	default:
		e.Kind = vault.Refused
	}
	return source.Permanent(e)
}

func capability(op string) string {
	if op == "read" {
		return "read"
	}
	return "update" // and create, where there is nothing yet
}

func malformed(op, path, detail string) error {
	return &vault.Error{Op: op, Path: path, Kind: vault.Malformed, Detail: detail}
}
