package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"time"

	"github.com/hashicorp/vault/api"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/examples/vault/setup"
	"github.com/rekey-go/rekey/internal/faults"
	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/source/vault"
)

// A soak is the servers, what uses them, and what became of it.
type soak struct {
	flags
	out     io.Writer // for people; what is written there is in written, too
	written *output
	logger  *slog.Logger

	lab      *setup.Lab // PostgreSQL and Vault
	mariadb  *mysqlserver.Server
	toVault  faults.Proxy
	dir      string
	file     string // the credential of the service byFile
	roleID   string
	secretID string

	telemetry    telemetry
	session      *vault.Session
	vaultClients []*api.Client
	services     []*service
	rotator      *rotator // of the file
	own          *ownRotator

	// What is between the beginning of a fault and its end.
	fileContent []byte
	revokedAt   uint64

	before  goleak.Option // the goroutines from before
	begun   time.Time
	samples []sample
	summary summary
}

// patience is how long to wait for what must come, and a second is long.
const patience = time.Minute

// start starts everything. Its context governs the start only.
func start(ctx context.Context, f flags, out io.Writer) (_ *soak, err error) {
	s := &soak{flags: f, before: goleak.IgnoreCurrent(), summary: newSummary(f.seed)}
	defer func() {
		if err != nil {
			s.end()
			err = errors.Join(err, errors.Join(s.summary.errs...))
		}
	}()
	if s.written, err = newOutput(f.log); err != nil {
		return nil, err
	}
	s.out = io.MultiWriter(out, s.written)
	s.logger = slog.New(slog.NewJSONHandler(s.written, &slog.HandlerOptions{Level: slog.LevelDebug}))
	if s.telemetry, err = newTelemetry(); err != nil {
		return nil, err
	}
	if err := s.startServers(ctx); err != nil {
		return nil, err
	}
	if err := s.startRotators(ctx); err != nil {
		return nil, err
	}
	for _, start := range []func(context.Context) error{s.startVault, s.startFile, s.startMariaDB} {
		if err := start(ctx); err != nil {
			return nil, err
		}
	}
	if err := s.rotator.start(); err != nil {
		return nil, err
	}
	s.own.start(s.service(byMariaDB).pool)
	for _, v := range s.services {
		v.work(s.workers)
	}
	return s, nil
}

// run has one fault after the other strike until the time is over.
func (s *soak) run(ctx context.Context) error {
	fmt.Fprintf(s.out, "seed %d\n", s.seed)
	s.begun = time.Now()
	s.printHead()
	if _, err := s.recovered(ctx, s.begun); err != nil {
		return err
	}
	for k := range schedule(s.seed, s.longest) {
		if err := s.round(ctx, k); err != nil {
			return err
		}
		if time.Since(s.begun) > s.length {
			break
		}
	}
	return nil
}

// round is a strike, what came of it, and a look at what has grown.
func (s *soak) round(ctx context.Context, k strike) error {
	begun := time.Now()
	outages, ended, err := s.strike(ctx, k)
	if err != nil {
		return err
	}
	generations := s.generations()
	served, err := s.recovered(ctx, ended)
	if err != nil {
		return err
	}
	// Whoever rotates goes on by himself.
	for _, name := range []string{byFile, byMariaDB} {
		v := s.service(name)
		if err := s.eventually(ctx, name+" is rotated again", func() bool { return v.pool.Health().Generation > generations[name]+1 }); err != nil {
			return err
		}
	}
	s.judge(k, outages, ended, served)
	after, err := s.sample(ctx)
	if err != nil {
		return err
	}
	s.printRound(k, ended.Sub(begun), served, after)
	return nil
}

// recovered returns how long after a moment each client of all services was
// served.
func (s *soak) recovered(ctx context.Context, since time.Time) (latest time.Duration, err error) {
	for _, v := range s.services {
		for i := range v.clients {
			v.clients[i].Ask(since)
		}
	}
	for _, v := range s.services {
		d, err := v.served(ctx, s, since)
		if err != nil {
			return 0, err
		}
		latest = max(latest, d)
	}
	return latest, nil
}

// judge looks at every failure since the round before.
func (s *soak) judge(k strike, outages map[string][]faults.Outage, ended time.Time, served time.Duration) {
	s.summary.strike(k, served)
	if served > s.recovery {
		s.summary.violation("%s: all clients were served %v after it, and not within %v", k, served.Round(time.Millisecond), s.recovery)
	}
	for _, v := range s.services {
		for _, f := range v.witness.Take() {
			fmt.Fprintf(s.written, "%s: %v\n%+v\n%#v\n", v.name, f.Err, f.Err, f.Err)
			excused := false
			for _, o := range outages[v.name] {
				excused = excused || o.Excuses(f)
			}
			late := f.Ended.Sub(ended)
			s.summary.failed(v.name, excused)
			switch {
			case !excused:
				s.summary.violation("%s: a statement of %s failed, %v after the end: %v", k, v.name, late.Round(time.Millisecond), f)
			case late > s.recovery:
				s.summary.violation("%s: a statement of %s failed late, %v after the end: %v", k, v.name, late.Round(time.Millisecond), f)
			}
		}
	}
}

func (s *soak) generations() map[string]uint64 {
	all := make(map[string]uint64)
	for _, v := range s.services {
		all[v.name] = v.pool.Health().Generation
	}
	return all
}

func (s *soak) service(name string) *service {
	for _, v := range s.services {
		if v.name == name {
			return v
		}
	}
	panic("no service " + name)
}

// eventually waits for a condition.
func (s *soak) eventually(ctx context.Context, what string, condition func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("%w while waiting until %s; %s", ctx.Err(), what, s.health())
		}
	}
	return nil
}

// end closes everything, once, and looks at what is left.
func (s *soak) end() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	note := func(what string, err error) {
		if err != nil {
			s.summary.violation("%s: %v", what, err)
		}
	}
	if s.rotator != nil {
		note("the rotator's end", s.rotator.stop(ctx))
	}
	if s.own != nil {
		note("the end of the rotator in this process", s.own.close())
	}
	for _, v := range s.services {
		v.rest()
	}
	s.summary.sumUp(s)
	for _, v := range s.services {
		note("the end of "+v.name, v.close(ctx))
	}
	if !s.begun.IsZero() {
		note("what is left", s.left(ctx))
		s.growth()
	}
	if s.session != nil {
		note("the end of the session", s.session.Shutdown(ctx))
	}
	s.closeIdle()
	if s.toVault.Proxy != nil {
		s.toVault.Stop()
	}
	note("the end of metrics", s.telemetry.close(ctx))
	if s.lab != nil {
		note("the end of PostgreSQL and Vault", s.lab.Close())
	}
	if s.mariadb != nil {
		note("the end of MariaDB", s.mariadb.Close())
	}
	note("files", os.RemoveAll(s.dir))
	note("goroutines are left", goleak.Find(s.before))
	if s.written != nil {
		secrets, written, found, err := s.written.close()
		note("output", err)
		s.summary.Secrets, s.summary.Written = secrets, written
		for _, line := range found {
			s.summary.violation("a secret is in the output, behind %q", line)
		}
	}
}

// closeIdle closes connections to Vault that nobody uses.
func (s *soak) closeIdle() {
	for _, c := range s.vaultClients {
		c.CloneConfig().HttpClient.CloseIdleConnections()
	}
}

// verdict is what must not have happened.
func (s *soak) verdict() error { return errors.Join(s.summary.errs...) }
