package secretsmanager

import (
	"context"
	"slices"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/secretsmanager"
)

// The labels of a secret's versions.
const (
	current  = "AWSCURRENT"
	pending  = "AWSPENDING"
	previous = "AWSPREVIOUS"
	draft    = "rekey-draft" // of the version that was put last
)

// labels say which version is what. Empty: none is.
type labels struct {
	current, pending, previous string

	holder string // has AWSPENDING, though it may be left over
}

func (s *Store) labels(ctx context.Context) (l labels, err error) {
	if s.err != nil {
		return l, s.err
	}
	const op = "DescribeSecret"
	out, err := s.client.DescribeSecret(ctx, &sdk.DescribeSecretInput{SecretId: &s.id})
	if err != nil {
		return l, s.failed(ctx, op, "", err)
	}
	if out.DeletedDate != nil {
		return l, source.Permanent(&secretsmanager.Error{Op: op, SecretID: s.id, Kind: secretsmanager.Deleted, Detail: "restore it with RestoreSecret"})
	}
	for id, stages := range out.VersionIdsToStages {
		if slices.Contains(stages, current) {
			l.current = id
		}
		if slices.Contains(stages, previous) {
			l.previous = id
		}
		if slices.Contains(stages, pending) {
			l.holder = id
		}
	}
	if l.current == "" {
		return l, source.Permanent(&secretsmanager.Error{Op: op, SecretID: s.id, Stage: current, Kind: secretsmanager.NotFound, Detail: "the secret has no value yet"})
	}
	if l.holder != l.current && l.holder != l.previous {
		l.pending = l.holder
	}
	return l, nil
}

// A step moves a label; to nowhere, if to is empty.
type step struct{ label, from, to string }

// move asks next for the step to take, takes it, and is done. If the step is
// refused, things have changed, and it asks again; next returns nil when all is
// as it should be.
func (s *Store) move(ctx context.Context, next func(labels) (*step, error)) error {
	var last labels
	var refused error
	for {
		l, err := s.labels(ctx)
		if err != nil {
			return err
		}
		do, err := next(l)
		switch {
		case err != nil || do == nil:
			return err
		case refused != nil && l == last:
			return refused // not because of that
		}
		last = l
		if refused, err = s.take(ctx, do); err != nil {
			return err
		}
	}
}

// take takes a step. What Secrets Manager has refused to do is told apart.
func (s *Store) take(ctx context.Context, do *step) (refused, err error) {
	in := &sdk.UpdateSecretVersionStageInput{SecretId: &s.id, VersionStage: &do.label}
	if do.from != "" {
		in.RemoveFromVersionId = &do.from
	}
	if do.to != "" {
		in.MoveToVersionId = &do.to
	}
	const op = "UpdateSecretVersionStage"
	_, err = s.client.UpdateSecretVersionStage(ctx, in)
	if err == nil {
		return nil, nil
	}
	err = s.failed(ctx, op, do.label, err)
	if kindOf(err) == secretsmanager.Refused {
		return err, nil
	}
	return nil, err
}

// put makes a version. One that is there with another value is left alone.
func (s *Store) put(ctx context.Context, token string, value source.Secret) error {
	_, err := s.client.PutSecretValue(ctx, &sdk.PutSecretValueInput{
		SecretId: &s.id, ClientRequestToken: &token, SecretString: aws.String(value.Reveal()), VersionStages: []string{draft},
	})
	if err == nil || exists(err) {
		return nil
	}
	return s.failed(ctx, "PutSecretValue", "", err)
}
