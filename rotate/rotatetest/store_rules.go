package rotatetest

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

var none rotate.Version

func checkRead(t *testing.T, k *keeper) {
	if k.Store.Name() == "" || k.Store.Name() != k.Other.Name() {
		t.Errorf("the two handles are named %q and %q", k.Store.Name(), k.Other.Name())
	}
	if k.first.Token == "" {
		t.Error("current has no token")
	}
	if n := len(k.first.Credential.FieldNames()); n < 2 {
		t.Errorf("the credential has %d fields; this suite wants two or more", n)
	}
	k.holds(k.first, none, none)
}

func checkCreate(t *testing.T, k *keeper) {
	v := k.created()
	k.holds(k.first, v, none)
	// Once more is nothing, whatever it brings.
	k.ok(k.Other.Create(t.Context(), v.Token, v.Credential))
	k.ok(k.Other.Create(t.Context(), v.Token, k.version().Credential))
	k.holds(k.first, v, none)
	// Nor is it anything when the version has become current.
	k.ok(k.Store.Promote(t.Context(), v.Token, k.first.Token))
	k.ok(k.Store.Create(t.Context(), v.Token, k.version().Credential))
	k.holds(v, none, k.first)
}

// checkFields: what the next one brings beside user name and password comes and goes
// with it; what it does not bring stays.
func checkFields(t *testing.T, k *keeper) {
	name := k.first.Credential.FieldNames()[0]
	text := "canary of a field " + drawToken()
	k.secrets = append(k.secrets, text)
	bring := map[string]source.Secret{name: source.NewSecret(text), "made_by_the_rotation": source.NewSecret(text + "+")}
	next := k.version()
	k.ok(k.Store.Create(t.Context(), next.Token, next.Credential.WithFields(bring)))
	fields := make(map[string]source.Secret)
	for _, other := range k.first.Credential.FieldNames() {
		fields[other], _ = k.first.Credential.Field(other)
	}
	maps.Copy(fields, bring)
	next.Credential = next.Credential.WithFields(fields)
	k.holds(k.first, next, none)
	k.ok(k.Store.Promote(t.Context(), next.Token, k.first.Token))
	k.holds(next, none, k.first)
	k.ok(k.Store.Restore(t.Context(), k.first.Token, next.Token))
	k.holds(k.first, none, next)
	k.ok(k.Store.Restore(t.Context(), next.Token, k.first.Token))
	k.holds(next, none, k.first)
	last := k.version()
	k.ok(k.Store.Create(t.Context(), last.Token, last.Credential.WithFields(nil)))
	last.Credential = last.Credential.WithFields(fields)
	k.ok(k.Store.Promote(t.Context(), last.Token, next.Token))
	k.holds(last, none, next)
}

func checkOnePending(t *testing.T, k *keeper) {
	v := k.created()
	for _, s := range []rotate.Store{k.Store, k.Other} {
		other := k.version()
		k.conflict(s.Create(t.Context(), other.Token, other.Credential))
	}
	k.holds(k.first, v, none)
	k.ok(k.Other.Discard(t.Context(), v.Token))
	next := k.created()
	k.holds(k.first, next, none)
}

func checkUnusable(t *testing.T, k *keeper) {
	for name, password := range map[string]string{
		"empty": "", "with a NUL byte": "canary-nul\x00byte", "not UTF-8": "canary-utf\xff\xfe8",
	} {
		v := k.version()
		v.Credential.Password = source.NewSecret(password)
		if password != "" {
			k.secrets = append(k.secrets, password, password[:10])
		}
		err := k.Store.Create(t.Context(), v.Token, v.Credential)
		k.discreet(err)
		if err == nil {
			t.Errorf("a password that is %s is taken", name)
		}
	}
	v := k.version()
	if err := k.Store.Create(t.Context(), "", v.Credential); err == nil {
		t.Error("an empty token is taken")
	}
	k.holds(k.first, none, none)
}

func checkPromote(t *testing.T, k *keeper) {
	v := k.created()
	k.ok(k.Store.Promote(t.Context(), v.Token, k.first.Token))
	k.holds(v, none, k.first)
	// Once more is nothing, from wherever it is said to come.
	k.ok(k.Other.Promote(t.Context(), v.Token, k.first.Token))
	k.ok(k.Store.Promote(t.Context(), v.Token, v.Token))
	k.holds(v, none, k.first)
	next := k.promoted(v)
	k.holds(next, none, v)
	last := k.promoted(next)
	k.holds(last, none, next)
	// The earlier ones have had their time.
	k.conflict(k.Store.Promote(t.Context(), v.Token, last.Token))
	k.conflict(k.Store.Promote(t.Context(), next.Token, last.Token))
	k.holds(last, none, next)
}

