package certificate

import (
	"bytes"
	"cmp"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/document"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/keypair"
)

// Config says which certificate is rotated. Issue, Names, Document and Address are
// needed; the zero values of the others mean the defaults, and so do negative ones.
type Config struct {
	// Issue has the authority sign a request (PKCS #10, DER) and returns the chain as
	// PEM, the new certificate first, without the root.
	Issue func(ctx context.Context, request []byte) (chain []byte, err error)

	// Names are what the certificate is for: DNS names and IP addresses.
	Names []string

	// Roots are who is trusted. Nil: those of the system.
	Roots *x509.CertPool

	// AtLeast is how long a new certificate must be valid. Zero: 1 h.
	AtLeast time.Duration

	// Document is what the service loads key and chain from. It holds the key: only
	// the service and the rotator may read it.
	Document document.Store

	// Address is where the service is reached: host and port. The handshake asks for
	// the first of Names that is no address.
	Address string

	// Reload is how long the service may take to present what was deployed. Zero:
	// 10 s. It is a part of [rotate.Config.StepTimeout].
	Reload time.Duration

	// Dial connects. Nil: that of [net.Dialer].
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)

	// Verify proves something more, such as a request to the service. An error that
	// wraps [rotate.ErrUnfit] speaks against the certificate. Nil: nothing.
	Verify func(ctx context.Context, c rotate.Change) error
}

// New returns the target of a server's certificate. It asks nobody yet.
func New(c *Config) (rotate.Target, error) {
	if c == nil || c.Issue == nil || len(c.Names) == 0 || c.Document == nil || c.Address == "" {
		return nil, errors.New("certificate: the configuration needs Issue, Names, Document and Address")
	}
	t := &target{*c}
	t.AtLeast = cmp.Or(max(c.AtLeast, 0), time.Hour)
	t.Reload = cmp.Or(max(c.Reload, 0), 10*time.Second)
	if t.Dial == nil {
		t.Dial = new(net.Dialer).DialContext
	}
	return t, nil
}

type target struct{ Config }

func (t *target) Strategy() rotate.Strategy {
	return rotate.Strategy{Name: "certificate", InPlace: true}
}

// Next has a certificate issued for a new key.
func (t *target) Next(ctx context.Context, current source.Credential, _ string) (source.Credential, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return current, fmt.Errorf("certificate: %w", err)
	}
	wanted := &x509.CertificateRequest{Subject: pkix.Name{CommonName: t.Names[0]}}
	for _, name := range t.Names {
		if ip := net.ParseIP(name); ip != nil {
			wanted.IPAddresses = append(wanted.IPAddresses, ip)
		} else {
			wanted.DNSNames = append(wanted.DNSNames, name)
		}
	}
	request, err := x509.CreateCertificateRequest(rand.Reader, wanted, key)
	if err != nil {
		return current, fmt.Errorf("certificate: the request: %w", err)
	}
	chain, err := t.Issue(ctx, request)
	if err != nil {
		return current, fmt.Errorf("certificate: it is not issued: %w", err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return current, fmt.Errorf("certificate: %w", err)
	}
	fields := map[string]source.Secret{}
	for _, name := range current.FieldNames() {
		fields[name], _ = current.Field(name)
	}
	fields[keypair.ChainField] = source.NewSecret(string(chain))
	next := current.WithFields(fields)
	next.Password = source.NewSecret(string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der})))
	return next, t.check(next)
}

// Set deploys it.
func (t *target) Set(ctx context.Context, c rotate.Change) error {
	if _, err := keypair.Pair(c.To); err != nil { // one that is to be restored may be near its end
		return fmt.Errorf("%w: %w", rotate.ErrUnfit, err)
	}
	return t.change(ctx, func(d deployed) (deployed, error) { return d.set(c) })
}

func (t *target) Undo(ctx context.Context, c rotate.Change) error {
	return t.change(ctx, func(d deployed) (deployed, error) { return d.undo(c) })
}

