package vault

import (
	"math/rand/v2"
	"sync"
	"time"
)

// A watch is one caller of Watch. Its mutex is held while changed runs, so that
// stop can promise that changed runs no more.
type watch struct {
	mu      sync.Mutex
	changed func()
}

func (w *watch) call() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.changed != nil {
		w.changed()
	}
}

// watch has changed called after every new login.
func (s *Session) watch(changed func()) (stop func()) {
	w := &watch{changed: changed}
	s.mu.Lock()
	s.watches[w] = struct{}{}
	s.mu.Unlock()
	return func() {
		s.mu.Lock()
		delete(s.watches, w)
		s.mu.Unlock()
		w.mu.Lock()
		defer w.mu.Unlock()
		w.changed = nil
	}
}

// announce tells all who watch, the first at once and the others spread over
// window, so that they do not all come to Vault together. What the old token
// has made is good for longer than that.
func (s *Session) announce(window time.Duration) {
	s.mu.Lock()
	watches := make([]*watch, 0, len(s.watches))
	for w := range s.watches {
		watches = append(watches, w)
	}
	s.mu.Unlock()
	rand.Shuffle(len(watches), func(i, j int) { watches[i], watches[j] = watches[j], watches[i] })
	for i, w := range watches {
		if i > 0 && window > 0 {
			select {
			case <-s.ctx.Done():
				return
			case <-time.After(window / time.Duration(len(watches))):
			}
		}
		w.call()
	}
}
