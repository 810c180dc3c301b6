package secretsmanager

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/source"
)

// The labels of a secret's versions.
const (
	current  = "AWSCURRENT"
	pending  = "AWSPENDING"
	previous = "AWSPREVIOUS"
)

var _ source.CandidateSource = (*Source)(nil)

// A Source reads one secret. It is a [source.CandidateSource], whose candidates
// are those of [Options.Bridge]. Its methods are safe for concurrent use.
type Source struct {
	client Client
	id     string
	opts   Options
	err    error       // what is wrong with the arguments, told at every call
	blind  atomic.Bool // DescribeSecret is not allowed

	asking atomic.Bool // the cache has not returned

	mu       sync.Mutex
	last     *version // AWSCURRENT as it was read last; nil: not yet
	rejected string   // the version that was AWSCURRENT when Candidates was called; empty: none
}

// A version is one version of the secret as it was read.
type version struct {
	value      source.Secret
	binary     bool
	credential source.Credential
	asked      time.Time // when the request began
}

// New returns a source that reads the secret with this name or ARN. Mistakes in
// the arguments are reported by [Source.Credential].
func New(client Client, secretID string, opts *Options) *Source {
	s := &Source{client: client, id: secretID, opts: opts.withDefaults()}
	if s.err = present(client); s.err == nil && secretID == "" {
		s.err = source.Permanent(errors.New("secretsmanager: the secret ID is empty"))
	}
	return s
}

// Format prints the secret's ID and nothing else, for every verb.
func (s *Source) Format(f fmt.State, _ rune) { _, _ = fmt.Fprintf(f, "secretsmanager.New(%q)", s.id) }

// Credential returns what AWSCURRENT holds. Unless ctx is marked by
// [source.BypassCache], the value is read only when the label has moved. A
// request that failed is an [*Error], a field that is missing or unusable a
// [*source.FieldError].
func (s *Source) Credential(ctx context.Context) (source.Credential, error) {
	if s.err != nil {
		return source.Credential{}, s.err
	}
	began := time.Now()
	if last, rejected := s.seen(); last != nil && !source.CacheBypassed(ctx) {
		same, err := s.unchanged(ctx, last, s.opts.Cache != nil && !rejected)
		switch {
		case err != nil:
			return source.Credential{}, err
		case same:
			return s.lookedAt(last.credential, began), nil
		}
	}
	v, err := s.read(ctx, current)
	if err != nil {
		return source.Credential{}, err
	}
	return s.lookedAt(s.newer(v).credential, began), nil
}

// Candidates returns what AWSPENDING and AWSPREVIOUS hold, if [Options.Bridge]
// is set. An error may come beside what could be read.
func (s *Source) Candidates(ctx context.Context) ([]source.Credential, error) {
	if !s.opts.Bridge || s.err != nil {
		return nil, s.err
	}
	s.reject()
	var found []source.Credential
	var failures []error
	for _, label := range []string{pending, previous} {
		began := time.Now()
		v, err := s.read(ctx, label)
		switch {
		case err == nil:
			found = append(found, s.lookedAt(v.credential, began))
		case kindOf(err) != NotFound: // most of the time there is no such version
			failures = append(failures, err)
		}
	}
	return found, errors.Join(failures...)
}

// seen returns AWSCURRENT as it was read last, and whether the database is known
// to have rejected it.
func (s *Source) seen() (last *version, rejected bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last, s.rejected != "" && s.last.credential.Version == s.rejected
}

// newer keeps v and returns it, unless the answer to a later request has come
// already.
func (s *Source) newer(v *version) *version {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last == nil || !v.asked.Before(s.last.asked) {
		s.last = v
	}
	return s.last
}

// reject notes that AWSCURRENT does not work: it matters now when it moves.
func (s *Source) reject() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.last != nil {
		s.rejected = s.last.credential.Version
	}
}

// lookedAt returns c as it was seen by a request that began at began.
func (s *Source) lookedAt(c source.Credential, began time.Time) source.Credential {
	c.Issued = began
	if poll := s.opts.Poll; poll > 0 {
		c.Recheck = began.Add(poll - time.Duration(rand.Float64()*float64(poll)/5))
	}
	return c
}

// read gets the value of the version that carries label.
func (s *Source) read(ctx context.Context, label string) (*version, error) {
	asked := time.Now()
	out, err := s.client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{
		SecretId: &s.id, VersionStage: &label, // said even where it is the default: stores have been seen to differ
	}, once)
	if err != nil {
		return nil, s.failed(ctx, "GetSecretValue", label, err)
	}
	if out.SecretString == nil && out.SecretBinary == nil { // the SDK takes an empty answer for one
		return nil, &Error{Op: "GetSecretValue", SecretID: s.id, Stage: label, Kind: Malformed, Detail: "it holds no value"}
	}
	v := &version{value: source.NewSecret(aws.ToString(out.SecretString)), asked: asked}
	if out.SecretString == nil {
		v.value, v.binary = source.NewSecret(string(out.SecretBinary)), true
	}
	if v.credential, err = s.parse(label, v.value); err != nil {
		return nil, err
	}
	v.credential.Version = aws.ToString(out.VersionId)
	return v, nil
}

// unchanged reports whether AWSCURRENT is what it was, as far as can be told
// without reading it: by the cache, or else by its label. False means that it
// has to be read.
func (s *Source) unchanged(ctx context.Context, last *version, byCache bool) (bool, error) {
	if byCache {
		return s.cached(ctx, last.binary).Equal(last.value), ctx.Err()
	}
	if s.blind.Load() || last.credential.Version == "" {
		return false, nil
	}
	out, err := s.client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &s.id}, once)
	if err != nil {
		err = s.failed(ctx, "DescribeSecret", "", err)
		if kindOf(err) != Permission {
			return false, err
		}
		if !s.blind.Swap(true) {
			s.opts.Logger.Warn("rekey: the secret's value is read at each look, as nothing else is allowed", "secret", s.id, "error", err)
		}
		return false, nil
	}
	if out.DeletedDate != nil {
		return false, deleted("DescribeSecret", s.id)
	}
	return slices.Contains(out.VersionIdsToStages[last.credential.Version], current), nil
}
