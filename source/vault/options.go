package vault

import (
	"cmp"
	"log/slog"
	"time"
)

// Options adjust a source. The zero value, or nil, means the defaults, and so
// do negative values.
type Options struct {
	// Session supplies the token, see [Login]. Nil: the client's own token,
	// which somebody else must keep alive; a lookup says when it ends.
	Session *Session

	// UsernameField and PasswordField name the keys of the answer that hold
	// the user name and the password. Empty: "username" and "password".
	UsernameField, PasswordField string

	// AllowNoUsername accepts an answer without a user name, for pools whose
	// own configuration names the user.
	AllowNoUsername bool

	// KVVersion is the version of the key-value engine, 1 or 2. Zero: 2.
	KVVersion int

	// Poll is how often a secret of [KV] is looked at. Zero leaves it to the
	// refresher.
	Poll time.Duration

	// Overdue is how soon a role of [Static] is looked at again when Vault
	// should have changed its password and has not. The interval grows with
	// the delay, up to five minutes. Zero: 2 s.
	Overdue time.Duration

	// Logger receives warnings, without any secret. Nil: [slog.Default].
	Logger *slog.Logger
}

func (o *Options) withDefaults() Options {
	var d Options
	if o != nil {
		d = *o
	}
	d.UsernameField = cmp.Or(d.UsernameField, "username")
	d.PasswordField = cmp.Or(d.PasswordField, "password")
	d.KVVersion = cmp.Or(max(d.KVVersion, 0), 2)
	d.Poll = max(d.Poll, 0)
	d.Overdue = cmp.Or(max(d.Overdue, 0), 2*time.Second)
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	return d
}
