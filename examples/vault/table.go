package main

import (
	"context"
	"fmt"
	"io"

	"github.com/rekey-go/rekey/examples/vault/setup"
	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/internal/storm/table"
)

func newTable(out io.Writer, lab *setup.Lab, s *service, clients *load.Load, leases *leaseWatch) *table.Table {
	login := func(ctx context.Context) error {
		conn, err := lab.Postgres.Admin(ctx)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}
	count := func(of func(leaseCounts) int) func() any {
		return func() any {
			c, _ := leases.counts() // an error is for the end
			return of(c)
		}
	}
	return table.New(out, s.db.Health, clients, login,
		table.Column{Name: "rotation", Value: func() any { return s.db.Health().Generation - 1 }},
		table.Column{Name: "live", Value: count(func(c leaseCounts) int { return c.LiveEnd })},
		table.Column{Name: "issued", Value: count(func(c leaseCounts) int { return c.Issued })},
		table.Column{Name: "renewed", Value: count(func(c leaseCounts) int { return c.Renewed })},
		table.Column{Name: "revoked", Value: count(func(c leaseCounts) int { return c.Revoked })},
		table.Column{Name: "logins", Value: func() any { return s.session.Health().Logins }})
}

// A summary is the last line of -json: that of the quickstart, and the leases.
type summary struct {
	table.Summary
	leaseCounts
	VaultLogins int `json:"vault_logins"`
}

func (s summary) print(out io.Writer, asJSON bool, failures error) {
	s.Print(out, fmt.Sprintf("%d users of the database and %d logins to Vault", s.Rotations+1, s.VaultLogins))
	fmt.Fprintf(out, "%d leases were issued, renewed %d times, %d revoked; at most %d lived at a time, %d at the end\n",
		s.Issued, s.Renewed, s.Revoked, s.LiveMax, s.LiveEnd)
	if failures != nil {
		fmt.Fprintln(out, "failures:", failures)
	}
	if asJSON {
		table.PrintJSON(out, s)
	}
}

// check says what a run must not show.
func (s summary) check() error {
	switch {
	case s.Failed > 0:
		return fmt.Errorf("%d statements failed", s.Failed)
	case s.LiveMax > 2:
		return fmt.Errorf("%d leases lived at a time", s.LiveMax)
	case s.LiveEnd > 0:
		return fmt.Errorf("%d leases are left", s.LiveEnd)
	}
	return nil
}
