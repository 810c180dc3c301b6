package certificate_test

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/certificate"
	"github.com/rekey-go/rekey/rotate/document"
	"github.com/rekey-go/rekey/rotate/internal/cut"
	"github.com/rekey-go/rekey/rotate/internal/documenttest"
	"github.com/rekey-go/rekey/rotate/rotatetest"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/file"
	"github.com/rekey-go/rekey/source/keypair"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const shop = "shop.example"

// A house is a TLS server that loads what is deployed for each handshake.
type house struct {
	t         *testing.T
	authority *authority
	path      string
	document  document.Store
	server    *documenttest.Server // of the document
	address   string
	line      cut.Transport
	first     source.Credential
	weak      bool
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, path: filepath.Join(t.TempDir(), "tls.json")}
	var err error
	h.authority, err = newAuthority()
	require.NoError(t, err)
	h.document = document.File(h.path, 0o600)
	h.first, err = h.authority.byHand(shop, shop)
	require.NoError(t, err)
	h.first.Version = "first"
	h.deploy(h.first)
	h.server = documenttest.Serve(t, h.document)
	h.address = serve(t, func() (*tls.Certificate, error) {
		c, err := file.JSON(h.path, nil).Credential(context.Background())
		if err != nil {
			return nil, err
		}
		return keypair.Pair(c)
	})
	return h
}

// deploy is what people do.
func (h *house) deploy(c source.Credential) {
	h.t.Helper()
	chain, _ := c.Field(keypair.ChainField)
	text, err := json.Marshal(map[string]string{"username": c.Username, "password": c.Password.Reveal(), "tls.crt": chain.Reveal()})
	require.NoError(h.t, err)
	require.NoError(h.t, document.Change(h.t.Context(), h.document, func([]byte) ([]byte, error) { return text, nil }))
}

// serve greets whoever comes.
func serve(t *testing.T, load func() (*tls.Certificate, error)) (address string) {
	listener, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return load() },
	})
	require.NoError(t, err)
	var group sync.WaitGroup
	group.Go(func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			group.Go(func() {
				defer conn.Close()
				_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
				_ = conn.(*tls.Conn).Handshake() // the client tells how it was
			})
		}
	})
	t.Cleanup(func() {
		listener.Close()
		group.Wait()
	})
	return listener.Addr().String()
}

func (h *house) config(line *cut.Transport) *certificate.Config {
	base := http.DefaultTransport.(*http.Transport).Clone()
	h.t.Cleanup(base.CloseIdleConnections)
	line.Base = base
	return &certificate.Config{
		Issue: h.authority.issue, Names: []string{shop}, Roots: h.authority.roots,
		Document: h.server.Over(&http.Client{Transport: line}), Address: h.address, Dial: line.Dial,
		Reload: 200 * time.Millisecond,
		Verify: func(context.Context, rotate.Change) error {
			if h.weak {
				return fmt.Errorf("clients do not trust it: %w", rotate.ErrUnfit)
			}
			return nil
		},
	}
}

func (h *house) target(c *certificate.Config) rotate.Target {
	h.t.Helper()
	target, err := certificate.New(c)
	require.NoError(h.t, err)
	return target
}

func TestConformance(t *testing.T) {
	rotatetest.Target(t, func(t *testing.T) rotatetest.TargetHarness {
		h := newHouse(t)
		return rotatetest.TargetHarness{
			Target: h.target(h.config(&h.line)), Other: h.target(h.config(new(cut.Transport))), Current: h.first, Draws: true,
			Overwrite: func(t *testing.T, _, _ string) {
				c, err := h.authority.byHand(shop, shop)
				require.NoError(t, err)
				h.deploy(c)
			},
			Weaken: func(*testing.T, string) { h.weak = true },
			Fail:   h.line.Fail, Down: h.line.Down,
			Seen: func(*testing.T) string { return h.authority.issued.String() },
		}
	})
}

// What the authority has issued is looked at before anybody presents it.
func TestNotFit(t *testing.T) {
	for name, spoil := range map[string]func(*house, *certificate.Config){
		"it does not cover a name": func(h *house, c *certificate.Config) {
			c.Issue = func(context.Context, []byte) ([]byte, error) { return h.issuedToAnother(), nil }
		},
		"it is of another key": func(h *house, c *certificate.Config) {
			chain, _ := h.first.Field(keypair.ChainField)
			c.Issue = func(context.Context, []byte) ([]byte, error) { return []byte(chain.Reveal()), nil }
		},
		"it ends too soon":        func(h *house, _ *certificate.Config) { h.authority.life = 30 * time.Minute },
		"it has ended":            func(h *house, _ *certificate.Config) { h.authority.life = -time.Minute },
		"the chain is incomplete": func(h *house, _ *certificate.Config) { h.authority.alone = true },
		"it is nothing": func(_ *house, c *certificate.Config) {
			c.Issue = func(context.Context, []byte) ([]byte, error) { return nil, nil }
		},
		"the root is another's": func(h *house, c *certificate.Config) {
			another, err := newAuthority()
			require.NoError(h.t, err)
			c.Roots = another.roots
		},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHouse(t)
			c := h.config(&h.line)
			spoil(h, c)
			_, err := h.target(c).Next(t.Context(), h.first, "token")
			require.ErrorIs(t, err, rotate.ErrUnfit)
		})
	}
}

// issuedToAnother is right but for the name.
func (h *house) issuedToAnother() []byte {
	c, err := h.authority.byHand("another.example", "another.example")
	require.NoError(h.t, err)
	chain, _ := c.Field(keypair.ChainField)
	return []byte(chain.Reveal())
}

func TestIssueFails(t *testing.T) {
	h := newHouse(t)
	c, mine := h.config(&h.line), errors.New("rate limited")
	c.Issue = func(context.Context, []byte) ([]byte, error) { return nil, mine }
	_, err := h.target(c).Next(t.Context(), h.first, "token")
	require.ErrorIs(t, err, mine)
	require.NotErrorIs(t, err, rotate.ErrUnfit)
}

// A service that does not load what is deployed, or not the whole chain, is found
// out, and that it cannot be reached says nothing.
func TestService(t *testing.T) {
	h := newHouse(t)
	c := h.config(&h.line)
	target := h.target(c)
	to, err := target.Next(t.Context(), h.first, "token")
	require.NoError(t, err)
	change := rotate.Change{Token: "token", From: h.first, To: to}
	require.NoError(t, target.Set(t.Context(), change))
	require.NoError(t, target.Verify(t.Context(), change))

	old, err := keypair.Pair(h.first)
	require.NoError(t, err)
	c.Address = serve(t, func() (*tls.Certificate, error) { return old, nil })
	require.ErrorIs(t, h.target(c).Verify(t.Context(), change), rotate.ErrUnfit)

	next, err := keypair.Pair(to)
	require.NoError(t, err)
	next.Certificate = next.Certificate[:1]
	c.Address = serve(t, func() (*tls.Certificate, error) { return next, nil })
	require.ErrorIs(t, h.target(c).Verify(t.Context(), change), rotate.ErrUnfit)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	c.Address = listener.Addr().String()
	require.NoError(t, listener.Close())
	err = h.target(c).Verify(t.Context(), change)
	require.Error(t, err)
	require.NotErrorIs(t, err, rotate.ErrUnfit)
}

func TestNewRefuses(t *testing.T) {
	for _, c := range []*certificate.Config{nil, {}} {
		_, err := certificate.New(c)
		require.Error(t, err)
	}
}
