// Fleet keeps a thousand leases fresh in one process, from one Vault, and shows
// that they do not come to Vault together, though all of them start together.
//
//	go -C examples/vault run ./fleet -plot ../../docs/fleet.svg
//
// Each refresher has a user of the database for itself. It exits with 1 if any
// lease expired, or if, three TTLs after the start, there was a second with more
// than twice as many fetches as there are on average.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

type flags struct {
	refreshers int
	ttl        time.Duration
	length     time.Duration
	json       bool
	plot       string
}

func main() {
	var f flags
	flag.IntVar(&f.refreshers, "refreshers", 1000, "how many refreshers, each with a lease of its own")
	flag.DurationVar(&f.ttl, "ttl", time.Minute, "of the leases, in whole seconds")
	flag.DurationVar(&f.length, "for", 5*time.Minute, "how long; more than three TTLs")
	flag.BoolVar(&f.json, "json", false, "end with one line of JSON")
	flag.StringVar(&f.plot, "plot", "", "draw fetches over time into this SVG `file`")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	r, err := run(ctx, f)
	if err == nil {
		r.print(f)
		err = r.check()
	}
	if err == nil && f.plot != "" {
		err = os.WriteFile(f.plot, r.svg(f), 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "fleet:", err)
		os.Exit(1)
	}
}

func (r result) print(f flags) {
	fmt.Printf("%d refreshers, TTL %v: %d fetches in %v, %d failed; %d renewals, %d leases expired; %d to %d users in the database\n",
		f.refreshers, f.ttl, r.Fetches, f.length, r.Failed, r.Renewals, r.Expired, r.UsersMin, r.UsersMax)
	fmt.Printf("started in %.1f s; from %.0f s on %.1f fetches per second on average, at most %d, which is %.2f times as many; settled after %.0f s\n",
		r.Start, 3*f.ttl.Seconds(), r.Mean, r.Peak, r.Ratio, r.Settled)
	if f.json {
		_ = json.NewEncoder(os.Stdout).Encode(r) // standard output that is closed has no reader to miss it
	}
}
