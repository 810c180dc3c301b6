package vault

import (
	"context"
	"net/http"
	"time"

	"github.com/hashicorp/vault/api"

	"github.com/rekey-go/rekey/source"
)

// A lease is that of one dynamic user.
type lease struct {
	source     *dynamic
	id         string
	duration   time.Duration // as first granted
	renewable  bool
	token      *token // that it was made with and ends with
	credential source.Credential
}

const (
	renewPath  = "sys/leases/renew"
	revokePath = "sys/leases/revoke"
)

// granted returns the credential with a lease that ends at end for reason,
// unless its token ends before.
func (l *lease) granted(began, end time.Time, reason string) source.Credential {
	c := l.credential
	c.Lease, c.Issued = l, began
	c.Expires, c.Reason = l.source.bounds(l.token).bound(end, reason)
	return c
}

const otherToken = "the token has changed, and the lease ends with the one that it was made with"

// Renew asks for the first duration again. A lease of a token that has been
// replaced is not renewed: it would end with the old token all the same.
func (l *lease) Renew(ctx context.Context) (source.Credential, error) {
	r := request{
		op: "renew", method: http.MethodPut, path: renewPath,
		body: map[string]any{"lease_id": l.id, "increment": int(l.duration / time.Second)},
	}
	ended := func(detail string) error {
		return source.Permanent(&Error{Op: r.op, Path: r.path, Kind: Ended, Detail: detail})
	}
	switch t := l.source.access.current(); {
	case t == nil || !t.same(l.token):
		return source.Credential{}, ended(otherToken)
	case !l.renewable:
		return source.Credential{}, ended("Vault has made this lease without a way to renew it")
	}
	got, err := l.source.access.doAs(ctx, l.token, r)
	if err != nil {
		if s := l.source.access.session; s != nil && denied(err) {
			s.suspect(l.token, err)
		}
		if kindOf(err) == Ended {
			err = source.Permanent(err)
		}
		return source.Credential{}, err
	}
	granted := time.Duration(0)
	if got.Secret != nil {
		granted = wholeSeconds(got.LeaseDuration)
	}
	if granted <= 0 {
		return source.Credential{}, nil // the refresher takes no end for no answer
	}
	end, reason := got.began.Add(granted), byLease
	if granted < l.duration-time.Second {
		reason = byMaxTTL
	}
	known := l.source.bounds(l.token).end
	if l.source.access.session == nil && !known.IsZero() && known.Before(end) {
		looked, err := l.source.look(ctx) // renewed meanwhile? If that cannot be told, what is known holds.
		if err == nil && !looked.blind && looked.replaces(l.token) {
			return source.Credential{}, ended(otherToken)
		}
	}
	return l.granted(got.began, end, reason), nil
}

// Revoke ends the lease, which drops the user.
func (l *lease) Revoke(ctx context.Context) error {
	err := l.source.access.revoke(ctx, l.id)
	if kindOf(err) == Ended {
		return nil // the lease went with its token
	}
	return err
}

func (a *access) revoke(ctx context.Context, id string) error {
	_, err := a.do(ctx, request{op: "revoke", method: http.MethodPut, path: revokePath, body: map[string]any{"lease_id": id}})
	return err
}

// giveUpTime bounds the revocation of a lease that came with an unusable
// answer.
const giveUpTime = 5 * time.Second

// giveUp revokes the lease of an answer that cannot be used.
func (a *access) giveUp(ctx context.Context, s *api.Secret) {
	if s == nil || s.LeaseID == "" {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), giveUpTime)
	defer cancel()
	_ = a.revoke(ctx, s.LeaseID) // else it ends by itself
}
