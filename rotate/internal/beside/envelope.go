package beside

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"github.com/rekey-go/rekey/internal/fields"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// An envelope is what the document beside the secret holds.
type envelope struct {
	Pending   *record   `json:"pending,omitempty"`
	Current   *record   `json:"current,omitempty"`
	Previous  *record   `json:"previous,omitempty"`
	RotatedAt time.Time `json:"rotatedAt,omitzero"` // when current was found or made to be
	History   []past    `json:"history,omitempty"`  // oldest first, the current one included
}

// A past is a version that was current from a time on.
type past struct {
	Token    string    `json:"token"`
	Username string    `json:"username,omitempty"`
	Since    time.Time `json:"since"`
}

// remembered bounds the history: documents of stores are small.
const remembered = 100

// begins is e when its current version becomes that.
func (e envelope) begins(history []past, now time.Time) envelope {
	e.RotatedAt = now
	e.History = append(slices.Clone(history), past{e.Current.Token, e.Current.Username, now})
	e.History = e.History[max(0, len(e.History)-remembered):]
	return e
}

// A record is a version without its fields, which are those of the secret but for
// the ones that a rotation changes.
type record struct {
	Token    string         `json:"token"`
	Username string         `json:"username,omitempty"`
	Password string         `json:"password"`
	Fields   map[string]any `json:"fields,omitempty"` // nil: the secret should not have it
	Created  time.Time      `json:"created,omitzero"`
}

func (r *record) same(o *record) bool {
	return r != nil && r.Username == o.Username && r.Password == o.Password
}

// called reports whether r has this token.
func (r *record) called(token string) bool { return r != nil && r.Token == token }

// parse reads an envelope; one that is not there is empty.
func parse(where string, d Document) (e envelope, err error) {
	if d.Data == nil {
		return e, nil
	}
	if err := convert(d.Data, &e); err != nil { // which may quote what it stumbles over
		return e, &source.FieldError{Where: where, Field: "pending, current or previous", Problem: "is not what a rotation writes; did something else write here?"}
	}
	for name, r := range map[string]*record{"pending": e.Pending, "current": e.Current, "previous": e.Previous} {
		if r != nil && (r.Token == "" || r.Password == "") {
			return e, &source.FieldError{Where: where, Field: name, Problem: "lacks a token or a password; did something else write here?"}
		}
	}
	return e, nil
}

func (e envelope) data() map[string]any {
	var data map[string]any
	if err := convert(e, &data); err != nil {
		panic("beside: " + err.Error()) // texts and times
	}
	return data
}

// convert takes JSON from one type to another, with numbers as they are written.
func convert(from, to any) error {
	text, err := json.Marshal(from)
	if err != nil {
		return err
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	return dec.Decode(to)
}

// caughtUp is e once it has learned that the secret holds now, marked so.
// version names what no rotation has made.
func (e envelope) caughtUp(now record, marked, version string) envelope {
	switch {
	case e.Current.called(marked) && e.Current.same(&now):
		return e
	case e.Pending.called(marked) && e.Pending.same(&now):
		return envelope{Current: e.Pending, Previous: e.Current}
	case e.Previous.called(marked) && e.Previous.same(&now):
		return envelope{Pending: e.Pending, Current: e.Previous, Previous: e.Current}
	case e.Current.same(&now): // somebody has written it once more
		return e
	}
	// An operator has, who may have left the marker of the version before.
	now.Token = marked
	if marked == "" || e.knows(marked) {
		now.Token = version
	}
	for e.knows(now.Token) { // as the place cannot tell writes apart that follow too closely
		now.Token += "+"
	}
	next := envelope{Pending: e.Pending, Current: &now, Previous: e.Current}
	if next.Previous == nil {
		next.Previous = e.Previous
	}
	return next
}

func (e envelope) knows(token string) bool {
	return e.Pending.called(token) || e.Current.called(token) || e.Previous.called(token)
}

// version makes a version of r as it would be in the secret.
func (r *record) version(names fields.Names, secret map[string]any) *rotate.Version {
	if r == nil {
		return nil
	}
	c := names.Others(source.Credential{Username: r.Username, Password: source.NewSecret(r.Password), Version: r.Token}, r.over(secret))
	return &rotate.Version{Token: r.Token, Credential: c, Created: r.Created}
}

// over is the secret's data with the fields of r, and without the marker.
func (r *record) over(secret map[string]any) map[string]any {
	data := maps.Clone(secret)
	delete(data, Marker)
	for name, value := range r.Fields {
		data[name] = value
		if value == nil {
			delete(data, name)
		}
	}
	return data
}

// keeping is r with what the secret holds under the names of fields now, so that
// it can come back.
func (r *record) keeping(secret, fields map[string]any) *record {
	kept := *r
	kept.Fields = nil
	for name := range fields {
		if kept.Fields == nil {
			kept.Fields = make(map[string]any, len(fields))
		}
		kept.Fields[name] = secret[name]
	}
	return &kept
}

// text returns the string under name, if it is one.
func text(data map[string]any, name string) string {
	s, _ := data[name].(string)
	return s
}

// usable refuses passwords and user names that no source would read again.
func usable(where string, names fields.Names, c source.Credential) error {
	data := map[string]any{names.Password: c.Password.Reveal()}
	if c.Username != "" {
		data[names.Username] = c.Username
	}
	_, err := names.Login(where, data)
	return err
}
