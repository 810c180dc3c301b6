package tlsconfig

import (
	"context"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"strings"
	"time"

	"github.com/rekey-go/rekey/refresh"
)

// RootsField is the name of the field that holds the roots.
const RootsField = "ca.crt"

// Roots are the certificates that are trusted, as a refresher has them. They are safe
// for concurrent use.
type Roots struct {
	set *refresh.Derived[*rootSet]
}

// A rootSet is what one generation trusts.
type rootSet struct {
	pool *x509.CertPool
	mark [sha256.Size]byte // of the set, the same in every process
}

// NewRoots follows r. The roots are in the field "ca.crt" of its credential, or are the
// password where there is no such field. NewRoots fails if there is no root that is
// valid now, or if anything among them is no certificate; later sets like that are not
// adopted.
func NewRoots(ctx context.Context, r *refresh.Refresher) (*Roots, error) {
	set, err := refresh.Derive(ctx, r, func(s refresh.Snapshot) (*rootSet, error) {
		text, ok := s.Field(RootsField)
		if !ok {
			text = s.Password
		}
		return parseRoots(text.Reveal(), time.Now())
	})
	if err != nil {
		return nil, err
	}
	return &Roots{set}, nil
}

// Get returns the current roots, which must not be changed. It is an atomic load.
func (r *Roots) Get() *x509.CertPool { return r.set.Get().pool }

// Close stops following the refresher. The last roots stay in use.
func (r *Roots) Close() { r.set.Close() }

// parseRoots reads certificates as PEM, with any text between them. Half of a bundle is
// none: each that begins has to be whole.
func parseRoots(text string, now time.Time) (*rootSet, error) {
	set, hash := &rootSet{pool: x509.NewCertPool()}, sha256.New()
	found, valid := 0, 0
	for rest := []byte(text); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			return nil, problem(RootsField, "should hold certificates only")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, problem(RootsField, "holds a certificate that does not parse")
		}
		found++
		if now.After(cert.NotAfter) {
			continue
		}
		valid++
		set.pool.AddCert(cert)
		_, _ = hash.Write(cert.Raw) // never fails
	}
	switch {
	case strings.Count(text, "-----BEGIN") != found:
		return nil, problem(RootsField, "holds a certificate that is not whole")
	case found == 0:
		return nil, problem(RootsField, "is missing or holds no certificate; it should hold the roots as PEM")
	case valid == 0:
		return nil, problem(RootsField, "holds only certificates that have ended")
	}
	hash.Sum(set.mark[:0])
	return set, nil
}
