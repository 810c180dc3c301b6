package kms_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/document"
	"github.com/rekey-go/rekey/rotate/internal/cut"
	"github.com/rekey-go/rekey/rotate/internal/documenttest"
	"github.com/rekey-go/rekey/rotate/kms"
	"github.com/rekey-go/rekey/rotate/rotatetest"
	"github.com/rekey-go/rekey/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestConformance(t *testing.T) {
	rotatetest.Target(t, func(t *testing.T) rotatetest.TargetHarness {
		d := document.File(filepath.Join(t.TempDir(), "ring.json"), 0o600)
		first, err := kms.NewKey(t.Context(), kms.Ring(d))
		require.NoError(t, err)
		first.Version = "first"
		server, refused := documenttest.Serve(t, d), make(map[string]bool)
		target := func(line *cut.Transport) rotate.Target {
			base := http.DefaultTransport.(*http.Transport).Clone()
			t.Cleanup(base.CloseIdleConnections)
			line.Base = base
			target, err := kms.New(&kms.Config{
				Service: kms.Ring(server.Over(&http.Client{Transport: line})),
				Verify: func(_ context.Context, c rotate.Change) error {
					if refused[c.To.Username] {
						return fmt.Errorf("the application may not use it: %w", rotate.ErrUnfit)
					}
					return nil
				},
			})
			require.NoError(t, err)
			return target
		}
		line := new(cut.Transport)
		return rotatetest.TargetHarness{
			Target: target(line), Other: target(new(cut.Transport)), Current: first, Draws: true,
			Overwrite: func(t *testing.T, id, _ string) { overwrite(t, d, id) },
			Weaken:    func(_ *testing.T, id string) { refused[id] = true },
			Fail:      line.Fail, Down: line.Down,
			Seen: func(*testing.T) string { return server.Seen() },
		}
	})
}

// overwrite puts another key under an ID.
func overwrite(t *testing.T, d document.Store, id string) {
	t.Helper()
	require.NoError(t, document.Change(t.Context(), d, func(old []byte) ([]byte, error) {
		var all []map[string]any
		if err := json.Unmarshal(old, &all); err != nil {
			return nil, err
		}
		for _, k := range all {
			if k["id"] == id {
				k["key"] = make([]byte, 32)
			}
		}
		return json.Marshal(all)
	}))
}

func TestRing(t *testing.T) {
	d := document.File(filepath.Join(t.TempDir(), "ring.json"), 0o600)
	r := kms.Ring(d)
	one, err := r.Create(t.Context(), "")
	require.NoError(t, err)
	two, err := r.Create(t.Context(), "")
	require.NoError(t, err)
	there, err := r.Encrypt(t.Context(), one, []byte("text"))
	require.NoError(t, err)
	require.NotContains(t, string(there), "text")
	back, err := r.Decrypt(t.Context(), one, there)
	require.NoError(t, err)
	require.Equal(t, "text", string(back))
	for _, bad := range [][]byte{nil, {1}, there[1:], append(there[:len(there)-1:len(there)-1], there[len(there)-1]^1)} {
		_, err = r.Decrypt(t.Context(), one, bad)
		require.ErrorIs(t, err, kms.ErrRejected)
	}
	_, err = r.Decrypt(t.Context(), two, there)
	require.ErrorIs(t, err, kms.ErrRejected)
	require.NoError(t, r.Disable(t.Context(), one))
	_, err = r.Decrypt(t.Context(), one, there)
	require.ErrorIs(t, err, kms.ErrRejected)
	_, err = r.Encrypt(t.Context(), one, there)
	require.ErrorIs(t, err, kms.ErrRejected)

	require.NoError(t, document.Change(t.Context(), d, func([]byte) ([]byte, error) { return []byte(`[{"key": "canary"`), nil }))
	_, err = r.List(t.Context())
	require.Error(t, err)
	require.NotContains(t, err.Error(), "canary")
}

// The old key stays until nothing is encrypted under it.
func TestInUse(t *testing.T) {
	r := kms.Ring(document.File(filepath.Join(t.TempDir(), "ring.json"), 0o600))
	first, err := kms.NewKey(t.Context(), r)
	require.NoError(t, err)
	records := 2
	target, err := kms.New(&kms.Config{Service: r, InUse: func(context.Context, string) (int, error) {
		records--
		return records, nil
	}})
	require.NoError(t, err)
	for want := 1; want >= 0; want-- {
		n, err := target.Sessions(t.Context(), first.Username)
		require.NoError(t, err)
		require.Equal(t, want, n)
	}
	n, err := target.Sessions(t.Context(), "no such key")
	require.NoError(t, err)
	require.Zero(t, n)
	_, err = kms.New(&kms.Config{})
	require.Error(t, err)
}

func TestDataKey(t *testing.T) {
	r := kms.Ring(document.File(filepath.Join(t.TempDir(), "ring.json"), 0o600))
	key, err := kms.NewKey(t.Context(), r)
	require.NoError(t, err)
	plain, err := kms.DataKey(t.Context(), r, key)
	require.NoError(t, err)
	require.Len(t, plain, 32)
	again, err := kms.DataKey(t.Context(), r, key)
	require.NoError(t, err)
	require.Equal(t, plain, again)
	key.Password = source.NewSecret("no base64")
	_, err = kms.DataKey(t.Context(), r, key)
	require.ErrorIs(t, err, kms.ErrRejected)
	_, err = os.Stat("ring.json")
	require.ErrorIs(t, err, os.ErrNotExist)
}
