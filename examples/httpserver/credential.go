package main

import (
	"context"
	"errors"
	"log/slog"

	"github.com/hashicorp/vault/api"
	"github.com/hashicorp/vault/api/auth/approle"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/file"
	"github.com/rekey-go/rekey/source/vault"
)

// credential returns where the database user comes from, and what to do when it
// is not needed any more.
func (c config) credential(ctx context.Context, log *slog.Logger) (src source.Source, forget func(context.Context) error, err error) {
	switch {
	case c.credentialFile != "" && c.vaultRole == "":
		return file.JSON(c.credentialFile, &file.Options{Logger: log}), func(context.Context) error { return nil }, nil
	case c.vaultRole != "" && c.credentialFile == "":
		return c.vault(ctx, log)
	}
	return nil, nil, errors.New("where does the database user come from? give either -credential-file or -vault-role, or look at it with -demo")
}

// vault logs in to Vault, whose role gives a new user to each generation.
func (c config) vault(ctx context.Context, log *slog.Logger) (source.Source, func(context.Context) error, error) {
	client, err := api.NewClient(nil) // VAULT_ADDR, VAULT_CACERT and the like
	if err != nil {
		return nil, nil, err
	}
	method := vault.TokenFile(c.vaultTokenFile)
	if c.vaultTokenFile == "" {
		method, err = approle.NewAppRoleAuth(c.vaultRoleID, &approle.SecretID{FromFile: c.vaultSecretIDFile})
		if err != nil {
			return nil, nil, err
		}
	}
	session, err := vault.Login(ctx, client, method, &vault.LoginOptions{Logger: log})
	if err != nil {
		return nil, nil, err
	}
	forget := func(ctx context.Context) error {
		defer client.CloneConfig().HttpClient.CloseIdleConnections()
		return session.Shutdown(ctx)
	}
	return vault.Dynamic(client, c.vaultRole, &vault.Options{Session: session, Logger: log}), forget, nil
}
