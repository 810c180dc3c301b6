package certificate_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/file"
	"github.com/rekey-go/rekey/rotate/internal/cut"
	"github.com/rekey-go/rekey/source/keypair"
)

// rotator keeps the first certificate in a file.
func (h *house) rotator(deny *bool) *rotate.Rotator {
	path := filepath.Join(h.t.TempDir(), "store.json")
	chain, _ := h.first.Field(keypair.ChainField)
	text, err := json.Marshal(map[string]string{"username": shop, "password": h.first.Password.Reveal(), "tls.crt": chain.Reveal()})
	require.NoError(h.t, err)
	require.NoError(h.t, os.WriteFile(path, text, 0o600))
	r, err := rotate.New(&rotate.Config{
		Store: file.New(path, nil), Target: h.target(h.config(new(cut.Transport))),
		Approve: func(_ context.Context, r rotate.Request) (string, error) {
			require.Equal(h.t, rotate.StepSet, r.Next, "before anybody presents it")
			if *deny {
				return "", errors.New("not on a Friday")
			}
			return "somebody", nil
		},
	})
	require.NoError(h.t, err)
	return r
}

// From a rotation there is a way back, and one whose certificate turns out not to be
// trusted goes it by itself.
func TestRotationAndBack(t *testing.T) {
	h := newHouse(t)
	deny := true
	r, target := h.rotator(&deny), h.target(h.config(new(cut.Transport)))
	presents := func(first bool) {
		t.Helper()
		accepted, err := target.Accepts(t.Context(), h.first)
		require.NoError(t, err)
		require.Equal(t, first, accepted)
	}
	_, err := r.Rotate(t.Context())
	require.ErrorIs(t, err, rotate.ErrDenied)
	presents(true)

	deny = false
	done, err := r.Rotate(t.Context())
	require.NoError(t, err)
	require.True(t, done.Resumed)
	presents(false)

	_, err = r.Rollback(t.Context())
	require.NoError(t, err)
	presents(true)

	h.weak = true
	_, err = r.Rotate(t.Context())
	require.ErrorIs(t, err, rotate.ErrUnfit)
	presents(true)

	h.weak = false
	_, err = r.Rotate(t.Context())
	require.NoError(t, err)
	presents(false)
}
