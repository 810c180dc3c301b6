package faults_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/faults"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/refresh"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Suite{Runner: m}) }

// recovery is how soon after an outage every client must be served again, with
// no failure after that.
const recovery = 2 * time.Second

// A fault is something that goes wrong for a while.
type fault struct {
	name   string
	begin  func(*storm)
	end    func(*storm)
	lasts  time.Duration
	breaks bool // sessions; a slow network does not
}

var table = append(toxics(), []fault{
	{name: "none", begin: func(*storm) {}, end: func(*storm) {}, lasts: 3 * time.Second},
	{
		name:   "cut",
		begin:  func(s *storm) { s.proxy.Stop() },
		end:    func(s *storm) { require.NoError(s.t, s.proxy.Start()) },
		lasts:  3 * time.Second,
		breaks: true,
	},
	{
		name: "restart",
		begin: func(s *storm) {
			s.rotating.Lock()
			require.NoError(s.t, s.server.Stop(s.t.Context()))
		},
		end: func(s *storm) {
			require.NoError(s.t, s.server.Start(s.t.Context()))
			s.rotating.Unlock()
		},
		lasts:  time.Second,
		breaks: true,
	},
	{
		name: "crash",
		begin: func(s *storm) {
			s.rotating.Lock()
			require.NoError(s.t, s.server.Crash(s.t.Context()))
		},
		end: func(s *storm) {
			require.NoError(s.t, s.server.Start(s.t.Context()))
			s.rotating.Unlock()
		},
		breaks: true,
	},
}...)

func toxics() (all []fault) {
	for _, toxic := range faults.Toxics {
		f := fault{
			name:   toxic.Name,
			begin:  func(s *storm) { require.NoError(s.t, s.proxy.Add(toxic.Kind, toxic.Attributes)) },
			end:    func(s *storm) { require.NoError(s.t, s.proxy.Remove(toxic.Kind)) },
			lasts:  3 * time.Second,
			breaks: toxic.Breaks,
		}
		if toxic.Kind == "reset_peer" { // which makes for many logins
			f.lasts = time.Second
		}
		all = append(all, f)
	}
	return all
}

func TestFaultsDuringRollovers(t *testing.T) {
	server := pgtest.New(t, nil)
	for _, d := range designs {
		for _, f := range table {
			t.Run(d.name+"/"+f.name, func(t *testing.T) { f.strike(t, startStorm(t, d, server)) })
		}
	}
}

// strike has the fault begin just when a rollover has begun.
func (f fault) strike(t *testing.T, s *storm) {
	defer s.end()
	s.rollover()
	s.rollover()
	s.recovered(time.Now()) // all clients are at work
	before, done := s.pool.Health(), s.rotations()

	s.rollover()
	o := faults.Outage{Begun: time.Now()}
	s.hasty.Store(f.breaks) // what is rotated meanwhile nobody can follow
	f.begin(s)
	pause(f.lasts)
	s.hasty.Store(false)
	f.end(s)
	o.Ended = time.Now()
	served := s.recovered(o.Ended)
	s.rollover()
	s.rollover()
	statements := s.end() // after the last rotation has been completed

	after, rotations := s.pool.Health(), s.rotations()-done
	failures := s.witness.Take()
	var last time.Duration
	unexcused := 0
	for _, failure := range failures {
		last = max(last, failure.Ended.Sub(o.Ended))
		if !f.breaks || !o.Excuses(failure) {
			if unexcused++; unexcused <= 5 {
				t.Errorf("failed %v after the end of the outage: %v", failure.Ended.Sub(o.Ended).Round(time.Millisecond), failure)
			}
		}
	}
	logins, rejected := int(after.Logins-before.Logins), int(after.LoginsRejected-before.LoginsRejected)
	t.Logf("outage of %v; all served again after %v, last failure after %v; %d statements, %d failed; %d rotations, %d logins, %d rejected",
		o.Ended.Sub(o.Begun).Round(time.Millisecond), served.Round(time.Millisecond), last.Round(time.Millisecond),
		statements, len(failures), rotations, logins, rejected)
	require.Zero(t, unexcused, "statements failed for another reason than the outage")
	require.Less(t, served, recovery)
	require.Less(t, last, recovery)

	// Each rotation and the outage cost a pool's worth of logins and no more.
	require.LessOrEqual(t, logins, (rotations+2)*(maxConns+pace))
	require.LessOrEqual(t, rejected, rotations*maxConns)

	// What was rotated during the outage is in use, and nothing else.
	require.Eventually(t, func() bool {
		h := s.pool.Health()
		return h.State == refresh.Fresh && len(h.Connections) == 1 && h.Connections[h.Generation] > 0
	}, patience, time.Millisecond, "%+v", s.pool.Health())
	require.LessOrEqual(t, s.sessions(), maxConns+pace)
}
