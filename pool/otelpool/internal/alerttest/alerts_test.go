package alerttest

import (
	"context"
	"errors"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source/sourcetest"
)

// refreshing is a pool of which only the refresher is real.
type refreshing struct{ *refresh.Refresher }

func (r refreshing) Health() pool.Health {
	h := r.Refresher.Health()
	return pool.Health{Health: h, Connections: map[uint64]int{h.Generation: 10}}
}

// event is what happens to a store and its refresher at a time of a scenario.
type event func(s *sourcetest.Script, r *refresh.Refresher, since time.Duration)

// with has a real refresher of a scripted store run, and calls each.
func with(ttl time.Duration, opts refresh.Options, each event) func(*testing.T) (pool.Reporter, func(time.Duration)) {
	return func(t *testing.T) (pool.Reporter, func(time.Duration)) {
		store := sourcetest.NewScript()
		store.TTL(ttl)
		store.Dynamic(ttl > 0)
		opts.Name, opts.Logger = "orders", slog.New(slog.DiscardHandler)
		r, err := refresh.New(t.Context(), store, &opts)
		require.NoError(t, err)
		t.Cleanup(r.Close)
		return refreshing{r}, func(since time.Duration) { each(store, r, since) }
	}
}

var errAway = errors.New("the store is away")

// outage takes the store away from begin to end.
func outage(begin, end time.Duration) event {
	return func(s *sourcetest.Script, _ *refresh.Refresher, since time.Duration) {
		if since >= begin && since < end {
			s.Fail(errAway)
			s.FailRenew(errAway)
			s.FailRevoke(errAway)
		} else {
			s.Recover()
			s.FailRenew(nil)
			s.FailRevoke(nil)
		}
	}
}

// at returns the value of a metric at a time of the record.
func at(t *testing.T, scrapes []scrape, since time.Duration, name string) float64 {
	t.Helper()
	for _, s := range scrapes {
		if s.at.Sub(scrapes[0].at) == since {
			v, ok := s.value(name)
			require.True(t, ok, name)
			return v
		}
	}
	require.Failf(t, "no scrape", "at %s", since)
	return 0
}

// TestOutageAlertsLongBeforeExpiry is what the rules are for.
func TestOutageAlertsLongBeforeExpiry(t *testing.T) {
	const ttl = 9 * time.Hour
	scrapes := record(t, time.Minute, 30*time.Hour, with(ttl, refresh.Options{}, outage(10*time.Minute, 20*time.Hour)))
	fired := watch(t, scrapes)
	require.Equal(t, []string{"RekeyCredentialExpired", "RekeyRefreshFailing", "RekeyRefreshFailingLate"}, names(fired))

	failing, late, expired := fired["RekeyRefreshFailing"], fired["RekeyRefreshFailingLate"], fired["RekeyCredentialExpired"]
	left := at(t, scrapes, failing.first, "rekey_credential_expiry_seconds")
	t.Logf("the first alert comes %s before the end", time.Duration(left)*time.Second)
	require.GreaterOrEqual(t, left, (ttl/3 - 10*time.Minute).Seconds(), "a third of its life is left to act")
	require.InDelta(t, (ttl / 4).Seconds(), at(t, scrapes, late.first, "rekey_credential_expiry_seconds"), 180)
	require.InDelta(t, 0, at(t, scrapes, expired.first, "rekey_credential_expiry_seconds"), 180, "not before anything is broken")
	for name, f := range fired {
		require.Less(t, f.last, 20*time.Hour+5*time.Minute, "%s resolves when the store is back", name)
	}
}

func TestShortLivedCredentialAlertsInTime(t *testing.T) {
	scrapes := record(t, 15*time.Second, 20*time.Minute, with(15*time.Minute, refresh.Options{}, outage(time.Minute, time.Hour)))
	fired := watch(t, scrapes)
	require.Contains(t, fired, "RekeyRefreshFailingLate")
	require.Greater(t, at(t, scrapes, fired["RekeyRefreshFailingLate"].first, "rekey_credential_expiry_seconds"), 120.0)
}

// TestHealthyRefreshIsSilent has ends come near all the time.
func TestHealthyRefreshIsSilent(t *testing.T) {
	for name, c := range map[string]struct {
		ttl, every, length time.Duration
		opts               refresh.Options
	}{
		"hours":      {8 * time.Hour, time.Minute, 24 * time.Hour, refresh.Options{}},
		"minutes":    {15 * time.Minute, 15 * time.Second, 4 * time.Hour, refresh.Options{}},
		"last call":  {8 * time.Hour, time.Minute, 24 * time.Hour, refresh.Options{Ahead: time.Minute}},
		"renewed":    {time.Hour, time.Minute, 12 * time.Hour, refresh.Options{PreferRenew: true}},
		"without":    {0, time.Minute, 12 * time.Hour, refresh.Options{}},
		"short trip": {15 * time.Minute, 15 * time.Second, 4 * time.Hour, refresh.Options{}},
	} {
		t.Run(name, func(t *testing.T) {
			each := event(func(*sourcetest.Script, *refresh.Refresher, time.Duration) {})
			if name == "short trip" { // a refresh fails now and then
				each = func(s *sourcetest.Script, r *refresh.Refresher, since time.Duration) {
					outage(0, 90*time.Second)(s, r, since%(10*time.Minute))
				}
			}
			scrapes := record(t, c.every, c.length, with(c.ttl, c.opts, each))
			require.Empty(t, names(watch(t, scrapes)))
			lowest := c.ttl.Seconds()
			for _, s := range scrapes {
				if left, ok := s.value("rekey_credential_expiry_seconds"); ok {
					lowest = min(lowest, left)
				}
			}
			t.Logf("the end came as near as %s", time.Duration(lowest)*time.Second)
		})
	}
}

