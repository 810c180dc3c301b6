package vault

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/rekey-go/rekey/source"
)

// Dynamic returns a source that reads a dynamic role of the database secrets
// engine, such as "database/creds/app". Each read makes a new database user,
// whose sessions end with its lease; the lease is on the credential. What the
// answer holds beside user name and password becomes fields.
//
// The source watches its [Session]: a new login means a new credential. One
// source may serve several refreshers; each gets users of its own.
//
// Mistakes in the arguments of this and the other constructors are reported by
// Credential. client may be nil if the options have a session, whose client is
// used then.
func Dynamic(client *api.Client, path string, opts *Options) source.Watcher {
	d := &dynamic{access: newAccess(client, sessionOf(opts)), opts: opts.withDefaults()}
	clean, err := cleanPath(path)
	if err != nil && d.access.err == nil {
		d.access.err = err
	}
	d.read = request{op: "read", method: http.MethodGet, path: clean}
	return d
}

func sessionOf(o *Options) *Session {
	if o == nil {
		return nil
	}
	return o.Session
}

type dynamic struct {
	access *access
	opts   Options
	read   request

	mu     sync.Mutex
	looked *token // the client's own token as a lookup showed it; nil: not yet
	warned bool   // that a lookup is not allowed
}

// Credential makes a new user.
func (d *dynamic) Credential(ctx context.Context) (source.Credential, error) {
	got, err := d.fetch(ctx)
	if err != nil {
		return source.Credential{}, err
	}
	c, err := d.parse(got)
	if err == nil && reached(time.Now(), c.Expires) {
		err = &Error{Op: d.read.op, Path: d.read.path, Kind: Ended, Detail: "the " + c.Reason + " that the new user depends on has ended"}
	}
	if err != nil {
		d.access.giveUp(ctx, got.Secret)
		return source.Credential{}, err
	}
	return c, nil
}

// fetch reads the role with a token whose end is known, if it can be. A lookup
// that fails comes before the read, so that a Vault that is in trouble makes no
// user.
func (d *dynamic) fetch(ctx context.Context) (answer, error) {
	if d.access.err == nil && d.access.session == nil {
		t, err := d.look(ctx)
		if err != nil {
			return answer{}, err
		}
		got, err := d.access.doAs(ctx, t, d.read)
		if err == nil && t.blind {
			d.warn()
		}
		return got, err
	}
	return d.access.do(ctx, d.read)
}

// parse makes a credential with its lease of an answer.
func (d *dynamic) parse(got answer) (source.Credential, error) {
	if got.Secret == nil {
		return source.Credential{}, d.read.malformed("it is empty")
	}
	field := func(name, problem string) error {
		return &source.FieldError{Where: "vault: " + d.read.path, Field: name, Problem: problem}
	}
	switch {
	case got.Data == nil:
	case got.LeaseID == "" && got.Data["last_vault_rotation"] != nil:
		return source.Credential{}, field("lease_id", "is missing; this is a static role, read it with vault.Static")
	case got.LeaseID == "":
		return source.Credential{}, field("lease_id", "is missing; this is not a role that makes users")
	case got.LeaseDuration <= 0:
		return source.Credential{}, field("lease_duration", "is not a positive number of seconds")
	}
	c, err := d.opts.login(d.read.path, got.Data)
	if err != nil {
		return source.Credential{}, err
	}
	c = d.opts.others(c, got.Data)
	c.EndsSessions = true
	l := &lease{source: d, id: got.LeaseID, duration: wholeSeconds(got.LeaseDuration), renewable: got.Renewable, token: got.token, credential: c}
	return l.granted(got.began, got.began.Add(l.duration), byLease), nil
}

// Watch has changed called when the session has logged in again.
func (d *dynamic) Watch(changed func()) (stop func()) {
	if d.access.session == nil {
		return func() {}
	}
	return d.access.session.watch(changed)
}

// look asks Vault when the client's own token ends. One that may not look
// itself up may do the rest all the same.
func (d *dynamic) look(ctx context.Context) (*token, error) {
	t := d.access.current()
	got, err := d.access.doAs(ctx, t, lookupSelf)
	switch {
	case kindOf(err) == Permission:
		t = &token{secret: t.secret, blind: true}
	case err == nil:
		t, err = fromLookup(lookupSelf, t.secret, got.Secret, got.began)
	}
	if err != nil && kindOf(err) != Permission {
		return nil, err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.looked = t
	return t, nil
}

// bounds returns t with its end as it is known now.
func (d *dynamic) bounds(t *token) *token {
	d.mu.Lock()
	latest := d.looked
	d.mu.Unlock()
	if d.access.session != nil {
		latest = d.access.session.now()
	}
	if t.same(latest) && !latest.replaces(t) {
		return latest
	}
	return t
}

// warn says once that the token's end is not known.
func (d *dynamic) warn() {
	d.mu.Lock()
	warned := d.warned
	d.warned = true
	d.mu.Unlock()
	if !warned {
		d.opts.Logger.Warn("rekey: when the Vault token ends is not known: it may not read "+lookupSelf.path, "path", d.read.path)
	}
}