func (t *target) change(ctx context.Context, f func(deployed) (deployed, error)) error {
	return document.Change(ctx, t.Document, func(old []byte) ([]byte, error) {
		d, err := parse(old)
		if err != nil {
			return nil, err
		}
		if d, err = f(d); err != nil {
			return nil, err
		}
		return d.text()
	})
}

func (t *target) read(ctx context.Context) (deployed, error) {
	text, _, err := t.Document.Read(ctx)
	if err != nil {
		return deployed{}, fmt.Errorf("certificate: what is deployed cannot be read: %w", err)
	}
	return parse(text)
}

func (t *target) Applied(ctx context.Context, c rotate.Change) (bool, error) {
	d, err := t.read(ctx)
	return err == nil && d.Token == c.Token && d.is(c.To), err
}

// Accepts reports whether the service presents the certificate of c.
func (t *target) Accepts(ctx context.Context, c source.Credential) (bool, error) {
	pair, pairErr := keypair.Pair(c)
	state, err := t.handshake(ctx)
	if err != nil || pairErr != nil {
		return false, err
	}
	return bytes.Equal(state.PeerCertificates[0].Raw, pair.Certificate[0]), nil
}

// handshake is one with the service. Whether what it presents is to be trusted is
// asked elsewhere.
func (t *target) handshake(ctx context.Context) (tls.ConnectionState, error) {
	conn, err := t.Dial(ctx, "tcp", t.Address)
	if err != nil {
		return tls.ConnectionState{}, fmt.Errorf("certificate: %s: %w", t.Address, err)
	}
	defer conn.Close()
	name := t.Names[0]
	for _, n := range t.Names {
		if net.ParseIP(n) == nil {
			name = n
			break
		}
	}
	client := tls.Client(conn, &tls.Config{ServerName: name, InsecureSkipVerify: true}) // what is there is looked at
	if err := client.HandshakeContext(ctx); err != nil {
		return tls.ConnectionState{}, fmt.Errorf("certificate: the handshake with %s: %w", t.Address, err)
	}
	return client.ConnectionState(), nil
}

// Verify waits until the service has loaded the certificate.
func (t *target) Verify(ctx context.Context, c rotate.Change) error {
	if err := t.check(c.To); err != nil {
		return err
	}
	if err := t.presented(ctx, c.To); err != nil {
		return err
	}
	state, err := t.handshake(ctx)
	if err != nil {
		return err
	}
	if err := t.trusted(state.PeerCertificates); err != nil { // the whole chain is there
		return err
	}
	if t.Config.Verify == nil {
		return nil
	}
	return t.Config.Verify(ctx, c)
}

func (t *target) presented(ctx context.Context, c source.Credential) error {
	end, tick := time.NewTimer(t.Reload), time.NewTicker(min(t.Reload/4, 100*time.Millisecond)+1)
	defer end.Stop()
	defer tick.Stop()
	for {
		accepted, err := t.Accepts(ctx, c)
		if accepted {
			return nil
		}
		select {
		case <-tick.C:
		case <-end.C:
			if err == nil {
				err = fmt.Errorf("certificate: %s has not presented it within %v: %w", t.Address, t.Reload, rotate.ErrUnfit)
			}
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// Sessions is zero: connections go on with the certificate that they began with.
func (t *target) Sessions(ctx context.Context, _ string) (int, error) {
	_, err := t.read(ctx)
	return 0, err
}

// Left is empty: certificates end by themselves.
func (t *target) Left(context.Context, rotate.State) ([]string, error) { return nil, nil }

var errInPlace = errors.New("certificate: there is one certificate at a time, and nothing is left behind")

func (t *target) Disable(context.Context, string) error { return errInPlace }

func (t *target) Enable(context.Context, string) error { return errInPlace }

func (t *target) Remove(context.Context, string) error { return errInPlace }
