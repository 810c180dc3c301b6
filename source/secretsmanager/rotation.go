package secretsmanager

import (
	"context"
	"errors"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
)

// A RotationState says whether a secret is rotated as it should be.
type RotationState string

// The states of a [Rotation].
const (
	// Rotated: on schedule.
	Rotated RotationState = "rotated"
	// Overdue: the schedule is on, and the rotation has not happened. Look at
	// the rotation function's log.
	Overdue RotationState = "overdue"
	// NeverRotated: the schedule is on, and no rotation has ever succeeded.
	NeverRotated RotationState = "never rotated"
	// Disabled: nobody rotates the secret.
	Disabled RotationState = "disabled"
)

// A Rotation is how the rotation of one secret stands. It holds no part of the
// secret's value.
type Rotation struct {
	Name  string        `json:"name"`  // of the secret
	ARN   string        `json:"arn"`   // of the secret
	State RotationState `json:"state"` // whether somebody has to look

	Last time.Time `json:"last,omitzero"` // rotated last; zero: never
	Due  time.Time `json:"due,omitzero"`  // to be rotated by then; zero: not known, or disabled

	// Late is how long ago Due was, also where the secret was never rotated.
	// Zero: it is to come, or within [RotationOptions.Grace]. In JSON it is in
	// nanoseconds.
	Late time.Duration `json:"late_ns,omitempty"`

	// Unfinished says that AWSPENDING is on another version than AWSCURRENT: a
	// rotation is under way, or one has failed half-way.
	Unfinished bool `json:"unfinished,omitempty"`
}

// LateDays is Late in whole days.
func (r Rotation) LateDays() int { return int(r.Late / (24 * time.Hour)) }

// RotationOptions adjust the look at rotations. The zero value, or nil, means
// the defaults.
type RotationOptions struct {
	// Grace is how long after Due a rotation may still be under way. Zero: a
	// day, which is the rotation window of a schedule in days. Negative: none.
	Grace time.Duration

	// Report is called with every result, for metrics. Nil: nobody is.
	Report func(Rotation)
}

// RotationHealth tells how the rotation of the secret with this name or ARN
// stands, in one DescribeSecret. Errors are those of [Source.Credential].
func RotationHealth(ctx context.Context, client Client, secretID string, opts *RotationOptions) (Rotation, error) {
	if err := present(client); err != nil {
		return Rotation{}, err
	}
	out, err := client.DescribeSecret(ctx, &secretsmanager.DescribeSecretInput{SecretId: &secretID}, signing)
	if err != nil {
		return Rotation{}, failed(ctx, client, "DescribeSecret", secretID, "", err)
	}
	if out.DeletedDate != nil {
		return Rotation{}, deleted("DescribeSecret", secretID)
	}
	return opts.judge(types.SecretListEntry{
		Name: out.Name, ARN: out.ARN, CreatedDate: out.CreatedDate,
		RotationEnabled: out.RotationEnabled, RotationRules: out.RotationRules,
		LastRotatedDate: out.LastRotatedDate, NextRotationDate: out.NextRotationDate,
		SecretVersionsToStages: out.VersionIdsToStages,
	}, time.Now()), nil
}

// A Lister is what [RotationHealths] needs of a *secretsmanager.Client.
type Lister = secretsmanager.ListSecretsAPIClient

