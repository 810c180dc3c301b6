package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/rekey-go/rekey/internal/faults"
)

// A fault is something that goes wrong for a while.
type fault struct {
	name  string
	side  side
	begin func(context.Context, *soak) error
	end   func(context.Context, *soak) error

	// Services that lose sessions, which excuses failures of theirs. Others have
	// no excuse.
	breaks []string

	// sessions end, and logins go on.
	sessions bool

	// again and again during a strike, begin and end take turns.
	again bool
}

// A side is what a fault is of.
type side int

const (
	database side = iota // or the way to it
	store                // or who writes there
	both                 // comes alone
)

// The services.
const (
	byVault   = "vault"
	byFile    = "file"
	byMariaDB = "mariadb"
)

var ofDatabases = slices.Concat([]fault{
	{
		name:   "PostgreSQL restarts",
		begin:  func(ctx context.Context, s *soak) error { return s.lab.Postgres.Stop(ctx) },
		end:    func(ctx context.Context, s *soak) error { return s.lab.Postgres.Start(ctx) },
		breaks: []string{byVault, byFile},
	},
	{
		name:   "PostgreSQL crashes",
		begin:  func(ctx context.Context, s *soak) error { return s.lab.Postgres.Crash(ctx) },
		end:    func(ctx context.Context, s *soak) error { return s.lab.Postgres.Start(ctx) },
		breaks: []string{byVault, byFile},
	},
	{
		name:   "MariaDB restarts",
		begin:  func(ctx context.Context, s *soak) error { return s.mariadb.Stop(ctx) },
		end:    func(ctx context.Context, s *soak) error { return s.mariadb.Start(ctx) },
		breaks: []string{byMariaDB},
	},
	{
		name:   "MariaDB crashes",
		begin:  func(ctx context.Context, s *soak) error { return s.mariadb.Crash(ctx) },
		end:    func(ctx context.Context, s *soak) error { return s.mariadb.Start(ctx) },
		breaks: []string{byMariaDB},
	},
}, network(byVault), network(byFile), network(byMariaDB))

// network are the faults of the way from a service to its database.
func network(service string) []fault {
	of := []fault{{
		name:   "cut: " + service,
		begin:  func(_ context.Context, s *soak) error { s.service(service).proxy.Stop(); return nil },
		end:    func(_ context.Context, s *soak) error { return s.service(service).proxy.Start() },
		breaks: []string{service},
	}}
	for _, t := range faults.Toxics {
		f := fault{
			name:  t.Name + ": " + service,
			begin: func(_ context.Context, s *soak) error { return s.service(service).proxy.Add(t.Kind, t.Attributes) },
			end:   func(_ context.Context, s *soak) error { return s.service(service).proxy.Remove(t.Kind) },
		}
		if t.Breaks {
			f.breaks = []string{service}
		}
		of = append(of, f)
	}
	return of
}

var ofStores = []fault{
	{
		name:  "Vault restarts",
		side:  store,
		begin: func(ctx context.Context, s *soak) error { return s.lab.Vault.Stop(ctx) },
		end:   func(ctx context.Context, s *soak) error { return s.lab.Vault.Start(ctx) },
	},
	{
		name:  "Vault crashes",
		side:  store,
		begin: func(ctx context.Context, s *soak) error { return s.lab.Vault.Crash(ctx) },
		end:   func(ctx context.Context, s *soak) error { return s.lab.Vault.Start(ctx) },
	},
	{
		name:  "Vault is sealed",
		side:  store,
		begin: func(ctx context.Context, s *soak) error { return s.lab.Vault.Seal(ctx) },
		end:   func(ctx context.Context, s *soak) error { return s.lab.Vault.Unseal(ctx) },
	},
	{
		name: "Vault is slow",
		side: store,
		begin: func(_ context.Context, s *soak) error {
			return s.toVault.Add("latency", map[string]any{"latency": 1500, "jitter": 1000})
		},
		end: func(_ context.Context, s *soak) error { return s.toVault.Remove("latency") },
	},
	brokenFile("the file is garbage", func(path string) error {
		return os.WriteFile(path, []byte(`{"username": "nobody", "password": "`+canary+`half`), 0o600)
	}),
	brokenFile("the file is empty", func(path string) error { return os.Truncate(path, 0) }),
	brokenFile("the file is gone", os.Remove),
	{
		name:  "the rotator is killed",
		side:  store,
		begin: func(_ context.Context, s *soak) error { s.rotator.kill(); return nil },
		end:   func(_ context.Context, s *soak) error { return s.rotator.start() },
		again: true,
	},
}

