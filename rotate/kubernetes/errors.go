package kubernetes

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/rekey-go/rekey/rotate/internal/beside"
	"github.com/rekey-go/rekey/source"
)

// A Kind says what went wrong in terms of what helps.
type Kind string

// The kinds of an [Error].
const (
	// Permission: the client's identity may not do it, or is not known. The error
	// names the verb and the Secret that a Role must grant.
	Permission Kind = "permission denied"
	// NotFound: there is no such Secret or namespace.
	NotFound Kind = "not found"
	// Refused: the server, or an admission webhook, understood the request and
	// will not do it: the Secret is immutable, or gets larger than 1 MiB, or a
	// policy has something against it. Its own words are in the error.
	Refused Kind = "refused"
	// Throttled: the server has been asking for patience, longer than the client
	// has had. RetryAfter says how long.
	Throttled Kind = "throttled"
	// Unavailable: no answer, or the server is in trouble. Try again.
	Unavailable Kind = "unavailable"
	// Malformed: the answer is not one of the API's. Its content is not shown.
	Malformed Kind = "malformed answer"

	conflict Kind = "conflict" // never leaves the package but beside rotate.ErrConflict
)

// An Error is a request to the API server that failed. It holds no token and no
// value of a Secret. Errors of the kinds Permission, NotFound and Refused are
// marked by [source.Permanent].
type Error struct {
	Verb            string        // as a Role names it: "get", "create" or "update"
	Namespace, Name string        // of the Secret
	Kind            Kind          // what to do about it
	Detail          string        // what else is known, in words; may be empty
	RetryAfter      time.Duration // as the server says; zero: it does not
	Err             error         // the cause, a *StatusError of k8s.io/apimachinery if the server answered; may be nil
}

func (e *Error) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "kubernetes: %s secret %s/%s: %s", e.Verb, e.Namespace, e.Name, e.Kind)
	if e.Detail != "" {
		s.WriteString(": " + e.Detail)
	}
	if e.RetryAfter > 0 {
		fmt.Fprintf(&s, "; again in %s", e.RetryAfter)
	}
	var status *apierrors.StatusError
	switch {
	case errors.As(e.Err, &status):
		fmt.Fprintf(&s, " (%d: %s)", status.ErrStatus.Code, status.ErrStatus.Message)
	case e.Err != nil:
		fmt.Fprintf(&s, ": %v", e.Err)
	}
	return s.String()
}

func (e *Error) Unwrap() error { return e.Err }

// failed makes an Error of what came of a request with this data. The end of ctx
// goes before what a request made of it.
func (s *secrets) failed(ctx context.Context, verb string, w beside.Which, err error, data map[string]any) error {
	e := &Error{Verb: verb, Namespace: s.namespace, Name: s.name(w), Kind: Unavailable}
	var status *apierrors.StatusError
	switch {
	case ctx.Err() != nil:
		e.Err = ctx.Err()
		return e
	case errors.As(err, &status):
	case errors.As(err, new(interface{ Timeout() bool })): // of net and net/url
		e.Err = err
		return e
	default: // an answer that was not understood; the words may quote it
		e.Kind, e.Detail = Malformed, "it is not what the API server sends"
		return e
	}
	e.RetryAfter = retryAfter(status)
	e.Err = safe(status, data)
	code := int(status.ErrStatus.Code)
	switch {
	case code == http.StatusTooManyRequests:
		e.Kind = Throttled
		return e
	case code >= http.StatusInternalServerError:
		return e
	case foreign(err):
		e.Kind = Malformed
		return e
	case code == http.StatusUnauthorized:
		e.Kind, e.Detail = Permission, "the API server does not accept the client's token or certificate"
	case code == http.StatusForbidden:
		e.Kind, e.Detail = Permission, s.needs(verb, w)
	case code == http.StatusNotFound && verb == "create": // the namespace is not
		e.Kind = NotFound
	case code == http.StatusConflict, code == http.StatusNotFound:
		e.Kind = conflict
		return e
	default:
		e.Kind = Refused
	}
	return source.Permanent(e)
}

// needs says what a Role must grant.
func (s *secrets) needs(verb string, w beside.Which) string {
	if verb == "create" {
		return fmt.Sprintf("if RBAC refuses, a Role in namespace %q must allow verb %q on resource \"secrets\"; or make the Secret %s beforehand, empty", s.namespace, verb, s.name(w))
	}
	return fmt.Sprintf("if RBAC refuses, a Role in namespace %q must allow verb %q on resource \"secrets\" with resourceName %q", s.namespace, verb, s.name(w))
}

func retryAfter(status *apierrors.StatusError) time.Duration {
	seconds, _ := apierrors.SuggestsClientDelay(status)
	return time.Duration(max(0, seconds)) * time.Second
}

// foreign reports an answer that is not the API's own: it could be anything, an
// echo of the request included.
func foreign(err error) bool {
	_, unexpected := apierrors.StatusCause(err, meta.CauseTypeUnexpectedServerResponse)
	return unexpected
}

// safe is status without words that are not the API's, or that quote a value of
// data.
func safe(status *apierrors.StatusError, data map[string]any) *apierrors.StatusError {
	from := status.ErrStatus
	to := meta.Status{Status: from.Status, Code: from.Code, Reason: from.Reason, Message: from.Message}
	if from.Details != nil {
		to.Details = &meta.StatusDetails{Kind: from.Details.Kind, Name: from.Details.Name, RetryAfterSeconds: from.Details.RetryAfterSeconds}
	}
	switch {
	case foreign(status):
		to.Message = "the answer does not come from the API server; it is not shown"
	case quotes(from.Message, data):
		to.Message = "the message quotes a value and is not shown"
	}
	return &apierrors.StatusError{ErrStatus: to}
}

// quotes reports whether message holds a value of data, as it is or in base64. Those
// of a few letters are in any message.
func quotes(message string, data map[string]any) bool {
	for _, value := range data {
		switch value := value.(type) {
		case string:
			if len(value) > 3 && (strings.Contains(message, value) || strings.Contains(message, base64.StdEncoding.EncodeToString([]byte(value)))) {
				return true
			}
		case map[string]any: // a version in an envelope, or its fields
			if quotes(message, value) {
				return true
			}
		}
	}
	return false
}
