package vaultserver

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/rekey-go/rekey/internal/child"
)

// Seal makes the server answer 503 to everything until Unseal.
func (s *Server) Seal(ctx context.Context) error {
	if s.dir == "" {
		return ErrNotOurs
	}
	if _, err := s.Do(ctx, "PUT", "sys/seal", nil); err != nil {
		return fmt.Errorf("vaultserver: %w", err)
	}
	return s.wait(ctx, nil, func(st status) bool { return st.Sealed })
}

// Unseal ends Seal.
func (s *Server) Unseal(ctx context.Context) error {
	if s.dir == "" {
		return ErrNotOurs
	}
	if _, err := s.Do(ctx, "PUT", "sys/unseal", map[string]any{"key": s.key}); err != nil {
		return fmt.Errorf("vaultserver: %w", err)
	}
	return s.wait(ctx, nil, func(st status) bool { return !st.Sealed && st.active })
}

// open makes a process that was just started ready: it initialises the storage
// the first time, and unseals.
func (s *Server) open(ctx context.Context, p *child.Process) error {
	var found status
	if err := s.wait(ctx, p.Done(), func(st status) bool { found = st; return true }); err != nil {
		return err
	}
	if !found.Initialized {
		res, err := s.Do(ctx, "PUT", "sys/init", map[string]any{"secret_shares": 1, "secret_threshold": 1})
		if err != nil {
			return err
		}
		var keys struct {
			Root string   `json:"root_token"`
			Keys []string `json:"keys_base64"`
		}
		if err := json.Unmarshal(res.Body, &keys); err != nil || len(keys.Keys) != 1 {
			return errors.New("sys/init gave no key")
		}
		s.root, s.key = keys.Root, keys.Keys[0]
	}
	return s.Unseal(ctx)
}

// status is what a server says of itself without being asked for a token.
type status struct {
	Initialized bool `json:"initialized"`
	Sealed      bool `json:"sealed"`

	active bool // it has come up after unsealing
}

// status asks once.
func (s *Server) status(ctx context.Context) (st status, err error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	open := &Client{Addr: s.addr}
	res, err := open.Do(ctx, "GET", "sys/seal-status", nil)
	if err != nil {
		return st, err
	}
	if err := json.Unmarshal(res.Body, &st); err != nil {
		return st, err
	}
	if st.Initialized && !st.Sealed {
		_, err = open.Do(ctx, "GET", "sys/health", nil)
		st.active = err == nil
	}
	return st, nil
}

// wait asks until the answer is good, the process has ended, or it takes too long.
func (s *Server) wait(ctx context.Context, exited <-chan struct{}, good func(status) bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		st, err := s.status(ctx)
		if err == nil && good(st) {
			return nil
		}
		select {
		case <-tick.C:
		case <-exited:
			return errors.New("the server ended while starting")
		case <-ctx.Done():
			return errors.Join(errors.New("the server does not get ready"), ctx.Err(), err)
		}
	}
}
