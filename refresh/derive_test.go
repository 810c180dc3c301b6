package refresh_test

import (
	"errors"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
)

var errNumber = errors.New("it is no number")

// number reads the user name as a number.
func number(s refresh.Snapshot) (int, error) {
	n, err := strconv.Atoi(s.Username)
	if err != nil {
		return 0, errNumber
	}
	return n, nil
}

func TestDeriveFollowsTheCredential(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		s.Set(cred("1"))
		r := start(t, s, nil)
		d, err := refresh.Derive(t.Context(), r, number)
		require.NoError(t, err)
		assert.Equal(t, 1, d.Get())

		s.Set(cred("2"))
		require.NoError(t, r.Refresh(t.Context()))
		assert.Equal(t, 2, d.Get())
		assert.EqualValues(t, 2, d.Generation())

		d.Close()
		s.Set(cred("3"))
		require.NoError(t, r.Refresh(t.Context()))
		assert.Equal(t, 2, d.Get(), "it keeps the last value")
	})
}

func TestDeriveRefusesInTheGate(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		s.Set(cred("1"))
		r := start(t, s, nil)
		d, err := refresh.Derive(t.Context(), r, number)
		require.NoError(t, err)
		s.Set(cred("two"))
		err = r.Refresh(t.Context())
		require.ErrorIs(t, err, errNumber)
		require.ErrorIs(t, err, refresh.ErrRejected)
		assert.Equal(t, 1, d.Get())
		assert.Equal(t, "1", r.Current().Username, "adopted by nobody")
		_, err = refresh.Derive(t.Context(), r, func(refresh.Snapshot) (string, error) { return "", errNumber })
		require.ErrorIs(t, err, errNumber)
	})
}

// What one consumer has parsed and another has rejected is never published.
func TestDerivePublishesOnlyWhatIsAdopted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		s.Set(cred("1"))
		r := start(t, s, nil)
		d, err := refresh.Derive(t.Context(), r, number)
		require.NoError(t, err)
		db := &database{}
		attach(t, r, db)
		db.refuses(rejection("wrong password"), "2")
		s.Set(cred("2"))
		require.ErrorIs(t, r.Refresh(t.Context()), refresh.ErrRejected)
		assert.Equal(t, 1, d.Get())
		s.Set(cred("3"))
		require.NoError(t, r.Refresh(t.Context()))
		assert.Equal(t, 3, d.Get())
		assert.EqualValues(t, 2, d.Generation())
	})
}

func TestDeriveWhileTheCredentialChanges(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Minute)
		r := start(t, s, nil)
		later(func() error {
			for range 50 {
				_ = r.Refresh(t.Context())
			}
			return nil
		})
		for range 50 {
			d, err := refresh.Derive(t.Context(), r, func(s refresh.Snapshot) (string, error) { return s.Username, nil })
			require.NoError(t, err)
			synctest.Wait()
			assert.Equal(t, r.Current().Username, d.Get())
			d.Close()
		}
	})
}

func TestOnChangeTellsEachGenerationInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Hour)
		r := start(t, s, nil)
		told := make(chan uint64, 100)
		stop := r.OnChange(func(snap refresh.Snapshot) {
			assert.Equal(t, snap.Generation, r.Current().Generation, "it may be read back")
			told <- snap.Generation
		})
		for range 10 {
			require.NoError(t, r.Refresh(t.Context()))
		}
		for n := range uint64(10) {
			assert.Equal(t, n+2, <-told)
		}
		stop()
		stop()
		require.NoError(t, r.Refresh(t.Context()))
		assert.Empty(t, told, "not after stop")
	})
}

func TestOnChangeIsNotToldOfRenewals(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := leases(time.Minute)
		r := start(t, s, &refresh.Options{PreferRenew: true})
		told := make(chan uint64, 100)
		defer r.OnChange(func(snap refresh.Snapshot) { told <- snap.Generation })()
		advance(time.Hour)
		assert.Positive(t, s.Renewals())
		assert.Empty(t, told)
	})
}

func TestOnChangeStopWaitsForACallUnderWay(t *testing.T) {
	r, err := refresh.New(t.Context(), leases(time.Hour), quiet(nil))
	require.NoError(t, err)
	defer r.Close()
	called, release := make(chan struct{}), make(chan struct{})
	over := false // guarded by what stop promises
	stop := r.OnChange(func(refresh.Snapshot) {
		close(called)
		<-release
		over = true
	})
	refreshed := make(chan error)
	go func() { refreshed <- r.Refresh(t.Context()) }()
	<-called
	// No lock is held over the call: everything else answers meanwhile.
	assert.EqualValues(t, 2, r.Health().Generation)
	_, err = r.Latest(t.Context())
	require.NoError(t, err)
	stopped := make(chan bool)
	go func() { stop(); stopped <- over }()
	close(release)
	assert.True(t, <-stopped)
	require.NoError(t, <-refreshed)
}

func TestDeriveFollowsAReinstatement(t *testing.T) {
	bubble(t, func(t *testing.T) {
		s := script()
		s.Set(cred("1"))
		r := start(t, s, nil)
		a := attach(t, r, &database{})
		d, err := refresh.Derive(t.Context(), r, number)
		require.NoError(t, err)
		pin := a.Pin()
		defer pin.Release()
		s.Set(cred("2"))
		require.NoError(t, r.Refresh(t.Context()))
		require.Equal(t, 2, d.Get())
		require.NoError(t, pin.Reinstate(t.Context(), 2, errLost))
		assert.Equal(t, 1, d.Get())
		assert.EqualValues(t, 1, d.Generation())
	})
}
