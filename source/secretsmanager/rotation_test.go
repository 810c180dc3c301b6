package secretsmanager_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/source/secretsmanager"
)

const day = 24 * time.Hour

func TestJudgeRotation(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) *time.Time { return aws.Time(now.Add(-d)) }
	every := func(days int64) *types.RotationRulesType {
		return &types.RotationRulesType{AutomaticallyAfterDays: &days}
	}
	expression := func(text string) *types.RotationRulesType {
		return &types.RotationRulesType{ScheduleExpression: &text}
	}
	on := aws.Bool(true)
	type entry = types.SecretListEntry
	for name, c := range map[string]struct {
		entry entry
		state secretsmanager.RotationState
		days  int
	}{
		"never configured":               {entry{CreatedDate: ago(400 * day)}, secretsmanager.Disabled, 0},
		"switched off":                   {entry{RotationEnabled: aws.Bool(false), LastRotatedDate: ago(400 * day), RotationRules: every(30)}, secretsmanager.Disabled, 0},
		"on schedule":                    {entry{RotationEnabled: on, LastRotatedDate: ago(29 * day), RotationRules: every(30), NextRotationDate: ago(-day)}, secretsmanager.Rotated, 0},
		"within its window":              {entry{RotationEnabled: on, LastRotatedDate: ago(30*day + 23*time.Hour), RotationRules: every(30)}, secretsmanager.Rotated, 0},
		"late by the interval":           {entry{RotationEnabled: on, LastRotatedDate: ago(37 * day), RotationRules: every(30)}, secretsmanager.Overdue, 7},
		"late by the date":               {entry{RotationEnabled: on, LastRotatedDate: ago(37 * day), NextRotationDate: ago(3 * day)}, secretsmanager.Overdue, 3},
		"the date has moved on":          {entry{RotationEnabled: on, LastRotatedDate: ago(37 * day), RotationRules: every(30), NextRotationDate: ago(-23 * day)}, secretsmanager.Overdue, 7},
		"late by a rate":                 {entry{RotationEnabled: on, LastRotatedDate: ago(12 * day), RotationRules: expression("rate(10 days)")}, secretsmanager.Overdue, 2},
		"hours":                          {entry{RotationEnabled: on, LastRotatedDate: ago(30 * time.Hour), RotationRules: expression("rate(4 hours)")}, secretsmanager.Overdue, 1},
		"a cron expression with no date": {entry{RotationEnabled: on, LastRotatedDate: ago(90 * day), RotationRules: expression("cron(0 8 1 * ? *)")}, secretsmanager.Rotated, 0},
		"new, not due yet":               {entry{RotationEnabled: on, CreatedDate: ago(day), RotationRules: every(30)}, secretsmanager.NeverRotated, 0},
		"old and never rotated":          {entry{RotationEnabled: on, CreatedDate: ago(100 * day), RotationRules: every(30)}, secretsmanager.NeverRotated, 70},
	} {
		t.Run(name, func(t *testing.T) {
			r := secretsmanager.Judge(c.entry, now, day)
			require.Equal(t, c.state, r.State)
			require.Equal(t, c.days, r.LateDays())
		})
	}

	r := secretsmanager.Judge(entry{SecretVersionsToStages: map[string][]string{"a": {"AWSCURRENT"}, "b": {"AWSPENDING"}}}, now, day)
	require.True(t, r.Unfinished)
	r = secretsmanager.Judge(entry{SecretVersionsToStages: map[string][]string{"a": {"AWSCURRENT", "AWSPENDING"}, "b": {"AWSPREVIOUS"}}}, now, day)
	require.False(t, r.Unfinished, "the label is left where it was after a success")
}

func TestRate(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"rate(1 day)": day, "rate(10 days)": 10 * day, " rate(4 hours) ": 4 * time.Hour, "rate(1 hour)": time.Hour,
		"": 0, "rate()": 0, "rate(0 days)": 0, "rate(-1 days)": 0, "rate(1 week)": 0, "rate(1 days": 0, "cron(0 8 1 * ? *)": 0,
		"rate(99999999999999999999 days)": 0, "rate(20000 days)": 0, "rate(1 2 days)": 0,
	} {
		got, err := secretsmanager.Rate(text)
		require.Equal(t, want, got, text)
		require.Equal(t, want == 0, err != nil, text)
	}
}

func TestRotationHealthOfOneSecret(t *testing.T) {
	l := newLab(t)
	var reported []secretsmanager.Rotation
	opts := &secretsmanager.RotationOptions{Report: func(r secretsmanager.Rotation) { reported = append(reported, r) }}
	r, err := secretsmanager.RotationHealth(t.Context(), l, name, opts)
	require.NoError(t, err)
	require.Equal(t, secretsmanager.Disabled, r.State)
	require.Equal(t, name, r.Name)
	require.Equal(t, []secretsmanager.Rotation{r}, reported)

	_, err = l.RotateSecret(t.Context(), &sdk.RotateSecretInput{
		SecretId: aws.String(name), RotateImmediately: aws.Bool(false),
		RotationLambdaARN: aws.String("arn:aws:lambda:eu-central-1:123456789012:function:rotate"),
		RotationRules:     &types.RotationRulesType{AutomaticallyAfterDays: aws.Int64(30)},
	})
	require.NoError(t, err)
	r, err = secretsmanager.RotationHealth(t.Context(), l, name, nil)
	require.NoError(t, err)
	require.Equal(t, secretsmanager.NeverRotated, r.State)
	require.WithinRange(t, r.Due, time.Now().Add(29*day), time.Now().Add(31*day))

	_, err = secretsmanager.RotationHealth(t.Context(), l, "other", nil)
	var e *secretsmanager.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, secretsmanager.NotFound, e.Kind)
}

func TestRotationHealthOfAPrefix(t *testing.T) {
	l := newLab(t)
	for n := range 150 {
		_, err := l.CreateSecret(t.Context(), &sdk.CreateSecretInput{Name: aws.String(fmt.Sprintf("shop/%03d", n)), SecretString: aws.String("{}")})
		require.NoError(t, err)
	}
	l.sent()
	seen := map[string]bool{}
	for r, err := range secretsmanager.RotationHealths(t.Context(), l, "shop/", nil) {
		require.NoError(t, err)
		require.Equal(t, secretsmanager.Disabled, r.State)
		seen[r.Name] = true
	}
	require.Len(t, seen, 150)
	require.Equal(t, []string{"ListSecrets", "ListSecrets"}, l.sent(), "a hundred a page")

	for _, err := range secretsmanager.RotationHealths(t.Context(), l, "shop/", nil) {
		require.NoError(t, err)
		break
	}
	require.Len(t, l.sent(), 1, "no more pages than asked for")

	l.breaks(fails("AccessDeniedException", "no"))
	n := 0
	for _, err := range secretsmanager.RotationHealths(context.Background(), l, "", nil) {
		n++
		require.ErrorContains(t, err, "a policy must allow secretsmanager:ListSecrets")
	}
	require.Equal(t, 1, n, "an error ends it")
}

func TestRotationHealthOfWhatIsScheduledForDeletion(t *testing.T) {
	l := newLab(t)
	_, err := l.DeleteSecret(t.Context(), &sdk.DeleteSecretInput{SecretId: aws.String(name)})
	require.NoError(t, err)
	_, err = secretsmanager.RotationHealth(t.Context(), l, name, nil)
	var e *secretsmanager.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, secretsmanager.Deleted, e.Kind)
}
