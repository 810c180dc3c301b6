package keys_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/internal/cut"
	"github.com/rekey-go/rekey/rotate/keys"
	"github.com/rekey-go/rekey/rotate/rotatetest"
	"github.com/rekey-go/rekey/source"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kinds are the two ways by which keys come to be.
var kinds = map[string]func(*keeper) keys.Keeper{
	"Registrar": func(k *keeper) keys.Keeper { return registrar{k} },
	"Drawer":    func(k *keeper) keys.Keeper { return drawer{k} },
}

func TestConformance(t *testing.T) {
	for name, kind := range kinds {
		t.Run(name, func(t *testing.T) {
			rotatetest.Target(t, func(t *testing.T) rotatetest.TargetHarness {
				h := newHouse(t)
				return rotatetest.TargetHarness{
					Target: h.target(kind, &h.line), Other: h.target(kind, new(cut.Transport)), Current: h.first,
					Draws: name == "Drawer",
					Overwrite: func(_ *testing.T, id, password string) {
						h.service.change(id, func(e *entry) { e.Hash = hash(password) })
					},
					Weaken: func(_ *testing.T, id string) { h.service.change(id, func(e *entry) { e.Weak = true }) },
					Fail:   h.line.Fail, Down: h.line.Down,
					Seen: func(*testing.T) string { return h.service.seen() },
				}
			})
		})
	}
}

// A house is a service with a key that people have made.
type house struct {
	t       *testing.T
	service *service
	url     string
	line    cut.Transport
	first   source.Credential
}

func newHouse(t *testing.T) *house {
	h := &house{t: t, service: newService(), first: source.Credential{Username: "by-hand", Password: source.NewSecret("canary-" + rand.Text()), Version: "first"}}
	server := httptest.NewServer(h.service)
	t.Cleanup(server.Close)
	h.url = server.URL
	for _, id := range []string{h.first.Username, "another's"} {
		h.service.keys[id] = &entry{Key: keys.Key{ID: id, Label: "made by hand", Active: true, Created: time.Now()}, Hash: hash(h.first.Password.Reveal())}
	}
	return h
}

func (h *house) keeper(line *cut.Transport) *keeper {
	base := http.DefaultTransport.(*http.Transport).Clone()
	h.t.Cleanup(base.CloseIdleConnections)
	line.Base = base
	return &keeper{h.url, &http.Client{Transport: line}}
}

func (h *house) target(kind func(*keeper) keys.Keeper, line *cut.Transport) rotate.Target {
	k := h.keeper(line)
	target, err := keys.New(&keys.Config{Keeper: kind(k), Name: "orders", Verify: func(ctx context.Context, c rotate.Change) error {
		code, err := k.orders(ctx, c.To)
		if err == nil && code != http.StatusOK {
			err = fmt.Errorf("it may not place orders: %d: %w", code, rotate.ErrUnfit)
		}
		return err
	}})
	require.NoError(h.t, err)
	return target
}

func (s *service) change(id string, f func(*entry)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s.keys[id])
}

func (s *service) seen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.log.String()
}
