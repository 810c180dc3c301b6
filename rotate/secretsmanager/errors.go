package secretsmanager

import (
	"context"
	"errors"
	"net/http"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/secretsmanager"
)

// failed makes an Error of what the SDK returned, as package
// source/secretsmanager does. The end of ctx goes before what a request made
// of it.
func (s *Store) failed(ctx context.Context, op, stage string, err error) error {
	e := &secretsmanager.Error{Op: op, SecretID: s.id, Stage: stage, Kind: secretsmanager.Unavailable}
	var api smithy.APIError
	switch {
	case ctx.Err() != nil:
		e.Err = ctx.Err()
		return e
	case errors.As(err, &api):
		e.Err = api // alone: what wraps it holds the whole answer
	case errors.As(err, new(*smithy.DeserializationError)):
		e.Kind, e.Detail = secretsmanager.Malformed, "it is not what Secrets Manager sends" // nothing of the cause: it holds a piece of the answer
		return e
	default:
		e.Err = err
		return e
	}
	code := api.ErrorCode()
	if e.Kind = kinds[code]; e.Kind == "" {
		e.Kind = secretsmanager.Unavailable
	}
	var response *smithyhttp.ResponseError
	if _, known := retry.DefaultThrottleErrorCodes[code]; known || errors.As(err, &response) && response.HTTPStatusCode() == http.StatusTooManyRequests {
		e.Kind = secretsmanager.Throttled
	}
	switch e.Kind {
	case secretsmanager.Permission:
		e.Action = "secretsmanager:" + op
		if strings.Contains(api.ErrorMessage(), "KMS") { // it has no code of its own
			e.Action = "kms:Decrypt and kms:GenerateDataKey"
		}
	case secretsmanager.Throttled, secretsmanager.Unavailable, secretsmanager.Credentials:
		return e
	}
	return source.Permanent(e)
}

var kinds = map[string]secretsmanager.Kind{
	"AccessDeniedException":     secretsmanager.Permission,
	"ResourceNotFoundException": secretsmanager.NotFound,
	"DecryptionFailure":         secretsmanager.Undecryptable,
	"EncryptionFailure":         secretsmanager.Undecryptable,
	"InvalidParameterException": secretsmanager.Refused,
	"InvalidRequestException":   secretsmanager.Refused,
	"ValidationException":       secretsmanager.Refused,
	"LimitExceededException":    secretsmanager.Refused,

	"ExpiredToken": secretsmanager.Credentials, "ExpiredTokenException": secretsmanager.Credentials, "RequestExpired": secretsmanager.Credentials,
	"UnrecognizedClientException": secretsmanager.Credentials, "InvalidClientTokenId": secretsmanager.Credentials, "InvalidSignatureException": secretsmanager.Credentials,
	"SignatureDoesNotMatch": secretsmanager.Credentials, "IncompleteSignature": secretsmanager.Credentials, "MissingAuthenticationTokenException": secretsmanager.Credentials,
}

func kindOf(err error) secretsmanager.Kind {
	var e *secretsmanager.Error
	if errors.As(err, &e) {
		return e.Kind
	}
	return ""
}

// exists reports whether a version was there with another value.
func exists(err error) bool {
	var e *types.ResourceExistsException
	return errors.As(err, &e)
}
