package rotatetest

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// A StoreHarness is a store with a secret of its own. All functions run on the
// test's own goroutine.
type StoreHarness struct {
	// Store keeps a secret that no rotation has touched yet, with at least two
	// fields beside user name and password. The password is long and odd enough
	// not to be found in other text by chance.
	Store rotate.Store

	// Other is a second handle on the same secret, as another process has it.
	Other rotate.Store

	// Overwrite gives the secret another login, fields as they are, by the means
	// of an operator who does not know of rotations.
	Overwrite func(t *testing.T, username, password string)

	// Fail makes the nth write of Store from now on, counted from 1, fail: it
	// does not happen or, if lost, happens without an answer. A store that writes
	// again by itself may do so. hit reports whether the write has come, and
	// lets those that have not come pass.
	Fail func(t *testing.T, n int, lost bool) (hit func() bool)

	// Hang keeps everything that Store asks for unanswered until the test ends
	// and tells by entered that it has begun to. Nil: the store is local and is
	// never waited for.
	Hang func(t *testing.T) (entered <-chan struct{})
}

// Store checks that the stores which open makes keep the rules of
// [rotate.Store]. open is called for each check, some call it more than once,
// and cleans up by t.Cleanup.
func Store(t *testing.T, open func(t *testing.T) StoreHarness) {
	t.Helper()
	checks := []struct {
		name  string
		check func(*testing.T, func(*testing.T) StoreHarness)
	}{
		{"Read", one(checkRead)},
		{"Create", one(checkCreate)},
		{"CreateFields", one(checkFields)},
		{"CreateOnePending", one(checkOnePending)},
		{"CreateUnusable", one(checkUnusable)},
		{"Promote", one(checkPromote)},
		{"PromoteRefused", one(checkPromoteRefused)},
		{"Discard", one(checkDiscard)},
		{"Restore", one(checkRestore)},
		{"RestoreRefused", one(checkRestoreRefused)},
		{"History", one(checkHistory)},
		{"Overwritten", checkOverwritten},
		{"Odd", one(checkOdd)},
		{"Long", one(checkLong)},
		{"Canceled", checkCanceled},
		{"Broken", checkBroken},
		{"RaceToCreate", checkRaceToCreate},
		{"Race", one(checkRace)},
	}
	for _, c := range checks {
		t.Run(c.name, func(t *testing.T) { c.check(t, open) })
	}
}

// one makes a check of a single store.
func one(check func(*testing.T, *keeper)) func(*testing.T, func(*testing.T) StoreHarness) {
	return func(t *testing.T, open func(*testing.T) StoreHarness) { check(t, keep(t, open(t))) }
}

// A keeper is a store under test and what it was given to keep.
type keeper struct {
	StoreHarness
	t       *testing.T
	first   rotate.Version
	secrets []string
}

func keep(t *testing.T, h StoreHarness) *keeper {
	t.Helper()
	k := &keeper{StoreHarness: h, t: t}
	k.first = k.read().Current
	k.secrets = append(k.secrets, k.first.Credential.Password.Reveal())
	return k
}

// read reads by both handles, which must see the same.
func (k *keeper) read() rotate.State {
	k.t.Helper()
	mine, err := k.Store.Read(k.t.Context())
	k.ok(err)
	theirs, err := k.Other.Read(k.t.Context())
	k.ok(err)
	if a, b := show(mine), show(theirs); a != b {
		k.t.Fatalf("one handle reads\n%s\nthe other\n%s", a, b)
	}
	if p := mine.Current.Credential.Password.Reveal(); p == "" {
		k.t.Fatal("current has no password")
	}
	return mine
}

// version draws a version that has never been.
func (k *keeper) version() rotate.Version {
	b := make([]byte, 16)
	_, _ = rand.Read(b) // never fails
	v := rotate.Version{Token: fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:])}
	text := rand.Text()
	v.Credential = k.first.Credential
	v.Credential.Username, v.Credential.Password, v.Credential.Version = "user_"+text[:8], source.NewSecret("canary-"+text), v.Token
	k.secrets = append(k.secrets, v.Credential.Password.Reveal())
	return v
}

// created is a version that is pending now.
func (k *keeper) created() rotate.Version {
	k.t.Helper()
	v := k.version()
	k.ok(k.Store.Create(k.t.Context(), v.Token, v.Credential))
	return v
}

// promoted is a version that is current now, in place of from.
func (k *keeper) promoted(from rotate.Version) rotate.Version {
	k.t.Helper()
	v := k.created()
	k.ok(k.Store.Promote(k.t.Context(), v.Token, from.Token))
	return v
}

func (k *keeper) ok(err error) {
	k.t.Helper()
	if err != nil {
		k.discreet(err)
		k.t.Fatalf("it fails: %v", err)
	}
}

func (k *keeper) conflict(err error) {
	k.t.Helper()
	k.discreet(err)
	if !errors.Is(err, rotate.ErrConflict) {
		k.t.Fatalf("the error should wrap ErrConflict, it is %v", err)
	}
}

