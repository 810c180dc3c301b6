package vault

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/rekey-go/rekey/source"
)

// TokenFile is a way to log in that reads a token from a file: the sink of Vault
// Agent, or ~/.vault-token. Whoever writes the file keeps the token alive; a
// [Session] looks for another one every [LoginOptions.Poll] and never renews or
// revokes it. The file holds the token alone; wrapped and encrypted sinks are
// refused.
func TokenFile(path string) api.AuthMethod { return &tokenFile{path} }

// A lender is a way to a token that belongs to somebody else, who may replace
// it at any time.
type lender interface {
	lend(ctx context.Context, client *api.Client) (*token, error)
	// changed reports whether there is another token than t.
	changed(t source.Secret) bool
}

type tokenFile struct{ path string }

// Login implements [api.AuthMethod] for others than a Session.
func (f *tokenFile) Login(ctx context.Context, client *api.Client) (*api.Secret, error) {
	t, err := f.lend(ctx, client)
	if err != nil {
		return nil, err
	}
	auth := &api.SecretAuth{ClientToken: t.secret.Reveal(), Accessor: t.accessor}
	if !t.end.IsZero() {
		auth.LeaseDuration = int(t.end.Sub(t.issued) / time.Second)
	}
	return &api.Secret{Auth: auth}, nil
}

func (f *tokenFile) lend(ctx context.Context, client *api.Client) (*token, error) {
	secret, err := f.read()
	if err != nil {
		return nil, err
	}
	t, err := identify(ctx, client, secret)
	if err == nil {
		t.renewable = false // that is for its owner
	}
	return t, err
}

func (f *tokenFile) changed(t source.Secret) bool {
	secret, err := f.read()
	return err == nil && !secret.Equal(t)
}

func (f *tokenFile) read() (source.Secret, error) {
	wrong := func(problem string) (source.Secret, error) {
		return source.Secret{}, fmt.Errorf("vault: the token file %s %s", f.path, problem)
	}
	file, err := os.Open(f.path)
	if err != nil {
		return source.Secret{}, fmt.Errorf("vault: the token file: %w", err)
	}
	defer file.Close()
	text, err := io.ReadAll(io.LimitReader(file, 64<<10))
	if err != nil {
		return source.Secret{}, fmt.Errorf("vault: the token file: %w", err)
	}
	token := strings.TrimSpace(string(text))
	switch {
	case token == "":
		return wrong("is empty")
	case strings.HasPrefix(token, "{"):
		return wrong("holds JSON: a wrapped or encrypted sink, which cannot be used")
	case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r > '~' }):
		return wrong("holds something else than a token")
	}
	return source.NewSecret(token), nil
}

// clientToken is the token that the user's client has.
type clientToken struct{ client *api.Client }

func (c clientToken) lend(ctx context.Context, client *api.Client) (*token, error) {
	secret := source.NewSecret(c.client.Token())
	if secret.IsEmpty() {
		return nil, source.Permanent(errors.New("vault: the client has no token (VAULT_TOKEN), and no way to log in was given"))
	}
	t, err := identify(ctx, client, secret)
	if dead(err) {
		err = source.Permanent(err)
	}
	return t, err
}

func (c clientToken) changed(t source.Secret) bool {
	secret := source.NewSecret(c.client.Token())
	return !secret.IsEmpty() && !secret.Equal(t)
}

// identify asks Vault about a token. One that may not look itself up is taken
// as it is.
func identify(ctx context.Context, client *api.Client, secret source.Secret) (*token, error) {
	began := time.Now()
	answer, err := send(ctx, client, secret, lookupSelf)
	if kindOf(err) == Permission {
		return &token{secret: secret, issued: began, blind: true}, nil
	}
	if err != nil {
		return nil, err
	}
	return fromLookup(lookupSelf, secret, answer, began)
}
