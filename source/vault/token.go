package vault

import (
	"encoding/json"
	"math"
	"net/http"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/rekey-go/rekey/source"
)

// A token is what is known of a Vault token. It does not change.
type token struct {
	secret    source.Secret
	accessor  string        // empty: not known, or a batch token, which has none
	issued    time.Time     // when the request began that told what follows
	end       time.Time     // zero: none is known
	ttl       time.Duration // what a renewal asks for
	renewable bool
	blind     bool      // it may not look itself up, so that next to nothing is known
	child     bool      // there is a parent to end with
	parentEnd time.Time // zero: not known
}

// The bounds of a credential, for its Reason.
const (
	byLease  = "lease"
	byMaxTTL = "max_ttl"
	byToken  = "vault token"
	byParent = "parent token"
)

func (t *token) same(other *token) bool {
	return other != nil && t.secret.Equal(other.secret)
}

// replaces reports whether t, looked up later than before with the same text,
// is another token: that of an agent, which has logged in again. Batch tokens
// have no accessor, but an end that never moves.
func (t *token) replaces(before *token) bool {
	return t.accessor != before.accessor || (t.accessor == "" && t.end.After(before.end.Add(2*time.Second)))
}

// bound returns the earlier of end, which has a reason already, and the ends
// that come with the token. Zero means none.
func (t *token) bound(end time.Time, reason string) (time.Time, string) {
	for _, b := range []struct {
		end    time.Time
		reason string
	}{{t.end, byToken}, {t.parentEnd, byParent}} {
		if !b.end.IsZero() && (end.IsZero() || b.end.Before(end)) {
			end, reason = b.end, b.reason
		}
	}
	return end, reason
}

// over reports whether the token has ended at now.
func (t *token) over(now time.Time) bool {
	end, _ := t.bound(time.Time{}, "")
	return reached(now, end)
}

// late reports whether more than half of what is known of the token's life is
// over at now.
func (t *token) late(now time.Time) bool {
	end, _ := t.bound(time.Time{}, "")
	return !end.IsZero() && reached(now, t.issued.Add(end.Sub(t.issued)/2))
}

// attendAt says when to renew a token, or to log in again if it cannot be
// renewed; zero: never. Every lease is bounded by what is left of its token,
// so that is kept long.
func (t *token) attendAt(canLogin bool, rnd float64) time.Time {
	end, _ := t.bound(time.Time{}, "")
	life := end.Sub(t.issued)
	var wait time.Duration
	switch {
	case end.IsZero():
		return end
	case t.renewable:
		wait = life/3 - fraction(life/15, rnd)
	case canLogin || !t.parentEnd.IsZero():
		wait = life/2 - fraction(life/10, rnd)
	default:
		return time.Time{}
	}
	return t.issued.Add(max(wait, time.Second))
}

var (
	lookupSelf     = request{op: "look up", method: http.MethodGet, path: "auth/token/lookup-self"}
	loginOrRenewal = request{op: "log in", method: http.MethodPut, path: "auth"}
)

// fromAuth makes a token of what a login or a renewal answers.
func fromAuth(r request, s *api.Secret, began time.Time) (*token, error) {
	switch {
	case s == nil || s.Auth == nil:
		return nil, r.malformed("it holds no token")
	case s.Auth.MFARequirement != nil && s.Auth.ClientToken == "":
		return nil, source.Permanent(&Error{Op: r.op, Path: r.path, Kind: Refused, Detail: "a second factor is asked for; use a method that gives it"})
	case s.Auth.ClientToken == "":
		return nil, r.malformed("it holds an empty token")
	case s.Auth.LeaseDuration < 0:
		return nil, r.malformed("the token has a negative life")
	}
	t := &token{
		secret: source.NewSecret(s.Auth.ClientToken), accessor: s.Auth.Accessor,
		issued: began, ttl: wholeSeconds(s.Auth.LeaseDuration), renewable: s.Auth.Renewable,
	}
	if t.ttl > 0 {
		t.end = began.Add(t.ttl)
	}
	return t, nil
}

// lookupError is how much too long a lookup may say that a token lives: Vault
// rounds its own clock to whole seconds for it.
const lookupError = time.Second / 2

const numUses = "num_uses" // of a lookup: how many requests are left; 0: any number

// fromLookup makes a token of what a lookup answers.
func fromLookup(r request, secret source.Secret, s *api.Secret, began time.Time) (*token, error) {
	if s == nil || s.Data == nil {
		return nil, r.malformed("it says nothing about the token")
	}
	field := func(name, problem string) error {
		return &source.FieldError{Where: "vault: " + r.path, Field: name, Problem: problem}
	}
	t := &token{secret: secret, issued: began}
	t.accessor, _ = s.Data["accessor"].(string)
	t.renewable, _ = s.Data["renewable"].(bool)
	orphan, known := s.Data["orphan"].(bool)
	t.child = known && !orphan
	ttl, ok := seconds(s.Data["ttl"])
	if !ok {
		return nil, field("ttl", "is missing or not a number of seconds")
	}
	if uses, ok := seconds(s.Data[numUses]); ok && uses > 0 {
		return nil, field(numUses, "is limited; use a token without such a limit")
	}
	expires, _ := s.Data["expire_time"].(string)
	switch {
	case ttl > 0:
		t.end = began.Add(ttl - lookupError)
	case expires != "": // less than a second is left
		t.end = began
	}
	t.ttl, _ = seconds(s.Data["creation_ttl"])
	if period, ok := seconds(s.Data["period"]); ok && period > 0 {
		t.ttl = period
	}
	if t.ttl <= 0 {
		t.ttl = ttl
	}
	return t, nil
}

// renewedFrom makes a token of the answer to a renewal of t. more is false if
// it was granted less than asked: its maximum is near.
func (t *token) renewedFrom(r request, s *api.Secret, began time.Time) (renewed *token, more bool, err error) {
	if s == nil || s.Auth == nil || s.Auth.LeaseDuration <= 0 {
		return nil, false, r.malformed("it names no new end")
	}
	next := *t
	granted := wholeSeconds(s.Auth.LeaseDuration)
	next.issued, next.end, next.renewable = began, began.Add(granted), s.Auth.Renewable
	return &next, granted >= t.ttl-time.Second, nil
}

// longestLife is more than any lease lasts, and adds to a time without harm.
const longestLife = 100 * 365 * 24 * time.Hour

func wholeSeconds(n int) time.Duration {
	return time.Duration(min(max(n, 0), int(longestLife/time.Second))) * time.Second
}

// seconds reads a number of seconds from JSON; what is past is 0.
func seconds(v any) (time.Duration, bool) {
	var s float64
	switch n := v.(type) {
	case json.Number:
		f, err := n.Float64()
		if err != nil {
			return 0, false
		}
		s = f
	case float64:
		s = n
	case int:
		s = float64(n)
	default:
		return 0, false
	}
	if math.IsNaN(s) {
		return 0, false
	}
	return time.Duration(min(max(s, 0), longestLife.Seconds()) * float64(time.Second)), true
}

// reached reports whether t has come by the wall clock or the monotonic one.
// The zero time never comes.
func reached(now, t time.Time) bool {
	return !t.IsZero() && (!now.Before(t) || !now.Round(0).Before(t.Round(0)))
}

func fraction(d time.Duration, rnd float64) time.Duration { return time.Duration(rnd * float64(d)) }
