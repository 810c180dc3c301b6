package vault

import (
	"context"
	"fmt"
	"time"
)

// Close stops keeping the token and waits for that. Unless
// [LoginOptions.KeepToken] is set it revokes a token that the session has
// logged in for, and with it all leases, so close the pools and refreshers
// before. All that takes [LoginOptions.Timeout] at most. Closing twice is
// harmless.
func (s *Session) Close() {
	ctx, cancel := context.WithTimeout(context.Background(), s.opts.Timeout)
	defer cancel()
	if err := s.Shutdown(ctx); err != nil {
		s.opts.Logger.Warn("rekey: Vault session closed", "error", err)
	}
}

// Shutdown is Close bounded by ctx. Its error says that the token could not be
// revoked; it lives on to its own end, unless Shutdown is called again.
func (s *Session) Shutdown(ctx context.Context) error {
	s.shut.Do(func() {
		s.mu.Lock()
		s.closed = true
		s.broadcast()
		s.mu.Unlock()
		s.cancel()
		go func() { // ends with the workers, whose context has ended
			s.workers.Wait()
			s.answerQuestion(nil)
			close(s.stopped)
		}()
	})
	select {
	case <-s.stopped:
	case <-ctx.Done():
		return fmt.Errorf("vault: the token is not revoked yet, a login or a watcher has not returned: %w", ctx.Err())
	}
	t := s.now()
	s.mu.Lock()
	done := s.settled
	s.mu.Unlock()
	if done || s.lender != nil || s.opts.KeepToken || t.accessor == "" || t.over(time.Now()) {
		return nil
	}
	if err := s.revokeSelf(ctx, t); err != nil && kindOf(err) != Ended {
		return fmt.Errorf("vault: the token is not revoked, it ends at %s: %w", t.end.Format(time.RFC3339), err)
	}
	s.mu.Lock()
	s.settled = true
	s.mu.Unlock()
	return nil
}
