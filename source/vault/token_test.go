package vault_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/vault"
)

func TestF01TheEarliestBoundCounts(t *testing.T) {
	in := func(d time.Duration) time.Time { return began.Add(d) }
	for _, c := range []struct {
		name          string
		lease         time.Time
		token, parent time.Time
		want          time.Time
		reason        string
	}{
		{"lease", in(1), in(2), in(3), in(1), "lease"},
		{"token", in(3), in(2), in(4), in(2), "vault token"},
		{"parent", in(3), in(2), in(1), in(1), "parent token"},
		{"token without an end", in(3), time.Time{}, time.Time{}, in(3), "lease"},
		{"only the parent", in(3), time.Time{}, in(2), in(2), "parent token"},
		{"the same", in(3), in(3), in(3), in(3), "lease"},
		{"no lease", time.Time{}, in(2), time.Time{}, in(2), "vault token"},
	} {
		t.Run(c.name, func(t *testing.T) {
			end, reason := vault.Token{End: c.token, ParentEnd: c.parent}.Bound(c.lease, "lease")
			require.Equal(t, c.want, end)
			require.Equal(t, c.reason, reason)
		})
	}
}

func TestTokenIsAttendedToEarly(t *testing.T) {
	hour := vault.Token{Issued: began, End: began.Add(time.Hour), TTL: time.Hour, Renewable: true}
	at := func(tok vault.Token, canLogin bool, rnd float64) time.Duration {
		when := tok.AttendAt(canLogin, rnd)
		if when.IsZero() {
			return 0
		}
		return when.Sub(began)
	}
	require.Equal(t, 20*time.Minute, at(hour, true, 0), "renewed at a third: leases depend on what is left")
	require.InDelta(t, 16*time.Minute, at(hour, true, 1), float64(time.Millisecond))
	fixed := hour
	fixed.Renewable = false
	require.Equal(t, 30*time.Minute, at(fixed, true, 0), "replaced at half")
	require.Zero(t, at(fixed, false, 0), "nothing can be done")
	endless := vault.Token{Issued: began, Renewable: true}
	require.Zero(t, at(endless, true, 0))
	short := vault.Token{Issued: began, End: began.Add(time.Second), TTL: time.Second, Renewable: true}
	require.Equal(t, time.Second, at(short, true, 0), "never in a spin")
	child := hour
	child.ParentEnd = began.Add(3 * time.Minute)
	require.Equal(t, time.Minute, at(child, true, 0), "the parent is looked at too")
}

func TestLookupAnswers(t *testing.T) {
	for _, c := range []struct {
		name, body string
		end        time.Duration // -1: none
		ttl        time.Duration
		renewable  bool
	}{
		// Half a second less than it says, as Vault may have rounded it up by that.
		{"root", `{"data":{"ttl":0,"expire_time":null,"creation_ttl":0}}`, -1, 0, false},
		{"service", `{"data":{"ttl":30,"creation_ttl":60,"expire_time":"x","renewable":true,"accessor":"a"}}`, 29500 * time.Millisecond, time.Minute, true},
		{"periodic", `{"data":{"ttl":30,"creation_ttl":60,"period":90,"expire_time":"x","renewable":true}}`, 29500 * time.Millisecond, 90 * time.Second, true},
		{"last second", `{"data":{"ttl":0,"creation_ttl":60,"expire_time":"x"}}`, 0, time.Minute, false},
		{"enormous", `{"data":{"ttl":1e300}}`, 100*365*24*time.Hour - time.Second/2, 100 * 365 * 24 * time.Hour, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			token, err := vault.ParseLookup([]byte(c.body), began)
			require.NoError(t, err)
			if c.end < 0 {
				require.Zero(t, token.End)
			} else {
				require.Equal(t, began.Add(c.end), token.End)
			}
			require.Equal(t, c.ttl, token.TTL)
			require.Equal(t, c.renewable, token.Renewable)
		})
	}
	for _, body := range []string{``, `{}`, `{"data":{}}`, `{"data":{"ttl":"x"}}`, `{"data":{"ttl":60,"num_uses":3}}`} {
		_, err := vault.ParseLookup([]byte(body), began)
		require.Error(t, err, body)
	}
	for _, body := range []string{
		`{}`, `{"auth":{}}`, `{"auth":{"client_token":""}}`,
		`{"auth":{"client_token":"x","lease_duration":-1}}`,
		`{"auth":{"mfa_requirement":{"mfa_request_id":"x"}}}`,
	} {
		_, err := vault.ParseAuth([]byte(body), began)
		require.Error(t, err, body)
	}
}

func TestF04TokenRenewalThatIsCut(t *testing.T) {
	auth := func(n string) []byte {
		return []byte(`{"auth":{"client_token":"x","lease_duration":` + n + `,"renewable":true}}`)
	}
	_, more, err := vault.ParseRenewal(auth("60"), time.Minute, began)
	require.NoError(t, err)
	require.True(t, more)
	cut, more, err := vault.ParseRenewal(auth("40"), time.Minute, began)
	require.NoError(t, err)
	require.False(t, more)
	require.Equal(t, began.Add(40*time.Second), cut.End)
	for _, body := range []string{``, `{}`, `{"auth":{"lease_duration":0}}`} {
		_, _, err := vault.ParseRenewal([]byte(body), time.Minute, began)
		require.Error(t, err, body)
		require.False(t, source.IsPermanent(err))
	}
}

func TestF11RecheckOfAStaticRoleIsBounded(t *testing.T) {
	due := began.Add(time.Hour)
	at := func(now time.Time, rnd float64) time.Duration {
		return vault.RecheckAt(now, due, 2*time.Second, rnd).Sub(now)
	}
	require.Equal(t, time.Hour+time.Second, at(began, 0), "a moment after it is due")
	require.Equal(t, time.Hour+2*time.Second, at(began, 1))
	for _, c := range []struct{ late, want time.Duration }{
		{0, 2 * time.Second},
		{5 * time.Second, 2 * time.Second},
		{time.Minute, 15 * time.Second},
		{24 * time.Hour, 5 * time.Minute},
	} {
		require.Equal(t, c.want, at(due.Add(c.late), 0), "%v late", c.late)
		require.Equal(t, c.want*4/5, at(due.Add(c.late), 1), "%v late", c.late)
	}
}
