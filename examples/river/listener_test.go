package riverorders_test

import (
	"context"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// never is a poll interval with which only a notification has a job worked soon.
const never = time.Hour

// Left alone, the listener keeps its session: the credential never drains, and
// the dropped user goes on hearing.
func TestListenerKeepsTheSessionOfItsCredential(t *testing.T) {
	s := listening(t, 0, never)
	s.hears(t)
	was, listener := s.queue.Health(), s.listener(t)
	require.NotZero(t, listener)

	s.newUser(t)
	eventually(t, "one connection has stayed, and is reported", func() bool {
		h := s.queue.Health()
		return h.Generation > was.Generation && h.Connections[was.Generation] == 1 && h.Overstaying == 1
	})
	require.NoError(t, s.db.Drained(within(t), was.Version), "the others have gone")
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	require.ErrorIs(t, s.queue.Drained(ctx, was.Version), context.DeadlineExceeded)

	s.drop(t, was.Username)
	s.hears(t)
	require.Equal(t, listener, s.listener(t))
	require.Empty(t, s.log.all(), "River does not know")

	// Whoever ends the session helps: River makes another one, after a pause
	// that doubles each time for as long as the process lives.
	for range 3 {
		began := time.Now()
		s.do(t, "select pg_terminate_backend("+strconv.Itoa(listener)+")")
		require.NoError(t, s.queue.Drained(within(t), was.Version))
		listener = s.listensAnew(t, listener)
		t.Logf("listens anew %v after its session was terminated", time.Since(began).Round(10*time.Millisecond))
		s.hears(t)
	}
	s.shipped(t)
}

// On a pool that cuts it, the listener follows by itself.
func TestListenerFollowsWhereItIsCut(t *testing.T) {
	s := listening(t, time.Millisecond, never)
	s.hears(t)
	for n := range 2 {
		listener, began := s.listener(t), time.Now()
		require.NotZero(t, listener)
		s.RotateUser(t, s.db, s.queue)
		rotated := time.Since(began)
		require.GreaterOrEqual(t, rotated, drain, "it waits for the listener")
		require.GreaterOrEqual(t, s.queue.Health().Severed, uint64(n+1))
		s.listensAnew(t, listener)
		t.Logf("rotated in %v with a drain of %v, listens anew %v later", rotated.Round(10*time.Millisecond), drain,
			(time.Since(began) - rotated).Round(10*time.Millisecond))
		s.hears(t)
	}
	require.Zero(t, s.db.Health().Severed)
	s.shipped(t)
}

// hears fails the test unless an order is shipped because River was notified.
// A session that listens anew does so for one topic after the other, so the
// first order may be missed; the next brings all.
func (s *shop) hears(t *testing.T) {
	t.Helper()
	var next time.Time
	eventually(t, "shipped after a notification", func() bool {
		if time.Now().After(next) {
			_, err := s.store.Place(t.Context(), "tea", 1)
			require.NoError(t, err)
			next = time.Now().Add(time.Second)
		}
		return s.count(t, "select count(*) from orders where id not in (select order_id from shipments)") == 0
	})
}

// listener returns the number of the session that listens, 0 if none does. It
// shows itself while LISTEN is the last statement that it has run.
func (s *shop) listener(t *testing.T) int {
	t.Helper()
	s.listens = s.count(t, `select coalesce(max(pid), 0) from pg_stat_activity
		where datname = current_database() and (query ilike 'listen %' or pid = $1)`, s.listens)
	return s.listens
}

// listensAnew waits for another session to listen, and returns its number.
func (s *shop) listensAnew(t *testing.T, before int) (now int) {
	t.Helper()
	eventually(t, "listens anew", func() bool {
		now = s.listener(t)
		return now != 0 && now != before
	})
	return now
}

// newUser has the store hold a new user, as a rotation does that waits for
// nobody.
func (s *shop) newUser(t *testing.T) {
	t.Helper()
	s.do(t, "create role "+s.next+" login password 'made-up' in role "+s.group)
	s.Store().Put(s.next, "made-up")
}

// drop drops the first user. The test's end makes him again, for the server to
// remove what it has made.
func (s *shop) drop(t *testing.T, user string) {
	t.Helper()
	s.do(t, "drop role "+user)
	t.Cleanup(func() { s.do(t, "create role "+user) })
}
