package secretsmanager_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source/secretsmanager"
)

// gate is a database that accepts some passwords and counts the others.
type gate struct {
	mu       sync.Mutex
	accepts  map[string]bool
	rejected map[string]int
}

func newGate(passwords ...string) *gate {
	g := &gate{rejected: map[string]int{}}
	g.set(passwords...)
	return g
}

func (g *gate) set(passwords ...string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.accepts = map[string]bool{}
	for _, p := range passwords {
		g.accepts[p] = true
	}
}

func (g *gate) Verify(_ context.Context, s refresh.Snapshot) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	if p := s.Password.Reveal(); !g.accepts[p] {
		g.rejected[p]++
		return fmt.Errorf("password: %w", refresh.ErrRejected)
	}
	return nil
}

func (*gate) Changed() {}

// rejections returns how often each password was rejected since the last call.
func (g *gate) rejections() map[string]int {
	g.mu.Lock()
	defer g.mu.Unlock()
	r := g.rejected
	g.rejected = map[string]int{}
	return r
}

// knocks logs in every ten seconds until the test ends.
func knocks(t *testing.T, a *refresh.Attachment, g *gate) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var done sync.WaitGroup
	done.Go(func() {
		for ctx.Err() == nil {
			try, end := context.WithTimeout(ctx, 5*time.Second)
			if h, err := a.Hold(try); err == nil {
				if g.Verify(try, h.Snapshot()) != nil {
					h.Rejected()
				} else {
					h.Accepted()
				}
				h.Release()
			}
			end()
			select {
			case <-time.After(10 * time.Second):
			case <-ctx.Done():
			}
		}
	})
	return func() { cancel(); done.Wait() }
}

// A rotation stays half-way for hours: the database has the pending password, or
// one that nobody knows.
func TestF24HoursInTheGap(t *testing.T) {
	for name, c := range map[string]struct {
		bridge   bool
		accepted string
		requests int            // in an hour, at most
		rejected map[string]int // passwords, and how often in the first hour at most
		back     time.Duration  // until all is well after AWSCURRENT has moved, at most
	}{
		"with the bridge":     {true, "second", 350, map[string]int{"first": 12}, time.Minute},
		"without":             {false, "second", 350, map[string]int{"first": 12}, time.Minute},
		"nothing is accepted": {true, "", 1050, map[string]int{"first": 12, "second": 12, "previous": 12}, 3 * time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLab(t)
				l.put(login("app", "previous"))
				l.put(login("app", "first"))
				var log bytes.Buffer
				o := &refresh.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))}
				r, err := refresh.New(t.Context(), l.source(&secretsmanager.Options{Bridge: c.bridge}), o)
				require.NoError(t, err)
				defer r.Close()
				g := newGate("first")
				a, err := r.Attach(t.Context(), g)
				require.NoError(t, err)
				defer knocks(t, a, g)()
				version := l.put(login("app", "second"), "AWSPENDING")
				g.set(c.accepted)
				l.sent()
				for hour := range 3 {
					time.Sleep(time.Hour)
					synctest.Wait()
					sent, lines, rejected := len(l.sent()), strings.Count(log.String(), "\n"), g.rejections()
					log.Reset()
					t.Logf("hour %d: %d requests, %d lines, rejected %v", hour+1, sent, lines, rejected)
					require.LessOrEqual(t, sent, c.requests)
					require.LessOrEqual(t, lines, 400)
					require.Equal(t, refresh.Degraded, r.Health().State)
					for password, n := range rejected {
						require.LessOrEqual(t, n, c.rejected[password], password)
						if hour > 0 {
							require.LessOrEqual(t, n, 7, password)
						}
					}
				}
				g.set("second")
				l.promote(version)
				began := time.Now()
				for r.Current().Version != version || r.Health().State != refresh.Fresh {
					require.LessOrEqual(t, time.Since(began), c.back)
					time.Sleep(time.Second)
				}
				t.Log("well again after", time.Since(began))
			})
		})
	}
}
