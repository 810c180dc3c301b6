package beside

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/rekey-go/rekey/internal/fields"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
)

// A Store is a [rotate.Store] but for its name.
type Store struct {
	Place Place
	Names fields.Names
}

// A look is what both documents hold at one moment.
type look struct {
	secret, beside Document
	written        envelope // as it is beside
	now            envelope // as it should be
	rotate.State
}

// Read returns what the store holds now.
func (s *Store) Read(ctx context.Context) (rotate.State, error) {
	l, err := s.look(ctx)
	return l.State, err
}

// look reads the envelope before and after the secret, until it is the same: so
// both are of one moment.
func (s *Store) look(ctx context.Context) (look, error) {
	before, err := s.Place.Read(ctx, Envelope)
	for {
		if err != nil {
			return look{}, err
		}
		l := look{beside: before}
		if l.secret, err = s.Place.Read(ctx, Secret); err != nil {
			return look{}, err
		}
		after, err := s.Place.Read(ctx, Envelope)
		if err != nil {
			return look{}, err
		}
		if after.Version == before.Version && bytes.Equal(after.Raw, before.Raw) {
			return l, s.understand(&l)
		}
		before = after
	}
}

// understand fills in what the documents mean.
func (s *Store) understand(l *look) (err error) {
	if l.secret.Data == nil {
		return s.Place.Missing()
	}
	c, err := s.Names.Login(s.Place.Where(Secret), l.secret.Data)
	if err != nil {
		return err
	}
	if l.written, err = parse(s.Place.Where(Envelope), l.beside); err != nil {
		return err
	}
	l.now = l.written.caughtUp(record{Username: c.Username, Password: c.Password.Reveal()}, text(l.secret.Data, Marker), l.secret.Version)
	current := *l.now.Current
	current.Fields = nil // they are in the secret
	version := func(r *record) *rotate.Version { return r.version(s.Names, l.secret.Data) }
	l.State = rotate.State{Current: *version(&current), Pending: version(l.now.Pending), Previous: version(l.now.Previous)}
	return nil
}

// History returns the versions that were current, oldest first: the last hundred
// since a rotation has first been here.
func (s *Store) History(ctx context.Context) ([]rotate.Record, error) {
	l, err := s.look(ctx)
	if err != nil {
		return nil, err
	}
	var records []rotate.Record
	for _, p := range l.written.History { // to which whoever writes next adds the current one
		records = append(records, rotate.Record{Token: p.Token, User: p.Username, Time: p.Since})
	}
	return records, nil
}

// Create makes next pending. See [rotate.Store], here and below.
func (s *Store) Create(ctx context.Context, token string, next source.Credential) error {
	if token == "" {
		return errors.New("the token is empty")
	}
	if err := usable(s.Place.Where(Envelope), s.Names, next); err != nil {
		return err
	}
	return s.until(ctx, func(l look) error {
		switch {
		case l.now.Current.called(token), l.now.Pending.called(token):
			return nil
		case l.now.Pending != nil:
			return s.conflict("version %s is pending", l.now.Pending.Token)
		case l.now.Previous.called(token):
			return s.conflict("version %s is the previous one already", token)
		}
		l.now.Pending = &record{Token: token, Username: next.Username, Password: next.Password.Reveal(), Created: time.Now().UTC()}
		if changed := s.Names.Changed(l.secret.Data, next); len(changed) > 0 {
			l.now.Pending.Fields = make(map[string]any, len(changed))
			for name, value := range changed {
				l.now.Pending.Fields[name] = value
			}
		}
		return s.catchUp(ctx, &l)
	})
}

// Promote makes the pending version token current.
func (s *Store) Promote(ctx context.Context, token, from string) error {
	return s.until(ctx, func(l look) error {
		switch {
		case l.now.Current.called(token):
			_ = s.catchUp(ctx, &l) // as below
			return nil
		case !l.now.Current.called(from):
			return s.conflict("version %s is current, not %s", l.now.Current.Token, from)
		case !l.now.Pending.called(token):
			return s.conflict("version %s is not pending", token)
		}
		return s.become(ctx, l, l.now.Pending)
	})
}

// Restore makes the previous version to current again.
func (s *Store) Restore(ctx context.Context, to, from string) error {
	return s.until(ctx, func(l look) error {
		switch {
		case l.now.Current.called(to):
			return nil
		case !l.now.Current.called(from):
			return s.conflict("version %s is current, not %s", l.now.Current.Token, from)
		case !l.now.Previous.called(to):
			return s.conflict("version %s is not the previous one", to)
		}
		return s.become(ctx, l, l.now.Previous)
	})
}

// Discard removes the pending version token.
func (s *Store) Discard(ctx context.Context, token string) error {
	return s.until(ctx, func(l look) error {
		if !l.now.Pending.called(token) {
			return nil
		}
		l.now.Pending = nil
		return s.catchUp(ctx, &l)
	})
}

// until has do decide on what is there, and again if that has changed before it
// could be written. Each time around somebody has got on.
func (s *Store) until(ctx context.Context, do func(look) error) error {
	for {
		l, err := s.look(ctx)
		if err != nil {
			return err
		}
		if err = do(l); !errors.Is(err, errChanged) {
			return err
		}
	}
}

// errChanged: a document was not what it had been.
var errChanged = errors.New("it was written meanwhile")

func (s *Store) write(ctx context.Context, w Which, old Document, data map[string]any) (Document, error) {
	d, err := s.Place.Write(ctx, w, old, data)
	if errors.Is(err, rotate.ErrConflict) {
		err = errChanged
	}
	return d, err
}

// become writes r, which the envelope knows, into the secret.
func (s *Store) become(ctx context.Context, l look, r *record) error {
	// The envelope must know what it takes the place of.
	l.now.Current = l.now.Current.keeping(l.secret.Data, r.Fields)
	if err := s.catchUp(ctx, &l); err != nil {
		return err
	}
	data := r.over(l.secret.Data)
	data[s.Names.Password], data[Marker] = r.Password, r.Token
	delete(data, s.Names.Username)
	if r.Username != "" {
		data[s.Names.Username] = r.Username
	}
	if _, err := s.write(ctx, Secret, l.secret, data); err != nil {
		return err
	}
	// This is it. That the envelope says so, too, keeps a later operator's write
	// from looking like an earlier one; if it cannot be written, the next does it.
	l.now = l.now.caughtUp(*r, r.Token, "")
	_ = s.catchUp(ctx, &l)
	return nil
}

// catchUp writes the envelope as it should be, if it is not.
func (s *Store) catchUp(ctx context.Context, l *look) error {
	if reflect.DeepEqual(l.now, l.written) {
		return nil
	}
	if !l.written.Current.called(l.now.Current.Token) {
		l.now = l.now.begins(l.written.History, time.Now().UTC())
	}
	d, err := s.write(ctx, Envelope, l.beside, l.now.data())
	if err == nil {
		l.beside, l.written = d, l.now
	}
	return err
}

func (s *Store) conflict(format string, a ...any) error {
	return fmt.Errorf("%s: %s: %w", s.Place.Where(Secret), fmt.Sprintf(format, a...), rotate.ErrConflict)
}
