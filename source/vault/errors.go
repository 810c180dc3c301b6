package vault

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"github.com/hashicorp/vault/api"

	"github.com/rekey-go/rekey/source"
)

// A Kind says what went wrong in terms of what helps.
type Kind string

// The kinds of an [Error].
const (
	// Permission: the token's policies do not allow it. The error names the
	// capability and the path that a policy must grant.
	Permission Kind = "permission denied"
	// NotFound: nothing is at this path. Mend the path, or create the role.
	NotFound Kind = "not found"
	// Refused: Vault understood the request and will not do it. Its own words
	// are in the error.
	Refused Kind = "refused"
	// Ended: the token or the lease is not valid any more.
	Ended Kind = "not valid any more"
	// Sealed: Vault is sealed, starting, or a standby without a leader.
	Sealed Kind = "sealed or not ready"
	// Throttled: a rate limit of Vault's. How long it asks to wait is not looked
	// at; the pauses of the refresher soon grow longer than such limits last.
	Throttled Kind = "throttled"
	// Unavailable: no answer, or a failure inside of Vault.
	Unavailable Kind = "unavailable"
	// Malformed: the answer is not one of Vault's. Something else may have
	// answered in its place. Its content is not shown.
	Malformed Kind = "malformed answer"
)

// An Error is a request to Vault that failed. A field of an answer that is
// missing or wrong is a [*source.FieldError] instead. No error of this package
// contains a token or a password.
//
// Errors of the kinds Permission, NotFound and Refused, and Ended where
// there is no way to another token, are marked by [source.Permanent], unless
// an agent that has not logged in yet may be the reason.
type Error struct {
	Op         string // what was tried: "read", "renew", "revoke", "log in", "look up"
	Path       string // the request's path, without /v1/
	Kind       Kind   // what to do about it
	Capability string // what a policy must grant on Path; set for Permission only
	Detail     string // what else is known, in words; may be empty
	Err        error  // the cause, an *api.ResponseError if Vault answered; may be nil
}

func (e *Error) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "vault: %s %s: %s", e.Op, e.Path, e.Kind)
	if e.Capability != "" {
		fmt.Fprintf(&s, ": the token needs capability %q on %q", e.Capability, e.Path)
	}
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

// kindOf returns the kind of an error of this package; empty: it has none.
func kindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

// A request is what is asked of Vault, as far as errors speak of it.
type request struct {
	op, method, path string
	body             map[string]any
}

func (r request) capability() string {
	if r.method == http.MethodGet {
		return "read"
	}
	return "update"
}

// failed makes an Error of what came of r, without token in it.
func (r request) failed(err error, token source.Secret) error {
	e := &Error{Op: r.op, Path: r.path, Kind: Unavailable, Err: err}
	var response *api.ResponseError
	if !errors.As(err, &response) {
		return e
	}
	safe := harmless(response, token)
	e.Err = safe
	says := func(words ...string) bool {
		text := strings.Join(safe.Errors, " ")
		for _, w := range words {
			if strings.Contains(text, w) {
				return true
			}
		}
		return false
	}
	// Vault has no codes beside the HTTP status. Its words only make the kind
	// more precise; without them the error is handled nearly the same.
	switch {
	case safe.RawError && safe.StatusCode < 500 && safe.StatusCode != http.StatusTooManyRequests,
		len(safe.Errors) == 0 && (safe.StatusCode == http.StatusUnauthorized || safe.StatusCode == http.StatusForbidden):
		// Vault gives a reason when it forbids; a gateway or firewall may do without.
		e.Kind = Malformed
		return e
	case safe.StatusCode == http.StatusForbidden && says("invalid token", "bad token"):
		e.Kind = Ended
		e.Detail = "the token has ended or was revoked"
		return e
	case safe.StatusCode == http.StatusForbidden:
		e.Kind, e.Capability = Permission, r.capability()
	case safe.StatusCode == http.StatusNotFound, says("unknown role"):
		e.Kind = NotFound
	case says("lease not found", "lease expired", "is not renewable", "lease is expired"):
		e.Kind = Ended
	case (r.op == "renew" || r.op == "revoke") && safe.StatusCode == http.StatusBadRequest:
		return e // so does Vault report that the database is away or says no
	case safe.StatusCode == http.StatusServiceUnavailable:
		e.Kind = Sealed
		return e
	case safe.StatusCode == http.StatusTooManyRequests:
		e.Kind = Throttled
		return e
	case safe.StatusCode >= 400 && safe.StatusCode < 500 && safe.StatusCode != http.StatusPreconditionFailed:
		e.Kind = Refused
	default:
		return e
	}
	return source.Permanent(e)
}

// malformed says that something answered, but not as Vault does.
func (r request) malformed(detail string) error {
	return &Error{Op: r.op, Path: r.path, Kind: Malformed, Detail: detail}
}

const longestMessage = 500 // bytes of one of Vault's own messages

// harmless copies what may be shown of a response. A body that is not Vault's
// could be anything, an echo of a secret included.
func harmless(r *api.ResponseError, token source.Secret) *api.ResponseError {
	safe := &api.ResponseError{
		HTTPMethod: r.HTTPMethod, StatusCode: r.StatusCode, RawError: r.RawError,
		NamespacePath: r.NamespacePath,
	}
	if u, err := url.Parse(r.URL); err == nil {
		safe.URL = u.Redacted()
	}
	if r.RawError {
		safe.Errors = []string{"the answer does not come from Vault; it is not shown"}
		return safe
	}
	for _, text := range r.Errors[:min(len(r.Errors), 5)] {
		if !token.IsEmpty() {
			text = strings.ReplaceAll(text, token.Reveal(), source.Redacted)
		}
		text = strings.Join(strings.Fields(text), " ")
		safe.Errors = append(safe.Errors, text[:min(len(text), longestMessage)])
	}
	return safe
}

// interrupted prefers the end of ctx to what a request made of it.
func interrupted(ctx context.Context, err error) error { return cmp.Or(ctx.Err(), err) }

// dead reports whether err says that the token is not valid any more.
func dead(err error) bool {
	var e *Error
	var response *api.ResponseError
	return errors.As(err, &e) && e.Kind == Ended && errors.As(err, &response) && response.StatusCode == http.StatusForbidden
}

// denied reports whether err may mean that.
func denied(err error) bool { return kindOf(err) == Permission || dead(err) }
