package report_test

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/report"
	"github.com/rekey-go/rekey/rotate/schedule"
)

var update = flag.Bool("update", false, "write the golden files anew")

// A fixed rotator says always the same.
type fixed struct {
	status rotate.Status
	err    error
}

func (f fixed) Status(context.Context) (rotate.Status, error) { return f.status, f.err }

func golden(t *testing.T, path, got string) {
	t.Helper()
	if *update {
		require.NoError(t, os.WriteFile(path, []byte(got), 0o644))
	}
	want, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, string(want), got)
}

// secrets are one of each kind of trouble, seen at now.
func secrets(t *testing.T, now time.Time) []report.Watched {
	t.Helper()
	quarter, err := schedule.Every(90*24*time.Hour, 0, "orders")
	require.NoError(t, err)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	const day = 24 * time.Hour
	current := &rotate.Info{Token: "6f2c", User: "app", Accepted: true}
	status := func(name string, adjust func(*rotate.Status)) report.Watched {
		s := rotate.Status{Secret: name, Strategy: rotate.Strategy{Name: "parallel role"}, Current: current, Rotated: ago(12 * day), Next: rotate.StepCreate}
		adjust(&s)
		return report.Watched{Name: name, Rotator: fixed{status: s}, Schedule: quarter}
	}
	return []report.Watched{
		status("orders", func(s *rotate.Status) {
			s.Consumers = []rotate.Consumer{{Application: "api", Expected: true, Sessions: 8, Oldest: ago(50 * time.Minute)}, {Application: "worker", Expected: true}}
		}),
		status("billing", func(s *rotate.Status) {
			s.Pending = &rotate.Info{Token: "91ab", User: "app_2", Created: ago(30 * time.Hour)}
			s.Next = rotate.StepApprove
			s.Left = []string{"app_0"}
			s.Consumers = []rotate.Consumer{{Application: "api", Expected: true, Sessions: 3, Behind: 2, Oldest: ago(3 * day)}, {Application: "psql", Sessions: 1, Behind: 1, Oldest: ago(9 * time.Second)}}
		}),
		status("search", func(s *rotate.Status) {
			s.Current, s.Rotated = &rotate.Info{Token: "6f2c", User: "app"}, ago(91*day)
			s.Mismatch = "the current version does not log in"
		}),
		status("cache", func(s *rotate.Status) { s.Rotated = time.Time{} }),
		{Name: "stock", Rotator: fixed{err: errors.New("rotate: stock cannot be read: permission denied")}},
	}
}

// tallied has counted a day of failures.
func tallied(now time.Time) *report.Tally {
	var tally report.Tally
	at := now.Add(-24 * time.Hour)
	event := func(secret string, step rotate.Step, outcome rotate.Outcome, class string) {
		tally.Audit(rotate.Event{Time: at, Secret: secret, Rotation: "91ab", Step: step, Outcome: outcome, Class: class})
	}
	event("orders", rotate.StepCreate, rotate.OutcomeBegun, "")
	event("orders", rotate.StepCreate, rotate.OutcomeOK, "")
	event("billing", rotate.StepSet, rotate.OutcomeOK, "")
	event("billing", rotate.StepVerify, rotate.OutcomeFailed, "timeout")
	event("billing", rotate.StepVerify, rotate.OutcomeFailed, "timeout")
	event("billing", rotate.StepApprove, rotate.OutcomeFailed, "denied")
	return &tally
}

func TestReportAsText(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := report.Make(t.Context(), tallied(time.Now()), secrets(t, time.Now()))
		golden(t, "testdata/report.txt", r.String())
	})
}

func TestReportAsJSON(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := report.Make(t.Context(), tallied(time.Now()), secrets(t, time.Now()))
		text, err := json.MarshalIndent(r, "", "  ")
		require.NoError(t, err)
		golden(t, "testdata/report.json", string(text)+"\n")
	})
}

func TestConsumersTheOtherWayRound(t *testing.T) {
	r := report.Make(t.Context(), nil, secrets(t, time.Now()))
	require.Equal(t, map[string][]string{"api": {"orders", "billing"}, "worker": {"orders"}, "psql": {"billing"}}, r.Consumers())
}

// One report a day, each with the counts of its day.
func TestDaily(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		at, err := schedule.Cron("0 7 * * *", time.UTC)
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var tally report.Tally
		sent := make(chan report.Report)
		broken := true
		done := make(chan error, 1)
		go func() {
			done <- report.Daily(ctx, at, &tally, secrets(t, time.Now())[:2], func(_ context.Context, r report.Report) error {
				if r.Time.Day() == 2 && r.Time.Hour() == 7 && r.Time.Minute() == 0 && broken {
					broken = false
					return errors.New("no mail today")
				}
				sent <- r
				return nil
			})
		}()
		begun := time.Now() // midnight, 1 January 2000
		fail := func(n int) {
			for range n {
				tally.Audit(rotate.Event{Time: time.Now(), Secret: "orders", Step: rotate.StepSet, Outcome: rotate.OutcomeFailed, Class: "timeout"})
			}
		}
		fail(2)
		first := <-sent
		require.Equal(t, begun.Add(7*time.Hour), first.Time)
		require.Equal(t, begun, first.Since)
		require.Equal(t, 2, first.Secrets[0].Failed)
		fail(3)
		second := <-sent
		require.Equal(t, first.Time.Add(24*time.Hour+10*time.Minute), second.Time, "once more after the mail that failed")
		require.Equal(t, first.Time, second.Since)
		require.Equal(t, 3, second.Secrets[0].Failed)
		require.Equal(t, map[string]int{"timeout": 3}, second.Secrets[0].Classes)
		third := <-sent
		require.Equal(t, first.Time.Add(48*time.Hour), third.Time)
		require.Zero(t, third.Secrets[0].Failed)
		require.Empty(t, third.Secrets[0].Classes)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
	})
}

// Rotators count while a report is made, and nothing is counted twice or lost.
func TestTallyIsForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var tally report.Tally
		hourly, err := schedule.Every(time.Hour, 0, "")
		require.NoError(t, err)
		ctx, cancel := context.WithCancel(t.Context())
		total := 0
		var group sync.WaitGroup
		group.Go(func() {
			_ = report.Daily(ctx, hourly, &tally, secrets(t, time.Now())[:1], func(_ context.Context, r report.Report) error {
				total += r.Secrets[0].Steps
				return nil
			})
		})
		var rotators sync.WaitGroup
		for range 8 {
			rotators.Go(func() {
				for range 500 {
					tally.Audit(rotate.Event{Time: time.Now(), Secret: "orders", Step: rotate.StepSet, Outcome: rotate.OutcomeOK})
					time.Sleep(time.Minute)
				}
			})
		}
		rotators.Wait()
		time.Sleep(2 * time.Hour)
		cancel()
		group.Wait()
		require.Equal(t, 8*500, total)
	})
}
