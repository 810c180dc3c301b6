package rotate

import (
	"context"
	"time"

	"github.com/rekey-go/rekey/source"
)

// A Strategy says how a target gets from one credential to the next.
type Strategy struct {
	// Name is what people call it: "single user", "alternating users",
	// "parallel role".
	Name string

	// InPlace: the user stays and its password changes, so the current
	// credential does not work any more from set on, until promote. Approval
	// comes before set, and a rotation that fails sets the current password
	// again.
	InPlace bool

	// Reuses: set changes a user that was current before the last rotation, so
	// those who still use it must have gone before set.
	Reuses bool

	// Leaves: the old user is left behind when the new one is current, and has
	// to be retired.
	Leaves bool

	// Dual: the user stays and accepts two passwords, the next and the current
	// one. What is left behind is the older one, so Leaves is set as well, and
	// the target is a [Discarder].
	Dual bool
}

// A Change is what a rotation makes of a database.
type Change struct {
	Token string            // of the rotation
	From  source.Credential // current before
	To    source.Credential // pending
}

// A Target is what credentials are for: a database, or whatever asks for a
// secret. Its methods may be called again at any time, by any process, and
// then find done what has been done. A change by a rotation that is older than
// the last one fails with an error that wraps [ErrConflict]. The suite
// [github.com/rekey-go/rekey/rotate/rotatetest.Target] holds a target against this.
type Target interface {
	// Strategy does not change.
	Strategy() Strategy

	// Next returns the user name and the other fields of the credential that comes
	// after current; token is unique. Where others draw what is secret, such as an
	// API that hands out keys, Next has them draw it and returns it as well, and
	// Undo, or a later Next, removes what was drawn and never stored.
	// Otherwise the password is empty, and the rotation draws it.
	Next(ctx context.Context, current source.Credential, token string) (source.Credential, error)

	// Set makes the database accept c.To, and records c.Token in the same
	// transaction where it can.
	Set(ctx context.Context, c Change) error

	// Applied reports whether Set with this token was the last that has
	// happened to the user of c.To.
	Applied(ctx context.Context, c Change) (bool, error)

	// Accepts reports whether the database lets credential log in. An error
	// means that this could not be found out.
	Accepts(ctx context.Context, credential source.Credential) (bool, error)

	// Verify logs in with c.To and proves that it may do what c.From may, and
	// what else the application needs. An error that wraps [ErrUnfit] speaks
	// against the credential; any other means that this could not be found out.
	Verify(ctx context.Context, c Change) error

	// Undo takes Set back: InPlace, the database accepts c.From again, and so if
	// c.From and c.To have the same user because somebody has gone back to it
	// meanwhile; else what Set has made for c.To is removed, or not used any more.
	Undo(ctx context.Context, c Change) error

	// Sessions counts the open sessions that hold back what comes next: those
	// of user that were opened before the current credential was set.
	Sessions(ctx context.Context, user string) (int, error)

	// Left returns the users of earlier rotations that are not retired yet,
	// oldest first, without those of current and pending.
	Left(ctx context.Context, s State) ([]string, error)

	// Disable keeps user from logging in. Enable takes that back.
	Disable(ctx context.Context, user string) error
	Enable(ctx context.Context, user string) error

	// Remove removes a disabled user for good.
	Remove(ctx context.Context, user string) error
}

// An Ender is a [Target] that can end sessions, which [Rotator.Revoke] needs.
type Ender interface {
	// End ends the sessions that Sessions counts, and returns how many there were.
	End(ctx context.Context, user string) (int, error)
}

// A Use is what a database shows of the sessions of one application.
type Use struct {
	Application string    // as it calls itself; empty: it does not
	Client      string    // its address; empty: not told, or the database's own machine
	Sessions    int       // open ones
	Old         int       // of them, those that Sessions counts
	Oldest      time.Time // when the first of them was opened
}

// An Observer is a [Target] that can see who uses a user.
type Observer interface {
	// Uses lists who has sessions of user, by application and client.
	Uses(ctx context.Context, user string) ([]Use, error)
}

// A Discarder is a [Target] whose strategy is Dual. Left names a user that still
// accepts the password before that of s.Current, and Discard takes the place of
// Disable, Enable and Remove, which fail. Set fails, with an error that wraps
// [ErrUnfit] or [ErrConflict], where it would take away an older password that
// has not been discarded.
type Discarder interface {
	// Discard has the user of s.Current accept no other password than that. If
	// the last change to the user was not that of s.Current, the error wraps
	// [ErrConflict].
	Discard(ctx context.Context, s State) error
}

// A Disabler is a [Target] that remembers when it has disabled a user, so that
// [Config.Grace] goes on through restarts, and nobody has to wait for its end.
type Disabler interface {
	// Disabled returns how long ago user was disabled. If it is not, or is not
	// there, the error wraps [ErrNothing].
	Disabled(ctx context.Context, user string) (ago time.Duration, err error)
}
