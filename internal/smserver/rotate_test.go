package smserver_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/smserver"
)

const function = "arn:aws:lambda:us-east-1:123456789012:function:rotate"

func (u *user) rotate(n int, change ...func(*secretsmanager.RotateSecretInput)) error {
	in := &secretsmanager.RotateSecretInput{
		SecretId: u.id, ClientRequestToken: token(n), RotationLambdaARN: aws.String(function),
		RotationRules: &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	}
	for _, f := range change {
		f(in)
	}
	_, err := u.RotateSecret(u.t.Context(), in)
	return err
}

func (u *user) settled() error { return u.server.Store.WaitRotations(u.t.Context()) }

// byTheBook does what the documented rotation functions do to the secret.
func (u *user) byTheBook(ctx context.Context, step smserver.Step, id, token string) error {
	d, err := u.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &id})
	if err != nil {
		return err
	}
	if len(d.VersionIdsToStages[token]) == 0 || !aws.ToBool(d.RotationEnabled) {
		return fmt.Errorf("version %s is not staged", token)
	}
	switch step {
	case smserver.CreateSecret:
		_, err = u.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id, VersionId: &token, VersionStage: aws.String("AWSPENDING")})
		if missing := new(types.ResourceNotFoundException); !errors.As(err, &missing) {
			return err
		}
		_, err = u.PutSecretValue(ctx, &secretsmanager.PutSecretValueInput{
			SecretId: &id, ClientRequestToken: &token, SecretString: aws.String("made for " + token), VersionStages: []string{"AWSPENDING"},
		})
	case smserver.FinishSecret:
		for old, labels := range d.VersionIdsToStages {
			for _, label := range labels {
				if label == "AWSCURRENT" {
					_, err = u.UpdateSecretVersionStage(ctx, &secretsmanager.UpdateSecretVersionStageInput{
						SecretId: &id, VersionStage: aws.String("AWSCURRENT"), RemoveFromVersionId: &old, MoveToVersionId: &token,
					})
				}
			}
		}
	}
	return err
}

func TestRotation(t *testing.T) {
	u := start(t)
	var steps []smserver.Step
	u.server.Store.OnRotate = func(ctx context.Context, step smserver.Step, id, token string) error {
		steps = append(steps, step)
		return u.byTheBook(ctx, step, id, token)
	}
	require.NoError(t, u.rotate(2))
	require.NoError(t, u.settled())
	require.Equal(t, []smserver.Step{"createSecret", "setSecret", "testSecret", "finishSecret"}, steps)
	text, err := u.get()
	require.NoError(t, err)
	require.Equal(t, "made for "+*token(2), text)
	d := u.describe()
	require.Equal(t, map[string][]string{*token(1): {"AWSPREVIOUS"}, *token(2): {"AWSCURRENT", "AWSPENDING"}}, d.VersionIdsToStages)
	require.True(t, *d.RotationEnabled)
	require.Equal(t, function, *d.RotationLambdaARN)
	require.EqualValues(t, 30, *d.RotationRules.AutomaticallyAfterDays)
	require.True(t, begin.Equal(*d.LastRotatedDate))
	require.Equal(t, "2026-04-09 23:59:59", d.NextRotationDate.UTC().Format(time.DateTime))

	u.clock.pass(24 * time.Hour)
	require.NoError(t, u.rotate(3, func(in *secretsmanager.RotateSecretInput) { in.RotationLambdaARN, in.RotationRules = nil, nil }))
	require.NoError(t, u.settled())
	d = u.describe()
	require.Equal(t, map[string][]string{*token(2): {"AWSPREVIOUS"}, *token(3): {"AWSCURRENT", "AWSPENDING"}}, d.VersionIdsToStages)
	require.Equal(t, "2026-04-10 23:59:59", d.NextRotationDate.UTC().Format(time.DateTime))

	require.NoError(t, u.rotate(3), "the same request once more")
	require.NoError(t, u.settled())
	require.Len(t, steps, 8, "it does nothing")
}

