package smserver

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

const (
	contentType  = "application/x-amz-json-1.1"
	targetPrefix = "secretsmanager."
	maxRequest   = 1 << 20
)

// An operation reads its input, does its work and returns its output.
type operation func(s *Store, ctx context.Context, body []byte) (any, error)

var operations = map[string]operation{
	"CancelRotateSecret":       typed((*Store).cancelRotateSecret),
	"CreateSecret":             typed((*Store).createSecret),
	"DeleteSecret":             typed((*Store).deleteSecret),
	"DescribeSecret":           typed((*Store).describeSecret),
	"GetRandomPassword":        typed((*Store).getRandomPassword),
	"GetSecretValue":           typed((*Store).getSecretValue),
	"ListSecretVersionIds":     typed((*Store).listSecretVersionIDs),
	"ListSecrets":              typed((*Store).listSecrets),
	"PutSecretValue":           typed((*Store).putSecretValue),
	"RestoreSecret":            typed((*Store).restoreSecret),
	"RotateSecret":             typed((*Store).rotateSecret),
	"TagResource":              typed((*Store).tagResource),
	"UntagResource":            typed((*Store).untagResource),
	"UpdateSecret":             typed((*Store).updateSecret),
	"UpdateSecretVersionStage": typed((*Store).updateSecretVersionStage),
}

func typed[In, Out any](f func(*Store, context.Context, In) (Out, error)) operation {
	return func(s *Store, ctx context.Context, body []byte) (any, error) {
		var in In
		if err := json.Unmarshal(body, &in); err != nil {
			return nil, refuse("SerializationException", "The request is not the JSON that this operation takes.")
		}
		return f(s, ctx, in)
	}
}

// Operation returns the name of the operation that a request asks for, empty if
// it asks for none.
func Operation(r *http.Request) string {
	name, ok := strings.CutPrefix(r.Header.Get("X-Amz-Target"), targetPrefix)
	if !ok || r.Method != http.MethodPost {
		return ""
	}
	return name
}

// ServeHTTP answers one request of the API.
func (s *Store) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	out, err := s.do(w, r)
	var refused *apiError
	switch {
	case err == nil:
		w.Header().Set("Content-Type", contentType)
		w.Header().Set("X-Amzn-Requestid", newUUID())
		_ = json.NewEncoder(w).Encode(out) // the client has gone
	case errors.As(err, &refused):
		WriteError(w, refused.status, refused.kind, refused.message)
	default:
		WriteError(w, http.StatusInternalServerError, internal, err.Error())
	}
}

func (s *Store) do(w http.ResponseWriter, r *http.Request) (any, error) {
	op := operations[Operation(r)]
	if op == nil {
		return nil, refuse("UnknownOperationException", "There is no such operation.")
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxRequest))
	if err != nil {
		return nil, refuse("SerializationException", "The request is too long or was cut short.")
	}
	return op(s, r.Context(), body)
}

// WriteError answers a request with an error as the service writes it. The kind
// is the name of the SDK's error type, such as ResourceNotFoundException.
func WriteError(w http.ResponseWriter, status int, kind, message string) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("X-Amzn-Requestid", newUUID())
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"__type": kind, "Message": message}) // the client has gone
}

// The errors that the API's reference lists. All but the last have status 400.
const (
	badNextToken = "InvalidNextTokenException"
	badParameter = "InvalidParameterException"
	badState     = "InvalidRequestException"
	overLimit    = "LimitExceededException"
	exists       = "ResourceExistsException"
	notFound     = "ResourceNotFoundException"
	internal     = "InternalServiceError"
)

type apiError struct {
	status        int
	kind, message string
}

func (e *apiError) Error() string { return e.kind + ": " + e.message }

func refuse(kind, format string, args ...any) error {
	return &apiError{http.StatusBadRequest, kind, fmt.Sprintf(format, args...)}
}

// invalid is what the service says of a value outside the API's constraints.
func invalid(field, constraint string) error {
	return refuse("ValidationException",
		"1 validation error detected: Value at '%s' failed to satisfy constraint: Member must %s", field, constraint)
}

// A stamp is a time in the API: seconds since 1970, in milliseconds' precision.
type stamp time.Time

func (t stamp) IsZero() bool { return time.Time(t).IsZero() }

func (t stamp) MarshalJSON() ([]byte, error) {
	ms := time.Time(t).UnixMilli()
	return fmt.Appendf(nil, "%d.%03d", ms/1000, ms%1000), nil
}

// day cuts a time down to the UTC day, which is all that is told of accesses.
func day(t time.Time) time.Time { return t.UTC().Truncate(24 * time.Hour) }

func newUUID() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])
}
