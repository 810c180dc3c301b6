package schedule

import (
	"fmt"
	"math"
	"time"
)

const day = 24 * time.Hour

// A Kind is what a secret is for, as far as it matters how often it is rotated.
type Kind string

// The kinds of secrets.
const (
	APIKey              Kind = "api_key"               // every 90 days
	DatabasePassword    Kind = "database_password"     // every 90 days
	EncryptionKey       Kind = "encryption_key"        // every 365 days
	ServiceAccountToken Kind = "service_account_token" // every 90 days
	Certificate         Kind = "certificate"           // before it ends, see BeforeExpiry
)

// intervals are what is usual for each kind, in days: the shortest and the longest.
var intervals = map[Kind][2]time.Duration{
	APIKey:              {30 * day, 90 * day},
	DatabasePassword:    {90 * day, 90 * day},
	EncryptionKey:       {365 * day, 365 * day},
	ServiceAccountToken: {90 * day, 90 * day},
}

// Interval returns the usual interval between rotations of a kind: 90 days for
// database passwords and service-account tokens, 365 for encryption keys, from
// 30 to 90 for API keys. Where both are the same, it is the longest that should
// be. Certificates have none ([BeforeExpiry] is for them), nor have other kinds:
// ok is false.
func (k Kind) Interval() (shortest, longest time.Duration, ok bool) {
	both, ok := intervals[k]
	return both[0], both[1], ok
}

// For returns the default schedule for a secret of a kind: the longest usual
// interval, with a tenth of it as jitter. Kinds without an interval are an
// [*OptionError].
func For(kind Kind, secret string) (Schedule, error) {
	_, longest, ok := kind.Interval()
	switch {
	case kind == Certificate:
		return nil, &OptionError{"kind", "is a certificate, which is replaced before its end: use BeforeExpiry"}
	case !ok:
		return nil, &OptionError{"kind", fmt.Sprintf("is %q; it should be %q, %q, %q or %q", string(kind),
			APIKey, DatabasePassword, EncryptionKey, ServiceAccountToken)}
	}
	return Every(longest, longest/10, secret)
}

// Validate checks that a rotation has come to its end when the next one starts:
// that the interval is longer than connections live and the new credential takes
// to reach every consumer, together. If not there is an [*IntervalError].
//
// Interval is the shortest between two rotations: for [Every] less its jitter,
// for others see [Shortest]. Lifetime is the longest that a connection stays open
// after it has been opened with the old credential; zero, which to database/sql
// means for ever, is an [*OptionError]. Propagation is the longest that a
// consumer goes on logging in with the old credential after the new one is
// current: poll intervals and caches.
//
// A rule of thumb follows. Where the interval is much longer than connections
// live, a parallel user that is dropped after the drain is simple and safe. Where
// it is not, one password in place changes no rights and leaves nobody behind.
func Validate(interval, lifetime, propagation time.Duration) error {
	switch {
	case interval <= 0:
		return &OptionError{"interval", fmt.Sprintf("is %v; it should be positive", interval)}
	case lifetime < 0:
		return &OptionError{"lifetime", fmt.Sprintf("is %v; it should be positive", lifetime)}
	case lifetime == 0:
		return &OptionError{"lifetime", "is 0: connections that live for ever keep the old credential for ever; give them a longest lifetime, such as an hour"}
	case propagation < 0:
		return &OptionError{"propagation", fmt.Sprintf("is %v; it should not be negative", propagation)}
	}
	if lifetime <= math.MaxInt64-propagation && interval > lifetime+propagation {
		return nil
	}
	change := "interval"
	if interval > propagation && lifetime > propagation {
		change = "lifetime" // the larger part, and changing it is enough
	}
	return &IntervalError{interval, lifetime, propagation, change}
}
