// Soak has everything go wrong that can, for as long as it is told to, on real
// servers:
//
//	go -C internal/soak run . -for 10m
//
// Three services run statements all the time, each through another driver and
// with another way to its credential:
//
//	vault    pgxpool               users that Vault makes for some seconds each
//	file     lib/pq                a file that a rotator writes, a process of its own
//	mariadb  go-sql-driver/mysql   a secret in Vault that a rotator in this process writes
//
// Meanwhile servers are stopped and crash, Vault is sealed or slow, the network
// is cut and slowed, leases are revoked behind the service's back, the file is
// broken and the rotator killed, one at a time or two at once. What comes when
// follows from -seed.
//
// It exits with 1 if a statement failed of anything but a session or a login that
// an outage of its database broke, if not every client was served again within
// 2 s, if anything has grown, or if a secret is in what was written.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/signal"
	"time"
)

type flags struct {
	length   time.Duration
	seed     uint64
	longest  time.Duration
	recovery time.Duration
	workers  int
	conns    int
	log      string
	json     bool
}

func main() {
	if asRotator() {
		return
	}
	f := flags{}
	flag.DurationVar(&f.length, "for", 2*time.Minute, "how long things go wrong")
	flag.Uint64Var(&f.seed, "seed", 0, "of the schedule; 0: draw one")
	flag.DurationVar(&f.longest, "longest", 3*time.Second, "how long a fault lasts at most; Vault's users live for 20s")
	flag.DurationVar(&f.recovery, "recovery", 2*time.Second, "how soon after an outage every client must be served")
	flag.IntVar(&f.workers, "workers", 8, "clients of each service")
	flag.IntVar(&f.conns, "conns", 4, "connections of each service")
	flag.StringVar(&f.log, "log", "", "keep all that was written in this `file`")
	flag.BoolVar(&f.json, "json", false, "end with one line of JSON")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, f, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "soak:", err)
		os.Exit(1)
	}
}

// run runs a soak and says what must not have happened.
func run(ctx context.Context, f flags, out io.Writer) error {
	if f.longest <= shortest || f.workers < 1 || f.conns < 1 {
		return fmt.Errorf("-longest must be more than %v, -workers and -conns must be positive", shortest)
	}
	if f.seed == 0 {
		f.seed = rand.Uint64()
	}
	s, err := start(ctx, f, out)
	if err != nil {
		return err
	}
	broken := s.run(ctx)
	s.end()
	s.summary.print(out, f.json)
	return errors.Join(broken, s.verdict())
}
