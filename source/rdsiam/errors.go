package rdsiam

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/rekey-go/rekey/source"
)

// A Kind says what went wrong in terms of what helps.
type Kind string

// The kinds of an [Error].
const (
	// BadEndpoint: it is not host:port. Take both from the console or from
	// DescribeDBInstances.
	BadEndpoint Kind = "malformed endpoint"
	// NoUser: the database user is missing.
	NoUser Kind = "no user"
	// NoRegion: neither options, endpoint nor configuration name one.
	NoRegion Kind = "no region"
	// NoCredentials: the configuration has none to sign with.
	NoCredentials Kind = "no AWS credentials"
	// Unavailable: the provider of the parent credentials failed.
	Unavailable Kind = "AWS credentials unavailable"
	// Ended: the provider gave parent credentials that have ended already.
	Ended Kind = "AWS credentials have ended"
	// Unsigned: the SDK did not sign.
	Unsigned Kind = "not signed"
)

// An Error says why there is no token. It never contains a token or a key.
//
// Errors of the kinds BadEndpoint, NoUser, NoRegion and NoCredentials are
// marked by [source.Permanent].
type Error struct {
	Endpoint string // of the database; not shown if there may be a password in it
	User     string // of the database
	Kind     Kind   // what to do about it
	Detail   string // what else is known and what to do, in words; may be empty
	Err      error  // the cause; may be nil
}

func (e *Error) Error() string {
	text := fmt.Sprintf("rdsiam: token of user %q for %q: %s", e.User, e.Endpoint, e.Kind)
	if e.Detail != "" {
		text += ": " + e.Detail
	}
	if e.Err != nil {
		text += ": " + e.Err.Error()
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }

// check finds what is wrong with the arguments.
func (t *tokens) check(endpoint error) error {
	wrong := func(kind Kind, detail string) error {
		return source.Permanent(&Error{Endpoint: t.endpoint, User: t.user, Kind: kind, Detail: detail})
	}
	switch {
	case endpoint != nil:
		return wrong(BadEndpoint, endpoint.Error())
	case t.user == "":
		return wrong(NoUser, "name the database user that was granted rds_iam")
	case t.region == "":
		return wrong(NoRegion, "set AWS_REGION, the configuration's Region, or Options.Region to the region of the database")
	}
	cache, isCache := t.parents.(*aws.CredentialsCache)
	if t.parents == nil || isCache && cache == nil {
		return wrong(NoCredentials, "the configuration has no provider; make it by config.LoadDefaultConfig")
	}
	return nil
}

// failed makes an Error of what came of signing with parent.
func (t *tokens) failed(kind Kind, detail string, err error, parent aws.Credentials) error {
	last := t.lastSigned()
	return &Error{Endpoint: t.endpoint, User: t.user, Kind: kind, Detail: detail, Err: harmless(err,
		last.Password.Reveal(), last.parent.SecretAccessKey, last.parent.SessionToken, parent.SecretAccessKey, parent.SessionToken)}
}

// harmless returns err, or another error in its place if it contains a secret.
func harmless(err error, secrets ...string) error {
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	for _, s := range secrets {
		if s != "" && strings.Contains(text, s) {
			return hidden(err)
		}
	}
	return err
}

var errHidden = errors.New("the provider's error is not shown because a secret is in it")

// hidden is what remains of an error that contains a secret.
func hidden(err error) error {
	for _, end := range []error{context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, end) {
			return fmt.Errorf("%w (%w)", errHidden, end)
		}
	}
	return errHidden
}