// discreet looks for secrets in an error.
func (k *keeper) discreet(err error) {
	k.t.Helper()
	text := fmt.Sprintf("%v %+v %#v", err, err, err)
	for e := err; e != nil; e = errors.Unwrap(e) {
		text += fmt.Sprintf("%+v %#v", e, e)
	}
	for _, secret := range k.secrets {
		if strings.Contains(text, secret) {
			k.t.Fatal("an error shows a password")
		}
	}
}

// holds checks what the store holds. The zero version stands for none.
func (k *keeper) holds(current, pending, previous rotate.Version) {
	k.t.Helper()
	if got, want := show(k.read()), show(state(current, pending, previous)); got != want {
		k.t.Fatalf("the store holds\n%s\ninstead of\n%s", got, want)
	}
}

func state(current, pending, previous rotate.Version) rotate.State {
	s := rotate.State{Current: current}
	if pending.Token != "" {
		s.Pending = &pending
	}
	if previous.Token != "" {
		s.Previous = &previous
	}
	return s
}

// show writes a state down with digests in place of its secrets.
func show(s rotate.State) string {
	line := func(name string, v *rotate.Version) string {
		if v == nil {
			return name + " none"
		}
		c := v.Credential
		named := "named alike"
		if v.Token == "" || c.Version != v.Token {
			named = fmt.Sprintf("named %q", c.Version)
		}
		return fmt.Sprintf("%s %s %s: %q with %s", name, v.Token, named, c.Username, bare(c).Digest())
	}
	return strings.Join([]string{line("current", &s.Current), line("pending", s.Pending), line("previous", s.Previous)}, "\n")
}

// bare is what c logs in with, and the fields beside it.
func bare(c source.Credential) source.Credential {
	kept := make(map[string]source.Secret)
	for _, name := range c.FieldNames() {
		kept[name], _ = c.Field(name)
	}
	return source.Credential{Username: c.Username, Password: c.Password}.WithFields(kept)
}

// An operation changes a store. Its preparation returns the call, and the
// states before and after it.
type operation struct {
	name    string
	prepare func(k *keeper) (call func(context.Context, rotate.Store) error, before, after rotate.State)
}

var operations = []operation{
	{"create", func(k *keeper) (func(context.Context, rotate.Store) error, rotate.State, rotate.State) {
		v := k.version()
		return func(ctx context.Context, s rotate.Store) error { return s.Create(ctx, v.Token, v.Credential) },
			state(k.first, rotate.Version{}, rotate.Version{}), state(k.first, v, rotate.Version{})
	}},
	{"promote", func(k *keeper) (func(context.Context, rotate.Store) error, rotate.State, rotate.State) {
		v := k.created()
		return func(ctx context.Context, s rotate.Store) error { return s.Promote(ctx, v.Token, k.first.Token) },
			state(k.first, v, rotate.Version{}), state(v, rotate.Version{}, k.first)
	}},
	{"promote the second", func(k *keeper) (func(context.Context, rotate.Store) error, rotate.State, rotate.State) {
		first := k.promoted(k.first)
		v := k.created()
		return func(ctx context.Context, s rotate.Store) error { return s.Promote(ctx, v.Token, first.Token) },
			state(first, v, k.first), state(v, rotate.Version{}, first)
	}},
	{"promote over another", func(k *keeper) (func(context.Context, rotate.Store) error, rotate.State, rotate.State) {
		v := k.created()
		theirs := k.overwrite()
		return func(ctx context.Context, s rotate.Store) error { return s.Promote(ctx, v.Token, theirs.Token) },
			state(theirs, v, k.first), state(v, rotate.Version{}, theirs)
	}},
	{"discard", func(k *keeper) (func(context.Context, rotate.Store) error, rotate.State, rotate.State) {
		v := k.created()
		return func(ctx context.Context, s rotate.Store) error { return s.Discard(ctx, v.Token) },
			state(k.first, v, rotate.Version{}), state(k.first, rotate.Version{}, rotate.Version{})
	}},
	{"restore", func(k *keeper) (func(context.Context, rotate.Store) error, rotate.State, rotate.State) {
		v := k.promoted(k.first)
		return func(ctx context.Context, s rotate.Store) error { return s.Restore(ctx, k.first.Token, v.Token) },
			state(v, rotate.Version{}, k.first), state(k.first, rotate.Version{}, v)
	}},
}

// ledger maps what was ever drawn to what it must look like.
type ledger map[string]string

func (l ledger) add(v rotate.Version) {
	l[v.Token] = v.Credential.Username + bare(v.Credential).Digest()
}

func (l ledger) knows(v rotate.Version) bool {
	return l[v.Token] == v.Credential.Username+bare(v.Credential).Digest()
}

func (l ledger) String() string { return strings.Join(slices.Sorted(maps.Keys(l)), " ") }
