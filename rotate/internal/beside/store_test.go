package beside_test

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/fields"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/internal/beside"
	"github.com/rekey-go/rekey/rotate/rotatetest"
	"github.com/rekey-go/rekey/source"
)

// A shelf is a place in memory. Handles share it.
type shelf struct {
	mu   sync.Mutex
	docs [2]beside.Document
}

func newShelf() *shelf {
	s := &shelf{}
	s.put(beside.Secret, map[string]any{"username": "app", "password": "canary of the first", "host": "db.internal", "port": 5432})
	return s
}

func (s *shelf) put(w beside.Which, data map[string]any) {
	n, _ := strconv.Atoi(s.docs[w].Version)
	s.docs[w] = beside.Document{Data: data, Version: strconv.Itoa(n + 1)}
}

// A hand is one process's way to a shelf.
type hand struct {
	*shelf
	reading    func(beside.Which) // is told before each read; may be nil
	left, lost int                // the writes until one fails
}

func (h *hand) Where(w beside.Which) string { return fmt.Sprint("document ", int(w)) }
func (h *hand) Missing() error              { return errors.New("nothing is there") }

func (h *hand) Read(ctx context.Context, w beside.Which) (beside.Document, error) {
	if h.reading != nil {
		h.reading(w)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	d := h.docs[w]
	d.Data = maps.Clone(d.Data)
	return d, ctx.Err()
}

func (h *hand) Write(ctx context.Context, w beside.Which, old beside.Document, data map[string]any) (beside.Document, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return beside.Document{}, ctx.Err()
	case h.docs[w].Version != old.Version:
		return beside.Document{}, rotate.ErrConflict
	}
	if h.left--; h.left == 0 {
		return beside.Document{}, errors.New("cut")
	}
	h.put(w, data)
	if h.lost--; h.lost == 0 {
		return beside.Document{}, errors.New("lost")
	}
	return h.docs[w], nil
}

// A named store is a rotate.Store.
type named struct{ *beside.Store }

func (named) Name() string { return "shelf" }

func store(h *hand) named {
	return named{&beside.Store{Place: h, Names: fields.Names{Username: "username", Password: "password"}}}
}

func TestConformance(t *testing.T) {
	rotatetest.Store(t, func(*testing.T) rotatetest.StoreHarness {
		s := newShelf()
		h := &hand{shelf: s}
		return rotatetest.StoreHarness{
			Store: store(h), Other: store(&hand{shelf: s}),
			Overwrite: func(_ *testing.T, username, password string) {
				s.mu.Lock()
				defer s.mu.Unlock()
				s.put(beside.Secret, map[string]any{"username": username, "password": password, "host": "db.internal", "port": 5432})
			},
			Fail: func(_ *testing.T, n int, lost bool) func() bool {
				if h.left, h.lost = n, 0; lost {
					h.left, h.lost = 0, n
				}
				return func() bool {
					hit := h.left <= 0 && h.lost <= 0
					h.left, h.lost = 0, 0
					return hit
				}
			},
		}
	})
}

// Two rotations between the reads of the two documents do not mix.
func TestReadsBelongTogether(t *testing.T) {
	s := newShelf()
	other := store(&hand{shelf: s})
	rotated := func(token, from string) {
		c := source.Credential{Username: "app", Password: source.NewSecret("of " + token)}
		require.NoError(t, other.Create(t.Context(), token, c))
		require.NoError(t, other.Promote(t.Context(), token, from))
	}
	h := &hand{shelf: s}
	h.reading = func(w beside.Which) {
		if w == beside.Secret {
			h.reading = nil
			rotated("one", "1")
			rotated("two", "one")
		}
	}
	st, err := store(h).Read(t.Context())
	require.NoError(t, err)
	require.Equal(t, "two", st.Current.Token)
	require.Equal(t, "one", st.Previous.Token)
	require.Equal(t, "of one", st.Previous.Credential.Password.Reveal())
	require.Nil(t, st.Pending)
}

// The history is there while the envelope has not caught up with an operator.
func TestHistoryAfterAnOperator(t *testing.T) {
	s := newShelf()
	st := store(&hand{shelf: s})
	c := source.Credential{Username: "app", Password: source.NewSecret("of one")}
	require.NoError(t, st.Create(t.Context(), "one", c))
	require.NoError(t, st.Promote(t.Context(), "one", "1"))
	before, err := st.History(t.Context())
	require.NoError(t, err)
	require.Len(t, before, 2)
	s.put(beside.Secret, map[string]any{"username": "app", "password": "by hand"})
	after, err := st.History(t.Context())
	require.NoError(t, err)
	require.Equal(t, before, after)
}
