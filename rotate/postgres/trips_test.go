package postgres_test

import (
	"context"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/file"
	"github.com/rekey-go/rekey/rotate/generate"
	"github.com/rekey-go/rekey/rotate/postgres"
	"github.com/rekey-go/rekey/source"
)

var update = flag.Bool("update", false, "write testdata/trips.txt anew")

// A meter counts the round trips of all sessions: what is written after
// something was read, and what is written first.
type meter struct {
	mu       sync.Mutex
	sessions int
	trips    int
}

func (m *meter) dial(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err != nil {
		return nil, err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.sessions++
	return &metered{Conn: conn, meter: m, turn: true}, nil
}

type metered struct {
	net.Conn
	meter *meter
	turn  bool // the next thing written is a request
}

func (c *metered) Write(b []byte) (int, error) {
	const goodbye = 'X' // nobody answers that
	c.meter.mu.Lock()
	if c.turn && b[0] != goodbye {
		c.meter.trips++
		c.turn = false
	}
	c.meter.mu.Unlock()
	return c.Conn.Write(b)
}

func (c *metered) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.meter.mu.Lock()
	defer c.meter.mu.Unlock()
	c.turn = c.turn || n > 0
	return n, err
}

// taken returns what was counted since it was called last.
func (m *meter) taken() (sessions, trips int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	sessions, trips = m.sessions, m.trips
	m.sessions, m.trips = 0, 0
	return sessions, trips
}

// A still target has nobody to wait for.
type still struct {
	rotate.Target
	empty func(user string)
}

func (s still) Sessions(ctx context.Context, user string) (int, error) {
	s.empty(user)
	return s.Target.Sessions(ctx, user)
}

// What a rotation asks of the server is what testdata/trips.txt says.
func TestRoundTrips(t *testing.T) {
	var table strings.Builder
	w := tabwriter.NewWriter(&table, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "# One rotation: the logins to the server and the round trips, those of the logins")
	fmt.Fprintln(w, "# (3 each, without TLS) included. Not counted: the store, and checks of one's own.")
	fmt.Fprintln(w, "strategy\tstep\tlogins\tround trips")
	for _, s := range strategies {
		h := newHouse(t, pgtest.Server(t), "")
		rows, logins, trips := h.measure(s.open(h))
		for _, row := range rows {
			fmt.Fprintf(w, "%s\t%s\n", s.name, row)
		}
		fmt.Fprintf(w, "%s\tall\t%d\t%d\n", s.name, logins, trips)
	}
	require.NoError(t, w.Flush())
	t.Log(table.String())
	golden := filepath.Join("testdata", "trips.txt")
	if *update {
		require.NoError(t, os.WriteFile(golden, []byte(table.String()), 0o600))
	}
	want, err := os.ReadFile(golden)
	require.NoError(t, err)
	require.Equal(t, string(want), table.String(), "go test -run TestRoundTrips -update")
}

// measure rotates twice, and counts for the second time, when all steps have
// something to do.
func (h *house) measure(open func(*postgres.Config) (rotate.Target, error)) (rows []string, logins, trips int) {
	t := h.t
	config, _ := h.config()
	config.Verify = nil
	m := new(meter)
	admin := config.Login.Copy()
	admin.User, admin.Password, admin.DialFunc = h.rotator, "rotator's", m.dial
	config.Admin = func(ctx context.Context) (*pgx.Conn, error) { return pgx.ConnectConfig(ctx, admin) }
	config.Login.DialFunc = m.dial
	target, err := open(config)
	require.NoError(t, err)

	path := filepath.Join(t.TempDir(), "secret.json")
	require.NoError(t, os.WriteFile(path, fmt.Appendf(nil, `{"username":%q,"password":%q}`, h.first.Username, h.first.Password.Reveal()), 0o600))
	counting := false
	note := func(step string) {
		sessions, n := m.taken()
		logins, trips = logins+sessions, trips+n
		if counting && n > 0 {
			rows = append(rows, fmt.Sprintf("%s\t%d\t%d", step, sessions, n))
		}
	}
	r, err := rotate.New(&rotate.Config{
		Store: file.New(path, nil), Target: still{postgres.Cheap(target), h.empty}, Poll: time.Minute,
		Generate: func() (source.Secret, error) { return generate.Password(nil) },
		Audit: func(e rotate.Event) {
			switch e.Outcome {
			case rotate.OutcomeBegun:
				note("look")
			default:
				note(string(e.Step))
			}
		},
	})
	require.NoError(t, err)
	for _, counting = range []bool{false, true} {
		logins, trips = 0, 0
		_, err = r.Rotate(t.Context())
		require.NoError(t, err)
		note("look")
	}
	return rows, logins, trips
}

// empty waits until user has no session: those of verify end in their own time.
func (h *house) empty(user string) {
	require.Eventually(h.t, func() bool {
		return h.value("select count(*)::text from pg_stat_activity where usename = $1", user) == "0"
	}, 10*time.Second, time.Millisecond)
}
