package tlsconfig

import (
	"context"
	"time"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/keypair"
)

// look is how often a certificate is looked at although it does not end yet: it may be
// replaced at any time.
const look = 5 * time.Minute

// Source returns a source whose credentials end when the certificates of src do, so that
// the refresher looks for the next one in time ([refresh.Options].Ahead; a third of the
// life if that is zero) and its health shows the end. It is asked every 5 min, or sooner
// if src says so, and watches what src watches.
func Source(src source.Source) source.Source { return &ending{src} }

type ending struct{ src source.Source }

func (e *ending) Credential(ctx context.Context) (source.Credential, error) {
	c, err := e.src.Credential(ctx)
	if err != nil {
		return source.Credential{}, err
	}
	return e.end(c)
}

// end gives a credential the end of its certificate.
func (e *ending) end(c source.Credential) (source.Credential, error) {
	end, err := keypair.Expires(c)
	if err != nil {
		return source.Credential{}, err
	}
	if c.Expires.IsZero() || end.Before(c.Expires) {
		c.Expires, c.Reason = end, "certificate"
	}
	if again := time.Now().Add(look); c.Recheck.IsZero() || again.Before(c.Recheck) {
		c.Recheck = again
	}
	return c, nil
}

func (e *ending) Watch(changed func()) (stop func()) {
	if w, ok := e.src.(source.Watcher); ok {
		return w.Watch(changed)
	}
	return func() {}
}

func (e *ending) Candidates(ctx context.Context) ([]source.Credential, error) {
	cs, ok := e.src.(source.CandidateSource)
	if !ok {
		return nil, nil
	}
	candidates, err := cs.Candidates(ctx)
	var all []source.Credential
	for _, c := range candidates {
		if c, bad := e.end(c); bad == nil {
			all = append(all, c)
		}
	}
	return all, err
}
