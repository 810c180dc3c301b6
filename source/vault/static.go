package vault

import (
	"context"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/rekey-go/rekey/source"
)

// Static returns a source that reads a static role of the database secrets
// engine, such as "database/static-creds/app": one lasting user whose password
// Vault changes. The credential's Version is the time of the last change.
//
// Recheck follows the role's ttl. A ttl that has run out, or begins anew
// without a new password, is not believed: the role is looked at every
// [Options.Overdue] until the change has been made. A change that somebody
// orders in between is found when the database rejects a login.
func Static(client *api.Client, path string, opts *Options) source.Source {
	s := &static{access: newAccess(client, sessionOf(opts)), opts: opts.withDefaults()}
	clean, err := cleanPath(path)
	if err != nil && s.access.err == nil {
		s.access.err = err
	}
	s.read = request{op: "read", method: http.MethodGet, path: clean}
	return s
}

type static struct {
	access *access
	opts   Options
	read   request

	mu      sync.Mutex
	version string    // seen last
	due     time.Time // when it should be replaced; zero: nothing seen yet
}

// Credential reads the role.
func (s *static) Credential(ctx context.Context) (source.Credential, error) {
	got, err := s.access.do(ctx, s.read)
	if err != nil {
		return source.Credential{}, err
	}
	c, err := s.parse(got)
	if err != nil {
		s.access.giveUp(ctx, got.Secret)
	}
	return c, err
}

// parse makes a credential of an answer.
func (s *static) parse(got answer) (source.Credential, error) {
	if got.Secret == nil {
		return source.Credential{}, s.read.malformed("it is empty")
	}
	field := func(name, problem string) (source.Credential, error) {
		return source.Credential{}, &source.FieldError{Where: "vault: " + s.read.path, Field: name, Problem: problem}
	}
	if got.LeaseID != "" {
		return field("lease_id", "is set; this is a dynamic role, read it with vault.Dynamic")
	}
	c, err := s.opts.login(s.read.path, got.Data)
	if err != nil {
		return source.Credential{}, err
	}
	ttl, ok := seconds(got.Data["ttl"])
	if !ok {
		return field("ttl", "is missing or not a number of seconds; is this the path of a static role?")
	}
	switch rotated := got.Data["last_vault_rotation"].(type) {
	case nil: // never rotated; the refresher tells versions apart by a digest
	case string:
		if _, err := time.Parse(time.RFC3339Nano, rotated); err != nil {
			return field("last_vault_rotation", "is not a time")
		}
		c.Version = rotated
	default:
		return field("last_vault_rotation", "is not a string")
	}
	c.Issued = got.began
	c.Recheck = s.recheck(c.Version, got.began, ttl)
	return c, nil
}

func (s *static) recheck(version string, now time.Time, ttl time.Duration) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch next := now.Add(ttl); {
	case s.due.IsZero(), s.version != version:
		s.version, s.due = version, next
	case now.Before(s.due) && next.Before(s.due):
		s.due = next // somebody has shortened the period
	}
	return recheckAt(now, s.due, s.opts.Overdue, rand.Float64())
}

// longestRecheck bounds the interval at which an overdue role is looked at.
const longestRecheck = 5 * time.Minute

// recheckAt says when to look again at a password that should be replaced at
// due. Vault is given a moment for it; from then on the interval grows from
// least.
func recheckAt(now, due time.Time, least time.Duration, rnd float64) time.Time {
	if now.Before(due) {
		return due.Add(least/2 + fraction(least/2, rnd))
	}
	pause := min(max(now.Sub(due)/4, least), max(longestRecheck, least))
	return now.Add(pause - fraction(pause/5, rnd))
}