func TestPolledStoreAway(t *testing.T) {
	fired := watch(t, record(t, time.Minute, 3*time.Hour, with(0, refresh.Options{}, outage(time.Hour, 2*time.Hour))))
	require.Equal(t, []string{"RekeyRefreshFailing"}, names(fired))
	require.InDelta(t, time.Hour+7*time.Minute, fired["RekeyRefreshFailing"].first, float64(5*time.Minute), "a poll, and five minutes")
	require.Less(t, fired["RekeyRefreshFailing"].last, 2*time.Hour+5*time.Minute)
}

func TestDatabaseChangedWithoutItsStore(t *testing.T) {
	fired := watch(t, record(t, 15*time.Second, time.Hour, with(0, refresh.Options{},
		func(_ *sourcetest.Script, r *refresh.Refresher, since time.Duration) {
			if since >= 10*time.Minute {
				r.Invalidate(1)
			}
		})))
	require.Equal(t, []string{"RekeyLoginsRejected", "RekeyRefreshFailing"}, names(fired))
	require.InDelta(t, 12*time.Minute, fired["RekeyLoginsRejected"].first, float64(time.Minute))
}

// told is a pool that says what a scenario has it say.
type told struct{ health pool.Health }

func newTold() *told { return &told{pool.Health{Health: refresh.Health{Name: "orders"}}} }

func (p *told) Health() pool.Health { return p.health }

func TestOtherAlerts(t *testing.T) {
	const begin, end = time.Hour, 4 * time.Hour
	for name, c := range map[string]struct {
		trouble func(*pool.Health)
		after   time.Duration
	}{
		"RekeyUserDisowned":           {func(h *pool.Health) { h.State = refresh.Disowned }, 30 * time.Second},
		"RekeyCredentialExpired":      {func(h *pool.Health) { h.State = refresh.Expired }, 30 * time.Second},
		"RekeyDegraded":               {func(h *pool.Health) { h.State = refresh.Degraded }, 15 * time.Minute},
		"RekeyConnectionsOverstaying": {func(h *pool.Health) { h.Overstaying = 2 }, 15 * time.Minute},
		"RekeyRolloverStuck":          {func(h *pool.Health) { h.Connections[2] = 1; h.Connections[1] = 1 }, time.Hour},
		"RekeyCredentialTakenBack":    {func(h *pool.Health) { h.TakenBack = 1 }, 0},
		"RekeyLeaseUnrevoked":         {func(h *pool.Health) { h.UnrevokedLeases = 1 }, 0},
	} {
		t.Run(name, func(t *testing.T) {
			scrapes := record(t, time.Minute, 6*time.Hour, func(*testing.T) (pool.Reporter, func(time.Duration)) {
				p := newTold()
				return p, func(since time.Duration) {
					p.health = pool.Health{
						Health: refresh.Health{
							Name: "orders", State: refresh.Fresh, Generation: 3,
							Issued: time.Now().Add(-time.Hour), Expires: time.Now().Add(30 * time.Second),
						},
						Connections: map[uint64]int{3: 8},
					}
					if since >= begin && since < end {
						c.trouble(&p.health)
					}
				}
			})
			fired := watch(t, scrapes)
			require.Equal(t, []string{name}, names(fired))
			require.InDelta(t, begin+c.after, fired[name].first, float64(2*time.Minute))
			require.Less(t, fired[name].last, end+time.Hour)
		})
	}
}

// TestBriefTroubleIsSilent has each rollover leave connections behind for a
// while, as those that are lent do.
func TestBriefTroubleIsSilent(t *testing.T) {
	scrapes := record(t, 30*time.Second, 12*time.Hour, func(*testing.T) (pool.Reporter, func(time.Duration)) {
		p := newTold()
		return p, func(since time.Duration) {
			p.health = pool.Health{
				Health:      refresh.Health{Name: "orders", State: refresh.Fresh, Generation: 1 + uint64(since/time.Hour)},
				Connections: map[uint64]int{1 + uint64(since/time.Hour): 8},
			}
			if since%time.Hour < 50*time.Minute {
				p.health.Connections[uint64(since/time.Hour)] = 2
			}
			if since%time.Hour < 10*time.Minute {
				p.health.Overstaying = 1
			}
		}
	})
	require.Empty(t, names(watch(t, scrapes)))
}

// TestClosedPoolIsSilent: a service that shuts down is no incident.
func TestClosedPoolIsSilent(t *testing.T) {
	scrapes := record(t, time.Minute, 3*time.Hour, with(time.Hour, refresh.Options{},
		func(_ *sourcetest.Script, r *refresh.Refresher, since time.Duration) {
			if since == 10*time.Minute {
				_ = r.Shutdown(context.Background())
			}
		}))
	require.Empty(t, names(watch(t, scrapes)))
}
