package secretsmanager_test

import (
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-secretsmanager-caching-go/v2/secretcache"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/smserver"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source/secretsmanager"
)

// What a day without a rotation costs, with the requests of the cache.
func TestRequestsAnHour(t *testing.T) {
	for name, c := range map[string]struct {
		cache bool
		poll  time.Duration
		most  int // in an hour
	}{
		"defaults":            {false, 0, 15},
		"a poll a minute":     {false, time.Minute, 75},
		"a poll an hour":      {false, time.Hour, 2},
		"cache":               {true, 0, 3},
		"cache, every minute": {true, time.Minute, 3},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				o := &secretsmanager.Options{Poll: c.poll}
				if c.cache {
					cache, err := secretcache.New(func(c *secretcache.Cache) { c.Client = l })
					require.NoError(t, err)
					o.Cache = cache
				}
				r, err := refresh.New(t.Context(), l.source(o), &refresh.Options{Logger: logger(t)})
				require.NoError(t, err)
				defer r.Close()
				time.Sleep(time.Hour)
				l.sent()
				all := 0
				for range 24 {
					time.Sleep(time.Hour)
					n := len(l.sent())
					all += n
					require.LessOrEqual(t, n, c.most)
				}
				require.Positive(t, all)
				require.Equal(t, refresh.Fresh, r.Health().State)
				t.Logf("%.1f requests an hour", float64(all)/24)
			})
		})
	}
}

// Answers of different ages: none loses a login for longer than the next look,
// and what is current in the end is what the store says in the end.
func TestAnswersOfDifferentAges(t *testing.T) {
	l := newLab(t)
	s := l.source(nil)
	get(t, s)
	stale := l.behind()
	version := l.put(login("app", "second"))

	stale.value = true // the label has moved and the value is from before
	require.Equal(t, "first", get(t, s).Password.Reveal())
	stale.value = false
	require.Equal(t, version, get(t, s).Version, "found at the next look")

	stale.look, stale.value = true, true // both are from before, after the new one was seen
	require.Equal(t, "first", get(t, s).Password.Reveal(), "the gate is for this")
	require.Equal(t, "first", force(t, s).Password.Reveal())
	stale.look, stale.value = false, false
	require.Equal(t, version, get(t, s).Version)

	stale.look = true // only the look is
	require.Equal(t, version, get(t, s).Version)
}

// behind has requests of l be answered out of the past, as its result says.
func (l *lab) behind() *past {
	p := &past{}
	began := time.Now()
	l.breaks(func(w http.ResponseWriter, r *http.Request) {
		op := smserver.Operation(r)
		if p.look && op == "DescribeSecret" || p.value && op == "GetSecretValue" {
			r = r.WithContext(smserver.AsOf(r.Context(), began))
		}
		l.ServeHTTP(w, r)
	})
	return p
}

// A past says which requests see it.
type past struct{ look, value bool }