// brokenFile has the credential's file broken by somebody, while its rotator is
// down: they would undo each other's work.
func brokenFile(name string, harm func(path string) error) fault {
	return fault{
		name: name,
		side: store,
		begin: func(_ context.Context, s *soak) (err error) {
			s.rotator.kill()
			if s.fileContent, err = os.ReadFile(s.file); err != nil {
				return err
			}
			return harm(s.file)
		},
		end: func(_ context.Context, s *soak) error {
			err := os.WriteFile(s.file+".mended", s.fileContent, 0o600)
			if err == nil {
				err = os.Rename(s.file+".mended", s.file)
			}
			return errors.Join(err, s.rotator.start())
		},
	}
}

var revoked = fault{
	name:     "leases are revoked",
	side:     both,
	breaks:   []string{byVault},
	sessions: true,
	begin: func(ctx context.Context, s *soak) error {
		s.revokedAt = s.service(byVault).pool.Health().Generation
		_, err := s.lab.Vault.Do(ctx, "PUT", "sys/leases/revoke-prefix/database/creds/app", map[string]any{"sync": true})
		return err
	},
	// Sessions that logged in between two statements of the revocation live on,
	// until a new credential is adopted.
	end: func(ctx context.Context, s *soak) error {
		return s.eventually(ctx, "a new lease", func() bool {
			return s.service(byVault).pool.Health().Generation > s.revokedAt
		})
	},
}

var all = slices.Concat(ofDatabases, ofStores, []fault{revoked})

// strike has faults begin and end, and returns the outages of each service and
// when the last one ended.
func (s *soak) strike(ctx context.Context, k strike) (outages map[string][]faults.Outage, ended time.Time, err error) {
	outages = make(map[string][]faults.Outage)
	begun := time.Now()
	for i, f := range k.faults {
		if err := f.begin(ctx, s); err != nil {
			return nil, ended, fmt.Errorf("%s: %w", f.name, err)
		}
		if i == 0 && f.again {
			err = s.again(ctx, f, k)
		}
	}
	if err == nil {
		err = pause(ctx, k.lasts-time.Since(begun))
	}
	for _, f := range slices.Backward(k.faults) { // the database comes back last
		// Also when ctx has ended: the servers are needed.
		if endErr := f.end(context.WithoutCancel(ctx), s); endErr != nil {
			return nil, ended, errors.Join(err, fmt.Errorf("end of %s: %w", f.name, endErr))
		}
		ended = time.Now()
		for _, service := range f.breaks {
			outages[service] = append(outages[service], faults.Outage{Begun: begun, Ended: ended, Sessions: f.sessions})
		}
	}
	return outages, ended, err
}

// again ends a fault and begins it anew until the strike is over.
func (s *soak) again(ctx context.Context, f fault, k strike) error {
	for end := time.Now().Add(k.lasts); time.Now().Before(end); {
		if err := f.end(ctx, s); err != nil {
			return err
		}
		if err := pause(ctx, time.Duration(k.draw.Int64N(int64(interval)))); err != nil {
			return err
		}
		if err := f.begin(ctx, s); err != nil {
			return err
		}
	}
	return nil
}

// pause waits, as part of what is tried out. Its error says that ctx has ended.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
