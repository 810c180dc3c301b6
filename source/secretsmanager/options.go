package secretsmanager

import (
	"cmp"
	"log/slog"
	"time"

	"github.com/rekey-go/rekey/internal/fields"
	"github.com/rekey-go/rekey/source"
)

// Options adjust a [Source]. The zero value, or nil, means the defaults, and so
// do negative values.
type Options struct {
	// Bridge lets AWSPENDING and AWSPREVIOUS serve while the database rejects
	// AWSCURRENT, see the package's documentation. It reads versions that may
	// never become current, so it is off by default.
	Bridge bool

	// Cache is asked whether anything has changed, in place of DescribeSecret:
	// a *secretcache.Cache of aws-secretsmanager-caching-go that the process
	// has anyway. What it says is not more than that: a new value is always
	// read from the store, since caches may be behind. Changes are seen as late
	// as the cache sees them, unless a login is rejected before. A cache that
	// fails, panics or takes a second is passed. Nil: none.
	Cache Cache

	// UsernameField and PasswordField name the keys of the JSON object that
	// hold the user name and the password. Empty: "username" and "password".
	UsernameField, PasswordField string

	// AllowNoUsername accepts a secret without a user name, for pools whose own
	// configuration names the user.
	AllowNoUsername bool

	// Parse reads a secret that is no JSON object: the text, or the bytes of a
	// binary one. It sets Username, Password and what else it finds. It must
	// not put the value into its errors and not keep the slice. Nil: JSON.
	Parse func(value []byte) (source.Credential, error)

	// Poll is how often a look is taken, shortened by up to a fifth of jitter.
	// Zero leaves it to the refresher, see [refresh.Options.Poll].
	//
	// [refresh.Options.Poll]: https://pkg.go.dev/github.com/rekey-go/rekey/refresh#Options
	Poll time.Duration

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
	d.Poll = max(d.Poll, 0)
	if d.Logger == nil {
		d.Logger = slog.Default()
	}
	return d
}

func (o *Options) names() fields.Names {
	return fields.Names{Username: o.UsernameField, Password: o.PasswordField, OptionalUsername: o.AllowNoUsername}
}
