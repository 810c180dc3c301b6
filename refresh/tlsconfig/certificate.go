package tlsconfig

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"time"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/keypair"
)

// Options adjust a [Certificate]. The zero value, or nil, means the defaults.
type Options struct {
	// Warn is how long before the end of the certificate its health is degraded. Zero:
	// a fifth of the time that it is valid. Negative: never.
	Warn time.Duration
}

// A Certificate is a chain and its private key as a refresher has them. It is safe for
// concurrent use.
type Certificate struct {
	refresher *refresh.Refresher
	pair      *refresh.Derived[*tls.Certificate]
	warn      time.Duration
}

// NewCertificate follows r. It fails if the current credential is not a pair of chain
// and key that is valid now; later ones that are not are not adopted.
func NewCertificate(ctx context.Context, r *refresh.Refresher, opts *Options) (*Certificate, error) {
	pair, err := refresh.Derive(ctx, r, parsePair)
	if err != nil {
		return nil, err
	}
	c := &Certificate{refresher: r, pair: pair}
	if opts != nil {
		c.warn = opts.Warn
	}
	return c, nil
}

func parsePair(s refresh.Snapshot) (*tls.Certificate, error) {
	pair, err := keypair.Pair(s.Credential)
	if err != nil {
		return nil, err
	}
	for i, der := range pair.Certificate[1:] {
		if _, err := x509.ParseCertificate(der); err != nil {
			return nil, problem(keypair.ChainField, fmt.Sprintf("has a chain whose certificate %d does not parse", i+2))
		}
	}
	switch now := time.Now(); {
	case now.Before(pair.Leaf.NotBefore):
		return nil, problem(keypair.ChainField, "holds a certificate that is not valid before "+pair.Leaf.NotBefore.Format(time.RFC3339))
	case now.After(pair.Leaf.NotAfter):
		return nil, problem(keypair.ChainField, "holds a certificate that ended at "+pair.Leaf.NotAfter.Format(time.RFC3339))
	}
	return pair, nil
}

func problem(field, what string) error {
	return &source.FieldError{Where: "tlsconfig", Field: field, Problem: what}
}

// Get returns the current pair, which must not be changed. It is an atomic load.
func (c *Certificate) Get() *tls.Certificate { return c.pair.Get() }

// Close stops following the refresher. The last pair stays in use.
func (c *Certificate) Close() { c.pair.Close() }

// Health is the refresher's with the end of the certificate: degraded when that is near
// and the source has no other, expired when it has come.
func (c *Certificate) Health() refresh.Health {
	h := c.refresher.Health()
	leaf := c.Get().Leaf
	if h.Expires.IsZero() {
		h.Expires = leaf.NotAfter
	}
	warn := c.warn
	if warn == 0 {
		warn = leaf.NotAfter.Sub(leaf.NotBefore) / 5
	}
	now := time.Now()
	switch serves := h.State == refresh.Fresh || h.State == refresh.Degraded; {
	case serves && now.After(leaf.NotAfter):
		h.State, h.Why = refresh.Expired, "the certificate has ended and the source has given no other"
	case h.State == refresh.Fresh && warn > 0 && now.After(leaf.NotAfter.Add(-warn)):
		h.State = refresh.Degraded
		h.Why = fmt.Sprintf("the certificate ends at %s and the source has given no other", leaf.NotAfter.Format(time.RFC3339))
	}
	return h
}
