package judges_test

import (
	"maps"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Suite{Runner: m}) }

func TestPgxpool(t *testing.T) { judge(t, "pgxpool") }

func TestStdlib(t *testing.T) { judge(t, "stdlib") }

// judge runs the tests of one of pgx's packages on the raw pool, then on the
// managed one, and then those that are excepted, each alone.
func judge(t *testing.T, pkg string) {
	excepted := exceptions[pkg]
	names := slices.Sorted(maps.Keys(excepted))

	raw := build(t, pgx+"/"+pkg, "")
	managed := build(t, "./managed/"+pkg, overlay(t, pkg))
	t.Run("raw", func(t *testing.T) { raw.report(t, raw.run(t)) })
	t.Run("managed", func(t *testing.T) { managed.report(t, managed.run(t, "-test.skip", anyOf(names...))) })
	t.Run("excepted", func(t *testing.T) {
		all := managed.list(t)
		for _, name := range names {
			e := excepted[name]
			t.Run(name, func(t *testing.T) {
				require.Contains(t, all, name, "pgx has no such test any more: remove it from the exceptions")
				r := managed.run(t, "-test.run", anyOf(name), "-test.timeout", "10s")
				require.Equal(t, "fail", r[name].outcome, "it passes: remove it from the exceptions")
				var output strings.Builder
				for _, one := range r {
					output.WriteString(one.output)
				}
				require.Contains(t, output.String(), e.shows, "it fails for another reason than the one that is listed")
				t.Log(e.reason)
			})
		}
	})
}

// report shows each test as one of ours. A test that failed in the crowd gets a
// second chance alone: some of pgx's measure time.
func (b *binary) report(t *testing.T, results map[string]result) {
	t.Helper()
	require.NotEmpty(t, results)
	passed := 0
	for _, name := range slices.Sorted(maps.Keys(results)) {
		t.Run(name, func(t *testing.T) {
			r := results[name]
			if r.outcome == "fail" && !strings.Contains(name, "/") {
				t.Logf("in the crowd it failed:\n%s", r.output)
				maps.Copy(results, b.run(t, "-test.run", anyOf(name))) // of its parts as well
				r = results[name]
			}
			require.Equal(t, "pass", r.outcome, r.output)
			passed++
		})
	}
	t.Logf("%d of %d passed", passed, len(results))
}

// anyOf is a pattern for exactly these tests. None: one that no test has.
func anyOf(names ...string) string {
	return "^(" + strings.Join(append(slices.Clone(names), "-"), "|") + ")$"
}

// dsn is a database of the test's own, with the superuser: pgx's tests end
// sessions and make functions.
func dsn(t *testing.T) string {
	t.Helper()
	db := pgtest.Database(t)
	u, err := url.Parse(db.Server.DSN())
	require.NoError(t, err)
	u.Path, u.RawPath = "/"+db.Name, ""
	return u.String()
}