func checkPromoteRefused(t *testing.T, k *keeper) {
	never := k.version()
	k.conflict(k.Store.Promote(t.Context(), never.Token, k.first.Token))
	k.holds(k.first, none, none)
	v := k.created()
	k.conflict(k.Store.Promote(t.Context(), never.Token, k.first.Token))
	k.conflict(k.Store.Promote(t.Context(), v.Token, never.Token))
	k.conflict(k.Store.Promote(t.Context(), v.Token, v.Token))
	k.conflict(k.Store.Promote(t.Context(), v.Token, ""))
	k.holds(k.first, v, none)
	k.ok(k.Other.Discard(t.Context(), v.Token))
	k.conflict(k.Store.Promote(t.Context(), v.Token, k.first.Token))
	k.holds(k.first, none, none)
}

func checkDiscard(t *testing.T, k *keeper) {
	never := k.version()
	k.ok(k.Store.Discard(t.Context(), never.Token))
	k.ok(k.Store.Discard(t.Context(), k.first.Token))
	v := k.created()
	k.ok(k.Store.Discard(t.Context(), never.Token))
	k.ok(k.Store.Discard(t.Context(), k.first.Token))
	k.holds(k.first, v, none)
	k.ok(k.Store.Discard(t.Context(), v.Token))
	k.ok(k.Other.Discard(t.Context(), v.Token))
	k.holds(k.first, none, none)
	// What is current, or was, is never discarded.
	next := k.promoted(k.first)
	k.ok(k.Store.Discard(t.Context(), next.Token))
	k.ok(k.Store.Discard(t.Context(), k.first.Token))
	k.holds(next, none, k.first)
}

func checkRestore(t *testing.T, k *keeper) {
	v := k.promoted(k.first)
	k.ok(k.Store.Restore(t.Context(), k.first.Token, v.Token))
	k.holds(k.first, none, v)
	k.ok(k.Other.Restore(t.Context(), k.first.Token, v.Token))
	k.holds(k.first, none, v)
	// Back and forth, and on from there.
	k.ok(k.Other.Restore(t.Context(), v.Token, k.first.Token))
	k.holds(v, none, k.first)
	next := k.promoted(v)
	k.holds(next, none, v)
	k.ok(k.Store.Restore(t.Context(), v.Token, next.Token))
	k.holds(v, none, next)
	last := k.created()
	k.holds(v, last, next)
	k.ok(k.Store.Promote(t.Context(), last.Token, v.Token))
	k.holds(last, none, v)
}

// checkHistory: who remembers versions does so in their order.
func checkHistory(t *testing.T, k *keeper) {
	h, ok := k.Other.(rotate.Historian)
	if !ok {
		return
	}
	from, want := k.first, []string(nil)
	for range 4 {
		from = k.promoted(from)
		want = append(want, from.Token)
	}
	pending := k.created()
	records, err := h.History(t.Context())
	k.ok(err)
	var got []string
	for _, r := range records {
		switch {
		case r.Time.IsZero():
			t.Errorf("version %s has no time", r.Token)
		case r.Token != pending.Token && r.Token != k.first.Token:
			got = append(got, r.Token)
		}
	}
	if !slices.Equal(got, want) {
		t.Fatalf("the history is %q, should be %q", got, want)
	}
	if !slices.IsSortedFunc(records, func(a, b rotate.Record) int { return a.Time.Compare(b.Time) }) {
		t.Fatal("the history is not sorted by time")
	}
}

func checkRestoreRefused(t *testing.T, k *keeper) {
	never := k.version()
	k.conflict(k.Store.Restore(t.Context(), never.Token, k.first.Token))
	v := k.created()
	k.conflict(k.Store.Restore(t.Context(), v.Token, k.first.Token)) // pending is not previous
	k.holds(k.first, v, none)
	k.ok(k.Store.Promote(t.Context(), v.Token, k.first.Token))
	k.conflict(k.Store.Restore(t.Context(), k.first.Token, never.Token))
	k.conflict(k.Store.Restore(t.Context(), k.first.Token, k.first.Token+"x"))
	k.conflict(k.Store.Restore(t.Context(), never.Token, v.Token))
	k.holds(v, none, k.first)
	next := k.promoted(v)
	k.conflict(k.Store.Restore(t.Context(), k.first.Token, next.Token)) // too old
	k.holds(next, none, v)
}

