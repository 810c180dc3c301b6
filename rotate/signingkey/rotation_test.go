package signingkey_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rekey-go/rekey/source/jwk"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/file"
	"github.com/rekey-go/rekey/rotate/internal/cut"
	"github.com/rekey-go/rekey/rotate/signingkey"
)

// A one-shot job need not wait for the verifiers: it stops with the key published,
// and one of the next finishes the same rotation.
func TestRotationGoesOnWhenVerifiersHaveTheKey(t *testing.T) {
	i := newIssuer(t, jwk.EdDSA)
	path := filepath.Join(t.TempDir(), "signing.json")
	secret, err := json.Marshal(map[string]string{"username": i.first.Username, "password": i.first.Password.Reveal()})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(path, secret, 0o600))
	c := i.config(new(cut.Transport))
	c.Propagation = time.Hour
	job := func() (rotate.Result, error) {
		r, err := rotate.New(&rotate.Config{Store: file.New(path, nil), Target: i.target(c)})
		require.NoError(t, err)
		return r.Rotate(t.Context())
	}

	stopped, err := job()
	early := new(signingkey.EarlyError)
	require.ErrorAs(t, err, &early)
	require.Equal(t, i.first.Username, stopped.User, "it signs with the old one")
	_, err = job()
	require.ErrorAs(t, err, &early)

	i.back("published", early.ID, time.Hour)
	done, err := job()
	require.NoError(t, err)
	require.True(t, done.Resumed)
	require.Equal(t, stopped.Rotation, done.Rotation)
	require.Equal(t, early.ID, done.User)
	require.Equal(t, []string{i.first.Username}, done.Retired)
}
