package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/internal/vaultserver"
)

// A sample is what there is of everything that could grow, between two faults.
type sample struct {
	Goroutines int `json:"goroutines"`
	Files      int `json:"files"`    // open in this process, sockets included; 0 where the system does not tell
	Heap       int `json:"heap_kb"`  // after a collection
	Sessions   int `json:"sessions"` // of the services, on both servers
	Leases     int `json:"leases"`   // of Vault that live
	Roles      int `json:"roles"`    // that Vault and the rotator have made
}

// slack is by how much the later sample may be higher: rollovers and logins are
// under way at any time, and a session takes six goroutines, most of them its
// proxy's. What leaks once a fault is more within ten minutes, what leaks once a
// rotation within two.
var slack = sample{Goroutines: 32, Files: 16, Heap: 4096, Sessions: 4, Leases: 1, Roles: 2}

// mostLeases may live at a time.
const mostLeases = 2

func (s *soak) sample(ctx context.Context) (c sample, err error) {
	s.closeIdle() // how many there are depends on what was done to Vault
	s.report(ctx)
	if c.Roles, c.Sessions, err = s.ofPostgres(ctx); err != nil {
		return c, err
	}
	n, err := s.ofMariaDB(ctx)
	if err != nil {
		return c, err
	}
	c.Sessions += n
	if c.Leases, _, err = s.leases(ctx); err != nil {
		return c, err
	}
	runtime.GC()
	runtime.GC() // what had to be finalized
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	c.Heap = int(m.HeapAlloc >> 10)
	c.Goroutines = runtime.NumGoroutine()
	if fds, err := os.ReadDir("/proc/self/fd"); err == nil {
		c.Files = len(fds)
	}
	if c.Leases > mostLeases {
		s.summary.violation("%d leases live", c.Leases)
	}
	s.samples = append(s.samples, c)
	s.summary.Most = most(s.summary.Most, c)
	return c, nil
}

func (s *soak) admin(ctx context.Context) (*pgx.Conn, error) {
	config, err := pgx.ParseConfig(s.lab.Postgres.DSN())
	if err != nil {
		return nil, err
	}
	config.Database = "app"
	return pgx.ConnectConfig(ctx, config)
}

// ofPostgres counts users that come and go, and sessions of theirs. A session
// whose user was dropped has no name.
func (s *soak) ofPostgres(ctx context.Context) (roles, sessions int, err error) {
	err = s.lab.Postgres.Do(ctx, func(conn *pgx.Conn) error {
		return conn.QueryRow(ctx, `select
			(select count(*) from pg_roles where rolcanlogin and rolname not in ('postgres', 'vault', 'rotator')),
			(select count(*) from pg_stat_activity where backend_type = 'client backend' and datname = 'app'
				and coalesce(usename, '') not in ('postgres', 'vault', 'rotator'))`).Scan(&roles, &sessions)
	})
	return roles, sessions, err
}

func (s *soak) ofMariaDB(ctx context.Context) (sessions int, err error) {
	err = s.mariadb.Do(func(db *sql.DB) error {
		return db.QueryRowContext(ctx, "select count(*) from information_schema.processlist where user = 'app'").Scan(&sessions)
	})
	return sessions, err
}

// leases counts those that live, and all that Vault has not revoked yet: of those
// that have ended it cannot drop the users while PostgreSQL is down.
func (s *soak) leases(ctx context.Context) (live, listed int, err error) {
	const path = "database/creds/app/"
	res, err := s.lab.Vault.Do(ctx, "LIST", "sys/leases/lookup/"+path, nil)
	if refusal(err) == http.StatusNotFound { // there are none
		return 0, 0, nil
	}
	if err != nil {
		return 0, 0, err
	}
	keys, _ := res.Data["keys"].([]any)
	for _, key := range keys {
		res, err := s.lab.Vault.Do(ctx, "PUT", "sys/leases/lookup", map[string]any{"lease_id": path + fmt.Sprint(key)})
		if refusal(err) == http.StatusBadRequest { // it has gone meanwhile
			continue
		}
		if err != nil {
			return 0, 0, err
		}
		text, _ := res.Data["expire_time"].(string)
		if expires, err := time.Parse(time.RFC3339Nano, text); err != nil || time.Now().Before(expires) {
			live++
		}
	}
	return live, len(keys), nil
}

// refusal is the status with which Vault has refused something, or zero.
func refusal(err error) int {
	var refused *vaultserver.Error
	if errors.As(err, &refused) {
		return refused.Status
	}
	return 0
}

// growth compares the second quarter with the last: the middle of each, so that
// single samples do not matter.
func (s *soak) growth() {
	n := len(s.samples)
	if n < 4 {
		s.summary.violation("only %d samples: nothing can be said about growth", n)
		return
	}
	early, late := median(s.samples[n/4:n/2]), median(s.samples[n-n/4:])
	s.summary.Early, s.summary.Late = early, late
	for _, c := range []struct {
		name              string
		early, late, more int
	}{
		{"goroutines", early.Goroutines, late.Goroutines, slack.Goroutines},
		{"open files", early.Files, late.Files, slack.Files},
		{"heap in KB", early.Heap, late.Heap, slack.Heap},
		{"sessions", early.Sessions, late.Sessions, slack.Sessions},
		{"leases", early.Leases, late.Leases, slack.Leases},
		{"roles", early.Roles, late.Roles, slack.Roles},
	} {
		if c.late > c.early+c.more {
			s.summary.violation("%s have grown from %d to %d", c.name, c.early, c.late)
		}
	}
}

func most(a, b sample) sample {
	return sample{
		Goroutines: max(a.Goroutines, b.Goroutines), Files: max(a.Files, b.Files), Heap: max(a.Heap, b.Heap),
		Sessions: max(a.Sessions, b.Sessions), Leases: max(a.Leases, b.Leases), Roles: max(a.Roles, b.Roles),
	}
}

func median(samples []sample) (m sample) {
	of := func(field func(sample) int) int {
		values := make([]int, len(samples))
		for i, c := range samples {
			values[i] = field(c)
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return sample{
		Goroutines: of(func(c sample) int { return c.Goroutines }),
		Files:      of(func(c sample) int { return c.Files }),
		Heap:       of(func(c sample) int { return c.Heap }),
		Sessions:   of(func(c sample) int { return c.Sessions }),
		Leases:     of(func(c sample) int { return c.Leases }),
		Roles:      of(func(c sample) int { return c.Roles }),
	}
}

// left says what the services have left behind that are closed now.
func (s *soak) left(ctx context.Context) error {
	var state string
	err := s.eventually(ctx, "nothing is left", func() bool {
		_, sessions, pgErr := s.ofPostgres(ctx)
		more, myErr := s.ofMariaDB(ctx)
		_, leases, vaultErr := s.leases(ctx)
		users, usersErr := s.lab.Users(ctx)
		state = fmt.Sprintf("%d sessions on PostgreSQL, %d on MariaDB, %d leases, %d users of theirs", sessions, more, leases, len(users))
		return sessions == 0 && more == 0 && leases == 0 && len(users) == 0 && errors.Join(pgErr, myErr, vaultErr, usersErr) == nil
	})
	if err != nil {
		return fmt.Errorf("%w: %s", err, state)
	}
	return nil
}