// RotationHealths tells how the rotations of all secrets stand whose names
// begin with prefix, in as many ListSecrets as there are pages. An error ends
// the sequence.
func RotationHealths(ctx context.Context, client Lister, prefix string, opts *RotationOptions) iter.Seq2[Rotation, error] {
	return func(yield func(Rotation, error) bool) {
		if err := present(client); err != nil {
			yield(Rotation{}, err)
			return
		}
		in := &secretsmanager.ListSecretsInput{MaxResults: aws.Int32(100)}
		if prefix != "" {
			in.Filters = []types.Filter{{Key: types.FilterNameStringTypeName, Values: []string{prefix}}}
		}
		pages := secretsmanager.NewListSecretsPaginator(client, in, func(o *secretsmanager.ListSecretsPaginatorOptions) {
			o.StopOnDuplicateToken = true
		})
		for pages.HasMorePages() {
			page, err := pages.NextPage(ctx, signing)
			if err != nil {
				yield(Rotation{}, failed(ctx, client, "ListSecrets", prefix, "", err))
				return
			}
			for _, entry := range page.SecretList {
				// Stores that stand in for AWS match more than the beginning.
				if !strings.HasPrefix(aws.ToString(entry.Name), prefix) {
					continue
				}
				if !yield(opts.judge(entry, time.Now()), nil) {
					return
				}
			}
		}
	}
}

// judge reports what it finds.
func (o *RotationOptions) judge(s types.SecretListEntry, now time.Time) Rotation {
	var opts RotationOptions
	if o != nil {
		opts = *o
	}
	if opts.Grace == 0 {
		opts.Grace = 24 * time.Hour
	}
	r := judge(s, now, max(opts.Grace, 0))
	if opts.Report != nil {
		opts.Report(r)
	}
	return r
}

// judge is a pure function.
func judge(s types.SecretListEntry, now time.Time, grace time.Duration) Rotation {
	r := Rotation{
		Name: aws.ToString(s.Name), ARN: aws.ToString(s.ARN), State: Rotated,
		Last: aws.ToTime(s.LastRotatedDate), Unfinished: unfinished(s.SecretVersionsToStages),
	}
	if !aws.ToBool(s.RotationEnabled) {
		r.State = Disabled
		return r
	}
	// The store moves its own date on after a failure, so the interval counts
	// as well.
	r.Due = aws.ToTime(s.NextRotationDate)
	since := r.Last
	if since.IsZero() {
		since = aws.ToTime(s.CreatedDate)
	}
	if every := interval(s.RotationRules); every > 0 && !since.IsZero() {
		if due := since.Add(every); r.Due.IsZero() || due.Before(r.Due) {
			r.Due = due
		}
	}
	if late := now.Sub(r.Due); !r.Due.IsZero() && late > grace {
		r.State, r.Late = Overdue, late
	}
	if r.Last.IsZero() {
		r.State = NeverRotated
	}
	return r
}

// unfinished reports whether AWSPENDING is on a version that is not current.
func unfinished(versions map[string][]string) bool {
	for _, labels := range versions {
		isPending, isCurrent := false, false
		for _, label := range labels {
			isPending = isPending || label == pending
			isCurrent = isCurrent || label == current
		}
		if isPending && !isCurrent {
			return true
		}
	}
	return false
}

// interval returns the time between two rotations; zero: it is not known, as
// for a cron expression.
func interval(rules *types.RotationRulesType) time.Duration {
	if rules == nil {
		return 0
	}
	if rules.AutomaticallyAfterDays != nil {
		return time.Duration(*rules.AutomaticallyAfterDays) * 24 * time.Hour
	}
	every, err := rate(aws.ToString(rules.ScheduleExpression))
	if err != nil {
		return 0
	}
	return every
}

var errNotARate = errors.New("not a rate expression")

// rate reads "rate(10 days)" or "rate(4 hours)".
func rate(expression string) (time.Duration, error) {
	inner, ok := strings.CutPrefix(strings.TrimSpace(expression), "rate(")
	inner, closed := strings.CutSuffix(inner, ")")
	words := strings.Fields(inner)
	if !ok || !closed || len(words) != 2 {
		return 0, errNotARate
	}
	n, err := strconv.Atoi(words[0])
	unit, known := map[string]time.Duration{"hour": time.Hour, "day": 24 * time.Hour}[strings.TrimSuffix(words[1], "s")]
	if err != nil || n < 1 || n > 10_000 || !known {
		return 0, errNotARate
	}
	return time.Duration(n) * unit, nil
}
