package vault_test

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/source/vault"
)

func TestTokenFile(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := filepath.Join(t.TempDir(), "sink")
	put := func(text string) {
		require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
		require.NoError(t, os.Rename(path+".new", path))
	}
	client := b.client("")
	try := func(patience time.Duration) error {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		s, err := vault.Login(ctx, client, vault.TokenFile(path), &vault.LoginOptions{Logger: logger(t)})
		if err == nil {
			s.Close()
		}
		return err
	}
	require.ErrorIs(t, try(time.Millisecond), os.ErrNotExist)
	for text, problem := range map[string]string{
		" \n": "empty", `{"wrap_info":{"token":"` + canary + `"}}`: "wrapped", canary + "\n" + canary: "something else",
	} {
		put(text)
		err := try(time.Millisecond)
		require.ErrorContains(t, err, problem)
		require.NotContains(t, err.Error(), canary)
	}
	put("hvs." + canary)
	err := try(5 * time.Second)
	kind(t, err, vault.Ended)
	require.NotContains(t, err.Error(), canary)

	role := b.Role("app", vaulttest.Role{})
	token := func() string {
		return vaulttest.NewToken(t, b.Server, vaulttest.Token{Policy: may(role), TTL: time.Hour})
	}
	first := token()
	put(first + "\n")
	s := login(t, client, vault.TokenFile(path), &vault.LoginOptions{Poll: 20 * time.Millisecond})
	src := vault.Dynamic(client, role, &vault.Options{Session: s})
	old := get(t, src)
	changed := make(chan struct{}, 1)
	defer src.Watch(func() { changed <- struct{}{} })()
	put(token())
	<-changed
	require.Equal(t, 2, s.Health().Logins)
	_, err = old.Lease.Renew(t.Context())
	require.ErrorContains(t, err, "token has changed")
	get(t, src)
	require.Empty(t, b.proxy.Requests("auth/token/renew-self"), "its owner renews it")
	s.Close()
	_, err = b.client(first).Auth().Token().LookupSelfWithContext(t.Context())
	require.NoError(t, err, "and revokes it")
}
