package secretsmanager

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/rekey-go/rekey/source"
)

// A Kind says what went wrong in terms of what helps.
type Kind string

// The kinds of an [Error].
const (
	// Permission: a policy does not allow it. The error names the action that
	// an IAM, resource or key policy must allow.
	Permission Kind = "permission denied"
	// NotFound: there is no such secret in this account and region, or no
	// version with the label.
	NotFound Kind = "not found"
	// Deleted: the secret is scheduled for deletion. Restore it.
	Deleted Kind = "scheduled for deletion"
	// Undecryptable: the key of the secret cannot be used. Look at its state
	// in KMS.
	Undecryptable Kind = "cannot be decrypted"
	// Credentials: the process has no AWS credentials, or none that are accepted.
	Credentials Kind = "no valid AWS credentials"
	// Refused: the request as such is not acceptable.
	Refused Kind = "refused"
	// Throttled: too many requests in this account and region.
	Throttled Kind = "throttled"
	// Unavailable: no answer, or a failure inside of AWS.
	Unavailable Kind = "unavailable"
	// Malformed: the answer is not one of Secrets Manager's. Its content is not
	// shown.
	Malformed Kind = "malformed answer"
	// Unreadable: the secret holds something that is not understood. Mend the
	// secret; its content is not shown.
	Unreadable Kind = "not readable"
)

// An Error is a request to Secrets Manager that failed, or a secret that cannot
// be understood. A key that is missing or wrong is a [*source.FieldError]
// instead. No error of this package contains any part of a secret's value.
//
// Errors of the kinds Permission, NotFound, Deleted, Undecryptable, Refused and
// Unreadable are marked by [source.Permanent].
type Error struct {
	Op       string // the API's operation, such as "GetSecretValue"
	SecretID string // name or ARN, as it was given
	Stage    string // the label asked for; empty: none
	Kind     Kind   // what to do about it
	Action   string // what a policy must allow; set for Permission only
	Detail   string // what else is known, in words; may be empty
	Err      error  // the cause, a smithy.APIError if AWS answered; may be nil
}

func (e *Error) Error() string {
	var s strings.Builder
	fmt.Fprintf(&s, "secretsmanager: %s %s", e.Op, e.SecretID)
	if e.Stage != "" {
		s.WriteString(" " + e.Stage)
	}
	s.WriteString(": " + string(e.Kind))
	if e.Action != "" {
		s.WriteString(": a policy must allow " + e.Action)
	}
	if e.Detail != "" {
		s.WriteString(": " + e.Detail)
	}
	api, answered := e.Err.(smithy.APIError) //nolint:errorlint // that of another service is told as it is
	switch {
	case answered:
		fmt.Fprintf(&s, " (%s: %s)", api.ErrorCode(), api.ErrorMessage())
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

func (s *Source) failed(ctx context.Context, op, stage string, err error) error {
	return failed(ctx, s.client, op, s.id, stage, err)
}

func deleted(op, id string) error {
	return source.Permanent(&Error{Op: op, SecretID: id, Kind: Deleted, Detail: "restore it with RestoreSecret"})
}

// failed makes an Error of what client returned. The end of ctx goes before what
// a request made of it.
func failed(ctx context.Context, client any, op, id, stage string, err error) error {
	e := &Error{Op: op, SecretID: id, Stage: stage, Kind: Unavailable}
	var unsigned *providerError
	var api smithy.APIError
	var cut *net.OpError // an answer that broke off
	var broken *smithy.DeserializationError
	var unsent *smithyhttp.RequestSendError
	switch {
	case ctx.Err() != nil:
		e.Err = ctx.Err()
		return e
	case errors.As(err, &unsigned):
		e.Kind, e.Err = Credentials, unsigned.error
		return e
	case errors.As(err, &api):
		e.Err = api // alone: what wraps it holds the whole answer
	case errors.As(err, &broken) && errors.As(err, &cut):
		e.Err = cut // alone, too
		return e
	case errors.As(err, &broken):
		e.Kind, e.Detail = Malformed, "it is not what Secrets Manager sends" // nothing of the cause: it holds a piece of the answer
		return e
	case errors.As(err, &unsent):
		e.Err = err
		return e
	default:
		e.Err = err
		if name, known := region(client); known && name == "" {
			e.Kind, e.Detail = Refused, "the client has no region; set AWS_REGION, or the Region of its configuration"
			return source.Permanent(e)
		}
		return e
	}
	var response *smithyhttp.ResponseError
	status := 0
	if errors.As(err, &response) {
		status = response.HTTPStatusCode()
	}
	code := api.ErrorCode()
	_, throttled := retry.DefaultThrottleErrorCodes[code]
	switch {
	case throttled || status == http.StatusTooManyRequests:
		e.Kind = Throttled
		return e
	case credentialCodes[code]:
		e.Kind = Credentials
		return e
	case code == "AccessDeniedException":
		e.Kind, e.Action = Permission, "secretsmanager:"+op
		if strings.Contains(api.ErrorMessage(), "KMS") { // it has no code of its own
			e.Action = "kms:Decrypt"
		}
	case code == "ResourceNotFoundException":
		e.Kind, e.Detail = NotFound, elsewhere(client, id)
	case code == "InvalidRequestException" && strings.Contains(api.ErrorMessage(), "deletion"): // nor has this one
		e.Kind, e.Detail = Deleted, "restore it with RestoreSecret"
	case code == "InvalidRequestException" && strings.Contains(api.ErrorMessage(), "KMS"): // of another account
		e.Kind, e.Detail = Undecryptable, "encrypt it with a key of your own, which other accounts can be allowed to use"
	case code == "DecryptionFailure":
		e.Kind = Undecryptable
	case code == "InvalidParameterException", code == "ValidationException", code == "InvalidRequestException":
		e.Kind = Refused
	default:
		return e
	}
	return source.Permanent(e)
}

// credentialCodes are the errors of requests whose signature is not accepted.
var credentialCodes = map[string]bool{
	"ExpiredToken": true, "ExpiredTokenException": true, "RequestExpired": true,
	"UnrecognizedClientException": true, "InvalidClientTokenId": true, "InvalidSignatureException": true,
	"SignatureDoesNotMatch": true, "IncompleteSignature": true, "MissingAuthenticationTokenException": true,
}
