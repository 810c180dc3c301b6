package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hashicorp/vault/api"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/examples/vault/setup"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/vault"
)

// An application that starts beside its proxy need not wait for it.
func TestProxyMayLogInLater(t *testing.T) {
	lab, dir := beside(t, "proxy", strings.Replace(setup.Proxy, `"secret-id"`, `"later"`, 1))
	t.Setenv("VAULT_ADDR", "unix://"+filepath.Join(dir, "vault.sock"))
	client, err := api.NewClient(nil)
	require.NoError(t, err)
	defer client.CloneConfig().HttpClient.CloseIdleConnections()
	src := vault.Dynamic(client, setup.Path, nil)

	eventually(t, func() bool { // it listens, and Vault refuses what it passes on
		_, err = src.Credential(t.Context())
		var e *vault.Error
		return errors.As(err, &e) && e.Kind == vault.Permission
	})
	require.False(t, source.IsPermanent(err), "%v", err)
	require.NoError(t, os.Rename(filepath.Join(dir, "secret-id"), filepath.Join(dir, "later")))
	db, err := pool.Open(t.Context(), lab.DSN(), src, &pool.Options{Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	db.Close()
}
