package sourcetest

import (
	"context"
	"slices"
	"time"

	"github.com/rekey-go/rekey/source"
)

// leaseTerms say how the leases of a Script behave.
type leaseTerms struct {
	maxTTL      time.Duration
	renewErr    error
	renewEmpty  bool
	revokeErr   error
	revokeHangs bool
}

// A lease is one credential that the Script has issued with an end.
type lease struct {
	script  *Script
	cred    source.Credential
	issued  time.Time // of the first grant: renewals do not move it
	ttl     time.Duration
	expires time.Time
	revoked bool
}

// MaxTTL bounds the whole life of each lease: a renewal is granted for the TTL
// or for what is left of d since the credential was issued, whichever is less.
// Zero bounds nothing.
func (s *Script) MaxTTL(d time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.terms.maxTTL = d
}

// FailRenew makes every renewal fail with err; nil lets them work again.
func (s *Script) FailRenew(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.terms.renewErr = err
}

// EmptyRenew says whether renewals answer with a credential without an end,
// like a store that says 200 with an empty body.
func (s *Script) EmptyRenew(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.terms.renewEmpty = on
}

// FailRevoke makes every revocation fail with err; nil lets them work again.
func (s *Script) FailRevoke(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.terms.revokeErr = err
}

// HangRevoke says whether revocations wait until their context ends.
func (s *Script) HangRevoke(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.terms.revokeHangs = on
}

// Renewals returns how many renewals have begun.
func (s *Script) Renewals() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.renewals
}

// Revoked returns the user names whose leases were revoked, in that order.
func (s *Script) Revoked() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.revoked)
}

// Live returns how many leases were issued and have neither been revoked nor
// reached their end.
func (s *Script) Live() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live()
}

// MaxLive returns the most leases that were ever live at once.
func (s *Script) MaxLive() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.maxLive
}

func (s *Script) live() int {
	now, n := time.Now(), 0
	for _, l := range s.leases {
		if l.alive(now) {
			n++
		}
	}
	return n
}

// grant issues cred with a lease counted from began. s.mu is held.
func (s *Script) grant(cred source.Credential, began time.Time) source.Credential {
	ttl := s.ttl
	if s.terms.maxTTL > 0 {
		ttl = min(ttl, s.terms.maxTTL)
	}
	l := &lease{script: s, issued: began, ttl: s.ttl, expires: began.Add(ttl)}
	cred.Issued, cred.Expires, cred.Reason = began, l.expires, "lease"
	cred.EndsSessions = true
	cred.Lease = l
	l.cred = cred
	s.leases = append(s.leases, l)
	s.maxLive = max(s.maxLive, s.live())
	return cred
}

func (l *lease) alive(now time.Time) bool { return !l.revoked && now.Before(l.expires) }

// Renew grants the lease's TTL anew, cut to what the script's MaxTTL leaves.
func (l *lease) Renew(ctx context.Context) (source.Credential, error) {
	s, began := l.script, time.Now()
	s.mu.Lock()
	s.renewals++
	delay := s.delay
	s.mu.Unlock()
	if err := wait(ctx, delay); err != nil {
		return source.Credential{}, err
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.terms.renewErr != nil:
		return source.Credential{}, s.terms.renewErr
	case s.terms.renewEmpty:
		return source.Credential{}, nil
	case !l.alive(time.Now()):
		return source.Credential{}, errNoLease
	}
	cred := l.cred
	granted, reason := l.ttl, "lease"
	if s.terms.maxTTL > 0 {
		if left := l.issued.Add(s.terms.maxTTL).Sub(began); left < granted {
			granted, reason = left, "max_ttl"
		}
	}
	l.expires = began.Add(granted)
	cred.Issued, cred.Expires, cred.Reason = began, l.expires, reason
	return cred, nil
}

// Revoke ends the lease as scripted and records its user name once.
func (l *lease) Revoke(ctx context.Context) error {
	s := l.script
	s.mu.Lock()
	terms, delay := s.terms, s.delay
	s.mu.Unlock()
	if terms.revokeHangs {
		<-ctx.Done()
		return ctx.Err()
	}
	if err := wait(ctx, delay); err != nil {
		return err
	}
	if terms.revokeErr != nil {
		return terms.revokeErr
	}

	s.mu.Lock()
	defer s.mu.Unlock()
	if !l.revoked {
		l.revoked = true
		s.revoked = append(s.revoked, l.cred.Username)
	}
	return nil
}
