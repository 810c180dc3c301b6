package vault

import (
	"context"
	"errors"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/rekey-go/rekey/source"
)

// logIn gets a token by the session's method.
func (s *Session) logIn(ctx context.Context) error {
	client, err := ownClient(s.client)
	if err != nil {
		return err
	}
	t, err := s.obtain(ctx, client)
	if err != nil {
		return err
	}
	s.mu.Lock()
	lost := s.lost
	s.mu.Unlock()
	if lost && t.blind && t.same(s.now()) {
		return &Error{Op: "log in", Path: "auth", Kind: Ended, Detail: "there is no other token than the one that Vault does not accept any more"}
	}
	if t.child && s.opts.ParentAccessor == "" && !t.same(s.now()) {
		s.opts.Logger.Warn("rekey: the Vault token ends with its parent, and when that is, is not known: see LoginOptions.ParentAccessor")
	}
	s.findParent(ctx, t)
	s.adopt(t)
	return nil
}

// obtain asks the session's method for a token.
func (s *Session) obtain(ctx context.Context, client *api.Client) (*token, error) {
	if s.lender != nil {
		return s.lender.lend(ctx, client)
	}
	began := time.Now()
	answer, err := s.auth.Login(ctx, client)
	if err != nil {
		return nil, s.loginFailed(ctx, err)
	}
	t, err := fromAuth(loginOrRenewal, answer, began)
	if err == nil && s.now() == nil {
		err = s.unlimited(ctx, t)
	}
	if err != nil {
		return nil, err
	}
	return t, nil
}

// unlimited refuses a token that is good for a number of requests only: Vault
// ends it, and its leases, after the last. A login does not tell, a lookup
// does. One look is enough: all tokens of a method are alike.
func (s *Session) unlimited(ctx context.Context, t *token) error {
	answer, err := send(ctx, s.client, t.secret, lookupSelf)
	if err == nil {
		_, err = fromLookup(lookupSelf, t.secret, answer, time.Now())
	}
	var field *source.FieldError
	if !errors.As(err, &field) || field.Field != numUses {
		return nil // a lookup that fails is no reason
	}
	_ = s.revokeSelf(ctx, t) // else it ends by itself
	return err
}

func (s *Session) revokeSelf(ctx context.Context, t *token) error {
	_, err := send(ctx, s.client, t.secret, request{op: "revoke", method: http.MethodPut, path: "auth/token/revoke-self"})
	return err
}

// loginFailed makes an error of this package of what a method returned.
func (s *Session) loginFailed(ctx context.Context, err error) error {
	var ours *Error
	if errors.As(err, &ours) || source.IsPermanent(err) {
		return err
	}
	r := loginOrRenewal
	var response *api.ResponseError
	if errors.As(err, &response) {
		r.path = loginPath(response.URL)
	}
	err = r.failed(interrupted(ctx, err), source.Secret{})
	var e *Error
	if errors.As(err, &e) && e.Kind == Permission {
		e.Capability, e.Detail = "", "the credentials of the login are not accepted, or may not be used from here"
	}
	return err
}

// renew extends the token. If its maximum is near or it cannot be renewed, or
// has not been for half its life, a new login replaces it.
func (s *Session) renew(ctx context.Context, t *token) error {
	r := request{
		op: "renew", method: http.MethodPut, path: "auth/token/renew-self",
		body: map[string]any{"increment": int(t.ttl / time.Second)},
	}
	began := time.Now()
	answer, err := send(ctx, s.client, t.secret, r)
	var renewed *token
	more := false
	if err == nil {
		renewed, more, err = t.renewedFrom(r, answer, began)
	}
	if err == nil {
		s.findParent(ctx, renewed)
		s.mu.Lock()
		s.renewals++
		s.answered = time.Now()
		s.mu.Unlock()
		if !more {
			renewed.renewable = false
		}
		s.adopt(renewed)
	} else if !denied(err) && !source.IsPermanent(err) && (!s.replaces() || !t.late(began)) {
		return err // there is time to try again
	}
	switch {
	case more:
		return nil
	case dead(err):
		s.lose(err)
	}
	if s.replaces() {
		return s.logIn(ctx)
	}
	// What cannot be renewed is kept to its end.
	end, _ := s.now().bound(time.Time{}, "")
	s.opts.Logger.Warn("rekey: the Vault token ends for good and there is no way to log in again", "expires", end)
	if err != nil && !dead(err) {
		kept := *t
		kept.renewable = false
		s.adopt(&kept)
	}
	return err
}

// findParent finds out when the parent of t ends, if it has one that is known.
// While that cannot be told, what was known before holds.
func (s *Session) findParent(ctx context.Context, t *token) {
	if s.opts.ParentAccessor == "" {
		return
	}
	r := request{
		op: "look up", method: http.MethodPut, path: "auth/token/lookup-accessor",
		body: map[string]any{"accessor": s.opts.ParentAccessor},
	}
	began := time.Now()
	answer, err := send(ctx, s.client, t.secret, r)
	if err == nil {
		var parent *token
		if parent, err = fromLookup(r, source.Secret{}, answer, began); err == nil {
			t.parentEnd = parent.end
			return
		}
	}
	if known := s.now(); known != nil && t.parentEnd.IsZero() && known.parentEnd.After(began) {
		t.parentEnd = known.parentEnd
	}
	s.opts.Logger.Warn("rekey: when the parent of the Vault token ends could not be asked", "error", err, "known", t.parentEnd)
}

// adopt makes t the token of now.
func (s *Session) adopt(t *token) {
	s.mu.Lock()
	old := s.token.Load()
	lost := s.lost
	s.token.Store(t)
	s.lost = false
	isNew := !t.same(old)
	if isNew {
		s.logins++
		s.answered = time.Now()
	}
	if old == nil {
		s.next = t.attendAt(s.replaces(), rand.Float64())
	}
	s.broadcast()
	s.mu.Unlock()
	if old == nil || !isNew {
		return
	}
	s.opts.Logger.Info("rekey: logged in to Vault again", "expires", t.end)
	window := time.Duration(0)
	if end, _ := old.bound(time.Time{}, ""); !lost && !end.IsZero() {
		window = max(0, time.Until(end)/4)
	}
	s.workers.Go(func() { s.announce(window) })
}

// loginPath returns the path of a request from its address.
func loginPath(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return loginOrRenewal.path
	}
	return strings.TrimPrefix(strings.TrimPrefix(u.Path, "/"), "v1/")
}
