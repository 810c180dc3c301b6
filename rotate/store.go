package rotate

import (
	"context"
	"errors"
	"time"

	"github.com/rekey-go/rekey/source"
)

var (
	// ErrConflict is wrapped by errors of stores and targets that find something
	// else than the rotation has left: another one, or an operator, has been
	// there. Run the rotation again; it begins with a new look.
	ErrConflict = errors.New("changed meanwhile")

	// ErrRunning is wrapped where another process holds the lock.
	ErrRunning = errors.New("a rotation is already running")
)

// A Version is one credential that a store keeps.
type Version struct {
	// Token names the rotation that made the version. It is the store's own
	// name for the version and Credential.Version as well.
	Token string

	Credential source.Credential
	Created    time.Time // zero: the store does not say
}

// A State is what a store holds at one moment.
type State struct {
	Current  Version  // what applications use
	Pending  *Version // nil: none
	Previous *Version // nil: none, or the store keeps none
}

// Rotated returns when the secret was rotated last: what a schedule counts from. A
// version that was rolled back counts, so that the next one is not due at once. It
// is zero if the store does not say.
func (s State) Rotated() time.Time {
	last := s.Current.Created
	if p := s.Previous; p != nil && p.Created.After(last) {
		last = p.Created
	}
	return last
}

// A Store keeps a secret in versions, of which one is current and one may be
// pending. Its methods are safe for concurrent use by several processes: each
// change is a compare-and-swap, and done twice it is done once. The suite
// [github.com/rekey-go/rekey/rotate/rotatetest.Store] holds a store against this.
type Store interface {
	// Name returns the secret's name, for people.
	Name() string

	// Read returns what the store holds now, past every cache.
	Read(ctx context.Context) (State, error)

	// Create makes next durable as pending under token. The fields that next has
	// beside user name and password take the place of the current version's; the
	// others stay. If token is pending or current already, nothing happens,
	// whatever next is. If another token is pending, the error wraps
	// [ErrConflict].
	Create(ctx context.Context, token string, next source.Credential) error

	// Promote makes the pending version token current and the one before
	// previous, if from is current. If token is current already, nothing
	// happens; else the error wraps [ErrConflict].
	Promote(ctx context.Context, token, from string) error

	// Discard removes the pending version token. If token is not pending,
	// nothing happens. A current version is never discarded.
	Discard(ctx context.Context, token string) error

	// Restore makes the previous version to current again, if from is current,
	// and from previous. If to is current already, nothing happens; else the
	// error wraps [ErrConflict].
	Restore(ctx context.Context, to, from string) error
}