// checkOverwritten has an operator write the secret at each stage of a rotation.
func checkOverwritten(t *testing.T, open func(*testing.T) StoreHarness) {
	t.Run("pending", func(t *testing.T) {
		k := keep(t, open(t))
		v := k.created()
		theirs := k.overwrite()
		k.conflict(k.Store.Promote(t.Context(), v.Token, k.first.Token))
		k.holds(theirs, v, k.first)
		// What comes next sees it, and may go on or give up.
		k.ok(k.Store.Promote(t.Context(), v.Token, theirs.Token))
		k.holds(v, none, theirs)
		k.ok(k.Store.Restore(t.Context(), theirs.Token, v.Token))
		k.holds(theirs, none, v)
	})
	t.Run("given up", func(t *testing.T) {
		k := keep(t, open(t))
		v := k.created()
		theirs := k.overwrite()
		k.ok(k.Store.Discard(t.Context(), v.Token))
		k.holds(theirs, none, k.first)
	})
	t.Run("promoted", func(t *testing.T) {
		k := keep(t, open(t))
		v := k.promoted(k.first)
		theirs := k.overwrite()
		k.conflict(k.Store.Restore(t.Context(), k.first.Token, v.Token))
		k.holds(theirs, none, v)
		k.ok(k.Store.Restore(t.Context(), v.Token, theirs.Token))
		k.holds(v, none, theirs)
	})
	t.Run("promoted at the second try", func(t *testing.T) {
		k := keep(t, open(t))
		v := k.created()
		hit := k.Fail(t, 1, true)
		err := k.Store.Promote(t.Context(), v.Token, k.first.Token)
		if !hit() {
			t.Fatal("nothing is written")
		}
		k.discreet(err)
		k.ok(k.Store.Promote(t.Context(), v.Token, k.first.Token))
		theirs := k.overwrite()
		k.holds(theirs, none, v) // not what was promoted as pending once more
	})
	t.Run("again and again", func(t *testing.T) {
		k := keep(t, open(t))
		v := k.promoted(k.first)
		k.overwrite()
		theirs := k.overwrite()
		s := k.read()
		if s.Current.Token != theirs.Token || s.Pending != nil || s.Previous == nil {
			t.Fatalf("the store holds\n%s", show(s))
		}
		if s.Current.Token == v.Token {
			t.Fatal("the operator's version has the name of another")
		}
		next := k.promoted(theirs)
		k.holds(next, none, theirs)
	})
}

// overwrite returns the operator's version, under the name that the store gives
// it.
func (k *keeper) overwrite() rotate.Version {
	k.t.Helper()
	v := k.version()
	k.Overwrite(k.t, v.Credential.Username, v.Credential.Password.Reveal())
	got := k.read().Current
	if got.Token == v.Token || got.Credential.Username != v.Credential.Username {
		k.t.Fatal("the operator's login is not current")
	}
	v.Token, v.Credential.Version = got.Token, got.Token
	return v
}

func checkOdd(t *testing.T, k *keeper) {
	current := k.first
	for _, odd := range []string{
		`quo"te's`, `back\slash\n`, "a\nb\r\nc\td", " blanks ", "tilde ~ at@ slash/ colon: hash# percent%41 amp& <tag> {{x}} ${y}",
		"ünïcödé ключ 鍵 🔑", "a\u0301 \u2028\u2029\ufeff", "\x01\x1b\x7f", `x host=evil`, `{"password":"no"}`, "null", "0", "'; drop table t; --",
	} {
		v := k.version()
		v.Credential.Password = source.NewSecret(odd + v.Token)
		v.Credential.Username = "user " + odd
		k.ok(k.Store.Create(t.Context(), v.Token, v.Credential))
		s := k.read()
		if s.Pending == nil || !s.Pending.Credential.Password.Equal(v.Credential.Password) {
			t.Fatalf("%q does not survive as pending", odd)
		}
		k.ok(k.Store.Promote(t.Context(), v.Token, current.Token))
		k.holds(v, none, current)
		current = v
	}
}

// long is nearly what Secrets Manager takes.
const long = 60 << 10

func checkLong(t *testing.T, k *keeper) {
	v := k.version()
	v.Credential.Password = source.NewSecret(strings.Repeat(v.Credential.Password.Reveal(), long)[:long])
	k.ok(k.Store.Create(t.Context(), v.Token, v.Credential))
	k.holds(k.first, v, none)
	k.ok(k.Store.Promote(t.Context(), v.Token, k.first.Token))
	k.holds(v, none, k.first)
	next := k.promoted(v)
	k.ok(k.Store.Restore(t.Context(), v.Token, next.Token))
	k.holds(v, none, next)
}

// onlyConflicts is for the errors of processes that get in each other's way.
func (k *keeper) onlyConflicts(errs []error) {
	k.t.Helper()
	for _, err := range errs {
		if err != nil && !errors.Is(err, rotate.ErrConflict) {
			k.ok(err)
		}
		k.discreet(err)
	}
}
