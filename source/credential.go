package source

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"maps"
	"slices"
	"time"
)

// A Credential is what a database login needs, with what the store says about
// its life. It is a value: copies are independent and safe to share.
//
// Printing a Credential shows user name, version and times, never a secret.
type Credential struct {
	// Username to log in with. Empty means that the pool's own configuration
	// names the user.
	Username string

	// Password to log in with.
	Password Secret

	// Version is the store's own name for this credential. Where the store has
	// none, the refresher puts a digest with a key of this process here. It
	// appears in logs and health reports and must not tell anything about the
	// secret; a plain hash would let it be guessed offline.
	Version string

	// Issued is when the request that brought the credential was begun, so
	// that no lifetime is taken for longer than it is. The zero time makes the
	// refresher use the start of its own request.
	Issued time.Time

	// Expires is when the credential ends. The zero time means that no end is
	// known. It is the truth without any safety margin.
	Expires time.Time

	// Reason names the bound that set Expires, for people: "lease", "max_ttl",
	// "vault token", "parent credentials".
	Reason string

	// Recheck asks to be looked at again by then, although the credential does
	// not end then: for stores that change on a schedule of their own. The
	// zero time leaves it to the refresher's poll interval.
	Recheck time.Time

	// EndsSessions says what happens to open sessions at Expires: true, they
	// end or lose their rights (the role is dropped); false, only new logins
	// fail (tokens used as passwords). With false, an end and no lease, pools
	// keep the sessions of a user whose next credential has the same fields.
	EndsSessions bool

	// Lease extends or ends the credential's life in the store; nil where the
	// store has no such thing. It is on the value so that no decorator of the
	// source can lose it.
	Lease Lease `json:"-"`

	fields map[string]Secret
}

// A Lease is the store's promise to keep a credential alive. A source that
// answers with the same credential twice means the same lease both times. Its
// methods are safe for concurrent use.
type Lease interface {
	// Renew asks for more time for the same user and password and returns the
	// credential with its new end, counted from the start of this request. A
	// credential without an end means that the store's answer was not
	// understood; the refresher then fetches a new one. An error marked with
	// [Permanent] means that this lease will never be renewed.
	Renew(ctx context.Context) (Credential, error)

	// Revoke ends the credential now. Revoking one that has ended already is
	// not an error.
	Revoke(ctx context.Context) error
}

// Field returns what else the store keeps with the credential under name, such
// as host, port or an API key, and whether it keeps it.
func (c Credential) Field(name string) (Secret, bool) {
	s, ok := c.fields[name]
	return s, ok
}

// FieldNames returns the names that [Credential.Field] knows, sorted.
func (c Credential) FieldNames() []string { return slices.Sorted(maps.Keys(c.fields)) }

// WithFields returns a copy of c that keeps a copy of fields in place of its
// own.
func (c Credential) WithFields(fields map[string]Secret) Credential {
	c.fields = maps.Clone(fields)
	return c
}

// Same reports whether two credentials are the same for everyone who uses
// them: user name, password, fields and the store's version. Times and leases
// do not count, so a renewed credential is the same one.
func (c Credential) Same(other Credential) bool {
	return c.Username == other.Username &&
		c.Version == other.Version &&
		c.Password.Equal(other.Password) &&
		maps.EqualFunc(c.fields, other.fields, Secret.Equal)
}

// Digest returns a name for the credential's content that is stable within
// this process and worthless outside it: a keyed hash whose key is drawn anew
// by each process.
func (c Credential) Digest() string {
	mac := hmac.New(sha256.New, processKey)
	// Lengths in front keep ("ab", "c") and ("a", "bc") apart.
	add := func(s string) { fmt.Fprintf(mac, "%d:%s", len(s), s) }
	add(c.Username)
	add(c.Password.Reveal())
	for _, name := range c.FieldNames() {
		add(name)
		add(c.fields[name].Reveal())
	}
	return "local-" + hex.EncodeToString(mac.Sum(nil)[:6])
}

var processKey = func() []byte {
	key := make([]byte, 32)
	_, _ = rand.Read(key) // never fails: crypto/rand aborts the process instead
	return key
}()

// String describes the credential without its secrets.
func (c Credential) String() string {
	s := fmt.Sprintf("credential of user %q version %q", c.Username, c.Version)
	if !c.Expires.IsZero() {
		s += " until " + c.Expires.Format(time.RFC3339)
		if c.Reason != "" {
			s += " (" + c.Reason + ")"
		}
	}
	return s
}

// Format prints what [Credential.String] says for every verb, %#v included.
func (c Credential) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, c.String()) }
