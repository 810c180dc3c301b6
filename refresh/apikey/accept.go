package apikey

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/internal/bystander"
	"github.com/rekey-go/rekey/refresh/internal/overlap"
)

// AcceptorOptions adjust an [Acceptor]. The zero value, or nil, means the defaults, and
// so does a negative value.
type AcceptorOptions struct {
	Form

	// Keep is how long a key is accepted after another has become current. It should
	// be longer than clients take to follow. Zero: 1 h.
	Keep time.Duration

	// Also are fields of the current credential that hold keys which are accepted as
	// well, such as "next" and "previous". Those that are missing are left out. A
	// restart forgets which key was current before; such a field does not.
	Also []string
}

// An Acceptor knows which keys a server accepts: the current one, those before it for
// a time, and those beside it. It is safe for concurrent use.
type Acceptor struct {
	form    Form
	keys    *overlap.Values[accepted]
	pins    *refresh.Attachment
	lastOld atomic.Int64 // nanoseconds; zero: never
}

// accepted are the hashes of what a generation's credential accepts. To compare
// hashes takes as long for every key, whatever its length.
type accepted struct {
	current [sha256.Size]byte
	also    [][sha256.Size]byte
}

// NewAcceptor follows r, whose keys it accepts. It fails if the current credential has no
// key; later ones without are not adopted.
func NewAcceptor(ctx context.Context, r *refresh.Refresher, opts *AcceptorOptions) (*Acceptor, error) {
	if opts == nil {
		opts = new(AcceptorOptions)
	}
	form, err := opts.withDefaults()
	if err != nil {
		return nil, err
	}
	a := &Acceptor{form: form}
	a.keys, err = overlap.New(ctx, r, cmp.Or(max(opts.Keep, 0), time.Hour), func(s refresh.Snapshot) (accepted, error) {
		k, err := form.parse(s)
		keys := accepted{current: sha256.Sum256([]byte(k.value))}
		for _, name := range opts.Also {
			beside := form
			beside.Field = name
			if secret, ok := s.Field(name); err != nil || !ok || secret.IsEmpty() {
				continue
			}
			if k, err = beside.parse(s); err == nil {
				keys.also = append(keys.also, sha256.Sum256([]byte(k.value)))
			}
		}
		return keys, err
	})
	if err != nil {
		return nil, err
	}
	if a.pins, err = bystander.Attach(ctx, r); err != nil {
		a.keys.Close()
		return nil, err
	}
	return a, nil
}

// Forget accepts only what the current credential holds from now on: for a key that
// has become known to others.
func (a *Acceptor) Forget() { a.keys.Forget() }

// Close stops following the refresher. The current key stays accepted.
func (a *Acceptor) Close() {
	a.keys.Close()
	a.pins.Detach()
}

// Accepts reports whether a request carries a key that is accepted. If it carries one
// that is not known, the store is asked for a newer one, with growing pauses, so that
// wrong keys do not burden it; Accepts does not wait for that.
func (a *Acceptor) Accepts(r *http.Request) bool {
	values := r.Header[a.form.Header]
	if len(values) != 1 || len(values[0]) <= len(a.form.Prefix) {
		return false
	}
	now := time.Now()
	sent := sha256.Sum256([]byte(values[0]))
	found, current := false, false
	first := true
	for v := range a.keys.At(now) {
		if subtle.ConstantTimeCompare(sent[:], v.Of.current[:]) == 1 {
			found, current = true, current || first
		}
		if first { // what earlier credentials had beside them is over
			for _, also := range v.Of.also {
				found = subtle.ConstantTimeCompare(sent[:], also[:]) == 1 || found
			}
		}
		first = false
	}
	switch {
	case !found:
		pin := a.pins.Pin()
		pin.Doubt()
		pin.Release()
	case !current:
		a.lastOld.Store(now.UnixNano())
	}
	return found
}

// LastOld returns when a key other than the current one was last accepted. The zero
// time means never. When it stands still, nobody uses the old key any more.
func (a *Acceptor) LastOld() time.Time {
	if n := a.lastOld.Load(); n != 0 {
		return time.Unix(0, n)
	}
	return time.Time{}
}

// Handler passes requests with a key that is accepted to next, and answers others with
// 401. It names no scheme in WWW-Authenticate unless the key is a bearer token.
func (a *Acceptor) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.Accepts(r) {
			next.ServeHTTP(w, r)
			return
		}
		if a.form.Prefix == "Bearer " {
			w.Header().Set("WWW-Authenticate", "Bearer")
		}
		http.Error(w, "the key is missing or not accepted", http.StatusUnauthorized)
	})
}
