package vault

import (
	"cmp"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/rekey-go/rekey/source"
)

// largestAnswer bounds what is read of one answer, in bytes.
const largestAnswer = 4 << 20

// ownClient returns a copy of client that is ours to use: without its token,
// its retries and its response wrapping.
func ownClient(client *api.Client) (*api.Client, error) {
	own, err := copyClient(client)
	if err != nil {
		return nil, err
	}
	own.ClearToken()
	own.SetMaxRetries(0)
	own.SetWrappingLookupFunc(func(string, string) string { return "" })
	return own, nil
}

// copyClient copies client with its headers. Copies share their transport, and
// package api writes into it how to dial a Unix socket each time that it makes
// one, whoever is dialling meanwhile. So a copy for a socket has a transport of
// its own, without idle connections, which nobody would close.
func copyClient(client *api.Client) (*api.Client, error) {
	config := client.CloneConfig() // its HttpClient is a copy, its transport is not
	shared, ok := config.HttpClient.Transport.(*http.Transport)
	if !ok || !onSocket(config) {
		return client.CloneWithHeaders()
	}
	transport := shared.Clone()
	transport.DisableKeepAlives = true
	config.HttpClient.Transport = transport
	own, err := api.NewClient(config)
	if err == nil {
		own.SetHeaders(client.Headers())
	}
	return own, err
}

func onSocket(c *api.Config) bool {
	return strings.HasPrefix(cmp.Or(c.AgentAddress, c.Address), "unix://")
}

// send asks Vault once. An empty body is a nil answer.
func send(ctx context.Context, client *api.Client, token source.Secret, r request) (*api.Secret, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	req := client.NewRequest(r.method, "/v1/"+r.path)
	req.ClientToken = token.Reveal()
	if r.body != nil {
		if err := req.SetJSONBody(r.body); err != nil {
			return nil, err
		}
	}
	// The methods that are not deprecated take the token from the client, whose
	// other users would see it change, or end the context before the body is read.
	res, err := client.RawRequestWithContext(ctx, req) //nolint:staticcheck // deprecated, see above
	if res != nil {
		defer res.Body.Close() //nolint:errcheck // what is read is read
	}
	if err != nil {
		return nil, r.failed(interrupted(ctx, err), token)
	}
	if res.StatusCode == http.StatusNoContent {
		return nil, nil
	}
	answer, err := parseAnswer(r, io.LimitReader(res.Body, largestAnswer))
	if err != nil {
		return nil, interrupted(ctx, err)
	}
	return answer, nil
}

// parseAnswer never passes on the decoder's words, which may quote the answer.
func parseAnswer(r request, body io.Reader) (*api.Secret, error) {
	answer, err := api.ParseSecret(body)
	if err != nil {
		return nil, r.malformed("it is not the JSON that Vault sends")
	}
	return answer, nil
}

// An access is how a source gets at Vault.
type access struct {
	client  *api.Client // our own, without a token
	user    *api.Client // theirs, whose token is used where there is no session
	session *Session
	err     error // what is wrong with the arguments, told at every call
}

func newAccess(client *api.Client, session *Session) *access {
	if client == nil && session == nil {
		return &access{err: source.Permanent(errors.New("vault: the client is nil"))}
	}
	a := &access{user: client, session: session}
	if client == nil {
		a.client = session.client
		return a
	}
	if a.client, a.err = ownClient(client); a.err != nil {
		a.err = source.Permanent(a.err)
	}
	return a
}

// token returns the token of now. Without a session nothing but its text is
// known of it.
func (a *access) token(ctx context.Context) (*token, error) {
	switch {
	case a.err != nil:
		return nil, a.err
	case a.session != nil:
		return a.session.use(ctx)
	}
	return &token{secret: source.NewSecret(a.user.Token())}, ctx.Err()
}

// current is token without waiting for a login that is due; nil: there is none.
func (a *access) current() *token {
	if a.session != nil {
		return a.session.now()
	}
	return &token{secret: source.NewSecret(a.user.Token())}
}

// An answer is what Vault said, to which token, and when the request began.
type answer struct {
	*api.Secret
	token *token
	began time.Time
}

// do sends r with the token of now, and once more if it turns out that the
// session has to log in again first.
func (a *access) do(ctx context.Context, r request) (answer, error) {
	t, err := a.token(ctx)
	if err != nil {
		return answer{}, err
	}
	got, err := a.doAs(ctx, t, r)
	if a.session == nil || !denied(err) {
		return got, err
	}
	renewed, sessionErr := a.session.doubt(ctx, t, err)
	switch {
	case sessionErr != nil:
		return answer{}, sessionErr
	case renewed == nil:
		return got, err
	}
	return a.doAs(ctx, renewed, r)
}

// doAs sends r with t.
func (a *access) doAs(ctx context.Context, t *token, r request) (answer, error) {
	began := time.Now()
	secret, err := send(ctx, a.client, t.secret, r)
	if a.session == nil && denied(err) {
		err = a.refused(t, err)
	}
	return answer{secret, t, began}, err
}
