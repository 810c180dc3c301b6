package rdsiam

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"

	"github.com/rekey-go/rekey/source"
)

// Options adjust a source. The zero value, or nil, means the defaults.
type Options struct {
	// Region of the database. Empty: the one in the endpoint's name if it is
	// a name of RDS, or else that of the configuration.
	Region string
}

const (
	// tokenLifetime is fixed by AWS.
	tokenLifetime = 15 * time.Minute
	// reused is the part of its lifetime for which a token is given again: the
	// callers of a burst get the same, and one that the database rejects does
	// not come back at once as one that looks new.
	reused = 30
	// nearEnd is how long before their end parent credentials are asked for
	// again past a cache.
	nearEnd = time.Minute
)

// New returns a source of tokens with which user logs in to the database at
// endpoint, which is host:port as RDS names it. Region and parent credentials
// are those of config, as config.LoadDefaultConfig of package
// github.com/aws/aws-sdk-go-v2/config returns it; its credentials are cached.
//
// What is wrong with the arguments is an [*Error] of each call of Credential,
// marked by [source.Permanent]. The credentials have no Version: the refresher
// tells tokens apart by a digest.
func New(config aws.Config, endpoint, user string, opts *Options) source.Source {
	if opts == nil {
		opts = &Options{}
	}
	t := &tokens{parents: config.Credentials, endpoint: endpoint, user: user, lifetime: tokenLifetime}
	host, err := parseEndpoint(endpoint)
	if strings.Contains(endpoint, "@") { // a URL, which may hold a password
		t.endpoint = source.Redacted
	}
	t.region = cmp.Or(opts.Region, regionOf(host), config.Region)
	t.wrong = t.check(err)
	return t
}

type tokens struct {
	parents                aws.CredentialsProvider
	endpoint, region, user string
	lifetime               time.Duration
	wrong                  error // with the arguments

	mu   sync.Mutex
	last signed
}

// signed is a token with the parent credentials that have signed it.
type signed struct {
	source.Credential
	parent aws.Credentials
}

// Credential signs a token. One that has just been signed is given again.
func (t *tokens) Credential(ctx context.Context) (source.Credential, error) {
	if t.wrong != nil {
		return source.Credential{}, t.wrong
	}
	if err := ctx.Err(); err != nil {
		return source.Credential{}, err
	}
	began := time.Now()
	parent, err := t.parent(ctx, began)
	if err != nil {
		return source.Credential{}, err
	}
	if last := t.lastSigned(); last.by(parent) && last.parent.Expires.Equal(parent.Expires) && last.young(began, t.lifetime/reused) {
		return last.Credential, nil
	}
	return t.sign(ctx, began, parent)
}

// Format prints for whom the tokens are, for every verb: the parent credentials
// would print their secret.
func (t *tokens) Format(f fmt.State, _ rune) {
	_, _ = fmt.Fprintf(f, "tokens of RDS IAM for user %q at %q", t.user, t.endpoint)
}

// sign makes a token that was begun at that time.
func (t *tokens) sign(ctx context.Context, began time.Time, parent aws.Credentials) (source.Credential, error) {
	provider := aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) { return parent, nil })
	token, err := auth.BuildAuthToken(ctx, t.endpoint, t.region, t.user, provider)
	if err != nil {
		return source.Credential{}, t.failed(Unsigned, "", err, parent)
	}
	s := signed{parent: parent, Credential: source.Credential{
		Username: t.user,
		Password: source.NewSecret(token),
		Issued:   began,
		// The token has its date in whole seconds.
		Expires: began.Truncate(time.Second).Add(t.lifetime),
		Reason:  "token",
	}}
	if parent.CanExpire && parent.Expires.Before(s.Expires) {
		s.Expires, s.Reason = parent.Expires, "aws credentials"
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = s
	return s.Credential, nil
}

func (t *tokens) lastSigned() signed {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.last
}

// by reports whether parent has signed s.
func (s signed) by(parent aws.Credentials) bool {
	return s.parent.HasKeys() && s.parent.AccessKeyID == parent.AccessKeyID &&
		s.parent.SecretAccessKey == parent.SecretAccessKey && s.parent.SessionToken == parent.SessionToken
}

// young reports whether s was signed less than limit ago. That is up to the wall
// clock: it goes on while the machine sleeps.
func (s signed) young(now time.Time, limit time.Duration) bool {
	age := now.Round(0).Sub(s.Issued.Round(0))
	return age >= 0 && age < limit
}
