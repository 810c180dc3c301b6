package refresh_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

func TestCandidatesAreTriedInOrderAfterARejection(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		s.Set(cred("current"))
		s.Offer(cred("current"), cred("wrong"), cred("pending"), cred("previous"))
		r := start(t, s, nil)
		db := &database{}
		attach(t, r, db)
		require.NoError(t, r.Refresh(t.Context()))
		assert.Equal(t, []string{"current"}, db.asked(), "only after a rejection")

		db.refuses(rejection("password"), "current", "wrong")
		r.Invalidate(1)
		_, err := r.Latest(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "pending", r.Current().Username)
		assert.Equal(t, []string{"current", "wrong", "pending"}, db.asked())

		// What the database has rejected already is not sent all over again.
		advance(30 * time.Minute)
		assert.LessOrEqual(t, len(db.asked()), 3+4+4)
		assert.Equal(t, "pending", r.Current().Username)
		db.accepts()
		s.Set(cred("pending")) // promoted
		advance(6 * time.Minute)
		assert.EqualValues(t, 2, r.Current().Generation)
		assert.Equal(t, refresh.Fresh, r.Health().State)
	})
}

func TestCandidatesThatCannotBeJudged(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		s.Set(cred("current"))
		s.Offer(cred("pending"), source.Credential{}, cred("previous"))
		r := start(t, s, nil)
		db := &database{}
		attach(t, r, db)
		db.refuses(errAway, "pending")
		r.Invalidate(1)
		synctest.Wait()
		assert.Equal(t, "previous", r.Current().Username, "the first that is accepted")
		calls := s.Calls()
		db.refuses(rejection("password"), "current")
		advance(6 * time.Minute)
		assert.NotContains(t, db.asked()[3:], "pending", "not remembered")
		assert.Greater(t, s.Calls(), calls)
	})
}

// secretive knows of candidates but does not tell them.
type secretive struct{ source.Source }

func (secretive) Candidates(context.Context) ([]source.Credential, error) {
	return nil, errors.New("no access to the version stages")
}

func TestCandidatesThatAreNotKnown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, secretive{script()}, nil)
		r.Invalidate(1)
		synctest.Wait()
		assert.Contains(t, r.Health().LastError, "still holds")
		assert.Contains(t, r.Health().LastError, "no access to the version stages")
	})
}

func TestSourceWithoutCandidates(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := start(t, source.Static("app", source.NewSecret("p")), nil)
		r.Invalidate(1)
		synctest.Wait()
		assert.Contains(t, r.Health().LastError, `still holds the credential of user "app" that the database rejects`)
	})
}

// What serves was a candidate and is rejected in its turn, while what the
// source holds does not work either.
func TestCandidatesAreTriedAgainWhenOneHasServed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		s.Set(cred("current"))
		s.Offer(cred("pending"))
		r := start(t, s, nil)
		db := &database{}
		attach(t, r, db)
		db.refuses(rejection("password"), "current")
		r.Invalidate(1)
		synctest.Wait()
		require.Equal(t, "pending", r.Current().Username)

		db.refuses(rejection("password"), "current", "pending")
		s.Offer(cred("pending"), cred("the next one"))
		asked := len(db.asked())
		r.Invalidate(2)
		_, err := r.Latest(t.Context())
		require.NoError(t, err)
		assert.Equal(t, "the next one", r.Current().Username)
		assert.NotContains(t, db.asked()[asked:], "pending", "it was rejected just now")

		// As long as what serves works, others are not tried.
		s.Set(cred("wrong"))
		s.Offer(cred("previous"))
		db.refuses(rejection("password"), "wrong")
		advance(6 * time.Minute)
		assert.Equal(t, "the next one", r.Current().Username)
	})
}

// The budget of what the source holds is spent while a candidate serves. Then
// the database goes back to it.
func TestWhatTheSourceHoldsIsTriedSoonerWhenACandidateIsRejected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		s.Set(cred("current"))
		s.Offer(cred("pending"))
		r := start(t, s, nil)
		db := &database{}
		attach(t, r, db)
		db.refuses(rejection("password"), "current")
		r.Invalidate(1)
		advance(15 * time.Minute)
		require.Equal(t, "pending", r.Current().Username)

		db.refuses(rejection("password"), "pending")
		r.Invalidate(2)
		advance(time.Minute + 5*time.Second)
		assert.Equal(t, "current", r.Current().Username, "without the pause of ten minutes")
	})
}