// A value put by hand counts as a rotation for the next date, and a date that
// has passed stays.
func TestNextRotationDate(t *testing.T) {
	u := start(t)
	require.NoError(t, u.rotate(2, func(in *secretsmanager.RotateSecretInput) { in.RotateImmediately = aws.Bool(false) }))
	require.NoError(t, u.settled())
	next := func() string { return u.describe().NextRotationDate.UTC().Format(time.DateOnly) }
	require.Equal(t, "2026-04-09", next())
	require.Nil(t, u.describe().LastRotatedDate)
	u.clock.pass(10 * 24 * time.Hour)
	require.NoError(t, u.put(3, "AWSPENDING"))
	require.Equal(t, "2026-04-09", next(), "nothing is current that was not before")
	require.NoError(t, u.put(4))
	require.Equal(t, "2026-04-19", next())
	u.clock.pass(100 * 24 * time.Hour)
	require.Equal(t, "2026-04-19", next(), "overdue")
	require.Nil(t, u.describe().LastRotatedDate)

	out, err := u.ListSecrets(t.Context(), nil)
	require.NoError(t, err)
	require.Equal(t, next(), out.SecretList[0].NextRotationDate.UTC().Format(time.DateOnly))
	require.True(t, *out.SecretList[0].RotationEnabled)
}

// A mere test of the function has a pending version, and leaves none.
func TestRotateLater(t *testing.T) {
	u := start(t)
	u.server.Store.OnRotate = func(_ context.Context, step smserver.Step, _, version string) error {
		if step != smserver.TestSecret || len(u.describe().VersionIdsToStages[version]) != 1 {
			return fmt.Errorf("unexpected %s: %v", step, u.describe().VersionIdsToStages)
		}
		return nil
	}
	require.NoError(t, u.rotate(2, func(in *secretsmanager.RotateSecretInput) { in.RotateImmediately = aws.Bool(false) }))
	require.NoError(t, u.settled())
	require.Equal(t, map[string][]string{*token(1): {"AWSCURRENT"}}, u.describe().VersionIdsToStages)
	require.True(t, *u.describe().RotationEnabled)
}

func TestFailedRotationLeavesItsLabelAndIsReattempted(t *testing.T) {
	u := start(t)
	broken := errors.New("the database is down")
	u.server.Store.OnRotate = func(ctx context.Context, step smserver.Step, id, token string) error {
		if step == smserver.SetSecret && broken != nil {
			return broken
		}
		return u.byTheBook(ctx, step, id, token)
	}
	require.NoError(t, u.rotate(2))
	require.ErrorIs(t, u.settled(), broken)
	require.NoError(t, u.settled(), "a failure is told once")
	require.Equal(t, map[string][]string{*token(1): {"AWSCURRENT"}, *token(2): {"AWSPENDING"}}, u.describe().VersionIdsToStages)
	require.Nil(t, u.describe().LastRotatedDate)
	state := new(types.InvalidRequestException)
	require.ErrorAs(t, u.rotate(3), &state)

	broken = nil
	require.NoError(t, u.rotate(2))
	require.NoError(t, u.settled())
	require.Equal(t, []string{"AWSCURRENT", "AWSPENDING"}, u.describe().VersionIdsToStages[*token(2)])
}

// Without a function's work the pending version is empty.
func TestNoFunction(t *testing.T) {
	u := start(t)
	require.NoError(t, u.rotate(2))
	require.ErrorContains(t, u.settled(), "not AWSCURRENT")
	_, err := u.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: u.id, VersionStage: aws.String("AWSPENDING")})
	missing := new(types.ResourceNotFoundException)
	require.ErrorAs(t, err, &missing)
	require.Equal(t, []string{"AWSPENDING"}, u.describe().VersionIdsToStages[*token(2)])
}

func TestCancelRotation(t *testing.T) {
	u := start(t)
	entered := make(chan struct{}, 2)
	u.server.Store.OnRotate = func(ctx context.Context, _ smserver.Step, _, _ string) error {
		entered <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	require.NoError(t, u.rotate(2))
	<-entered
	require.NoError(t, u.rotate(2), "it runs already")
	state := new(types.InvalidRequestException)
	require.ErrorAs(t, u.rotate(3), &state)
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	require.ErrorIs(t, u.server.Store.WaitRotations(ctx), context.DeadlineExceeded)

	out, err := u.CancelRotateSecret(t.Context(), &secretsmanager.CancelRotateSecretInput{SecretId: u.id})
	require.NoError(t, err)
	require.Equal(t, *token(2), *out.VersionId)
	require.NoError(t, u.settled())
	d := u.describe()
	require.False(t, *d.RotationEnabled)
	require.Nil(t, d.NextRotationDate)
	require.NotNil(t, d.RotationRules, "they are kept")
	require.Equal(t, []string{"AWSPENDING"}, d.VersionIdsToStages[*token(2)])

	require.NoError(t, u.rotate(2), "turned on again")
	<-entered
	u.server.Store.Close()
	require.Error(t, u.rotate(4), "the store is closed")
}
