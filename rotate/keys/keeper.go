package keys

import (
	"context"
	"errors"
	"time"

	"github.com/rekey-go/rekey/source"
)

var (
	// ErrNotFound is wrapped by errors of a [Keeper] that has no key of that ID.
	ErrNotFound = errors.New("there is no such key")

	// ErrExists is wrapped by errors of a [Registrar] that has a key of that ID
	// already.
	ErrExists = errors.New("there is such a key already")
)

// A Key is one of those that a keeper has.
type Key struct {
	ID      string    // by which the provider names it
	Label   string    // as it was given; empty, or anything else: a rotation has not made it
	Active  bool      // it is accepted
	Created time.Time // zero: the provider does not say
}

// A Keeper keeps keys for one secret: a provider, or the account of one service
// with it. It is a [Registrar] or a [Drawer] as well, and may be an [Observer]. Its
// methods are safe for concurrent use, by several processes as well, and none of
// its errors holds a secret. Like those of package rotate, the interfaces here stay as
// they are within a major version.
type Keeper interface {
	// List returns the keys, past every cache. Keys of others may be among them.
	List(ctx context.Context) ([]Key, error)

	// Label gives a key another label.
	Label(ctx context.Context, id, label string) error

	// Activate switches a key on, Deactivate off. What is so already stays. Whoever
	// waits for a key to go out of use begins anew once it has been activated.
	Activate(ctx context.Context, id string) error
	Deactivate(ctx context.Context, id string) error

	// Delete deletes a key, active or not. One that is not there is no error.
	Delete(ctx context.Context, id string) error

	// Check uses a key and reports whether it is accepted. An error means that this
	// could not be found out.
	Check(ctx context.Context, key source.Credential) (bool, error)
}

// A Registrar is a [Keeper] that is told what the secret of a key is.
type Registrar interface {
	Keeper

	// Register makes an active key of this user name and password.
	Register(ctx context.Context, key source.Credential, label string) error
}

// A Generator is a [Registrar] whose secrets have a form of their own.
type Generator interface {
	Registrar

	// Generate draws the secret of a key.
	Generate() (source.Secret, error)
}

// A Drawer is a [Keeper] that draws the secrets of its keys and tells them once.
type Drawer interface {
	Keeper

	// Draw makes a key that is not active. The credential has its ID, its secret,
	// and fields where something else changes with the key. If Draw fails when the
	// key is made, it is deleted, or List shows it with its label.
	Draw(ctx context.Context, label string) (source.Credential, error)
}

// An Observer is a [Keeper] that can see whether a key is in use. It is asked for keys
// that are to be retired, which wait until nothing uses them.
type Observer interface {
	// InUse counts what uses the key: calls of late, data under it, tokens that it
	// has signed.
	InUse(ctx context.Context, id string) (int, error)
}
