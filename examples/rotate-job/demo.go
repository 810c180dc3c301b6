package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/rekey-go/rekey/examples/rotate-job/job"
	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/source/file"
)

// A demo is a real PostgreSQL with two secrets in files, a service under load for
// each, and the commands of an operator.
type demo struct {
	out    io.Writer
	dir    string
	server *pgserver.Server
	pools  []*pool.ManagedPool
	loads  []*load.Load
}

// A summary is what the demonstration has come to.
type summary struct {
	Statements, Failed int64
	Rollback           time.Duration
}

// The rotator has no more rights than package rotate/postgres lists. Each group
// owns what its service works on.
const demoRoles = `
create role rotator login createrole password '%[1]s';
grant pg_read_all_stats to rotator;
create role orders login password '%[1]s';
create role billing_owner nologin;
create role billing login password '%[1]s' in role billing_owner;
alter role billing set role to billing_owner;
grant orders, billing, billing_owner to rotator with admin option;
create table orders (id bigserial primary key, item text);
create table bills (id bigserial primary key, cents bigint);
alter table orders owner to orders;
alter table bills owner to billing_owner`

const demoConfig = `audit: %[1]s/audit.jsonl
approvals:
  directory: %[1]s
secrets:
- name: orders
  store: {file: {path: %[1]s/orders.json}}
  target:
    postgres:
      strategy: single user
      login: %[2]s
      admin: {file: %[1]s/rotator.json}
      statements: [select count(*) from orders]
  lifetime: 1h
  approve: true
  consumers: [orders]
- name: billing
  store: {file: {path: %[1]s/billing.json}}
  target:
    postgres:
      strategy: parallel role
      group: billing_owner
      login: %[2]s
      admin: {file: %[1]s/rotator.json}
      statements: [insert into bills (cents) values ($1)]
  lifetime: 1h
  consumers: [billing]
`

// runDemo shows what an operator does in a day.
func runDemo(ctx context.Context, out io.Writer) (s summary, err error) {
	d := &demo{out: out}
	defer func() { err = errors.Join(err, d.close()) }()
	if err := d.start(ctx); err != nil {
		return s, err
	}
	step := func(want int, args ...string) (time.Duration, error) {
		fmt.Fprintf(out, "\n$ rotate-job %s\n", strings.Join(args, " "))
		begun := time.Now()
		j := &job.Job{Stdin: strings.NewReader(""), Stdout: out, Stderr: out}
		args = append(args, "-config", filepath.Join(d.dir, "rotate-job.yaml"))
		if got := j.Run(ctx, args); got != want {
			return 0, fmt.Errorf("%s: exit code %d, not %d", args[0], got, want)
		}
		if want != job.Done {
			fmt.Fprintf(out, "(exit code %d)\n", want)
		}
		return time.Since(begun), nil
	}
	const by = "-by=alice"
	for _, s := range []struct {
		want int
		args []string
	}{
		{job.Done, []string{"plan"}},
		{job.Done, []string{"rehearse", by}},
		{job.NotApproved, []string{"run", by}}, // orders waits, billing is rotated
		{job.Done, []string{"status"}},
	} {
		if _, err := step(s.want, s.args...); err != nil {
			return summary{}, err
		}
	}
	asked, err := filepath.Glob(filepath.Join(d.dir, "*.request.json"))
	if err != nil || len(asked) != 1 {
		return s, fmt.Errorf("%d requests for approval, not one: %w", len(asked), err)
	}
	rotation := strings.TrimSuffix(filepath.Base(asked[0]), ".request.json")
	if _, err := step(job.Done, "approve", rotation, "-by=bob"); err != nil {
		return s, err
	}
	if _, err := step(job.Done, "run", by); err != nil {
		return s, err
	}
	if s.Rollback, err = step(job.Done, "rollback", "orders", by, "-yes", "-reason=a demonstration"); err != nil {
		return s, err
	}
	for _, command := range []string{"history", "report"} {
		if _, err := step(job.Done, command); err != nil {
			return s, err
		}
	}
	for _, l := range d.loads {
		r := l.Stop()
		s.Statements += r.Statements
		s.Failed += r.Failed
		if r.Err != nil {
			fmt.Fprintln(out, "failures:", r.Err)
		}
	}
	fmt.Fprintf(out, "\n%d statements, %d failed, through two rotations, two rehearsals and a rollback, which took %d ms\n",
		s.Statements, s.Failed, s.Rollback.Milliseconds())
	return s, nil
}

func (d *demo) start(ctx context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "rotate-job-"); err != nil {
		return err
	}
	if d.server, err = pgserver.Start(ctx, &pgserver.Options{Own: true, Log: os.Stderr}); err != nil {
		return err
	}
	const first = "to be rotated"
	if err := d.server.Exec(ctx, fmt.Sprintf(demoRoles, first)); err != nil {
		return err
	}
	for _, name := range []string{"rotator", "orders", "billing"} {
		if err := d.write(name+".json", fmt.Sprintf(`{"username": %q, "password": %q}`, name, first)); err != nil {
			return err
		}
	}
	if err := d.write("rotate-job.yaml", fmt.Sprintf(demoConfig, d.dir, d.server.AppDSN())); err != nil {
		return err
	}
	for name, statement := range map[string]string{
		"orders": "select count(*) from orders", "billing": "insert into bills (cents) values (100)",
	} {
		quiet := slog.New(slog.DiscardHandler)
		db, err := pool.Open(ctx, d.server.AppDSN()+"&pool_max_conns=4&application_name="+name, file.JSON(filepath.Join(d.dir, name+".json"), nil), &pool.Options{Logger: quiet})
		if err != nil {
			return err
		}
		d.pools = append(d.pools, db)
		d.loads = append(d.loads, load.Start(ctx, 4, func(ctx context.Context) error {
			_, err := db.Exec(ctx, statement)
			return err
		}))
	}
	return nil
}

func (d *demo) write(name, text string) error {
	return os.WriteFile(filepath.Join(d.dir, name), []byte(text), 0o600)
}

// close stops what start has started, in the other order.
func (d *demo) close() (err error) {
	for _, l := range d.loads {
		l.Stop()
	}
	for _, p := range d.pools {
		p.Close()
	}
	if d.server != nil {
		err = d.server.Close()
	}
	if d.dir != "" {
		err = errors.Join(err, os.RemoveAll(d.dir))
	}
	return err
}
