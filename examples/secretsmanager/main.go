// The secretsmanager example runs a service whose database password is rotated
// through AWS Secrets Manager, and no statement fails: not while the database
// has the new password and AWSCURRENT still the old one, either.
//
//	go run ./examples/secretsmanager                     # one user, whose password changes
//	go run ./examples/secretsmanager -users alternating  # two users that take turns
//	go run ./examples/secretsmanager -bridge=false       # new logins wait for AWSCURRENT
//
// It starts a throwaway PostgreSQL and an emulator of Secrets Manager, and runs
// clients on a pool while the secret is rotated by the four steps of a rotation
// function: create, set, test, finish, with -gap between the database and
// AWSCURRENT. Beside the clients it logs in anew ten times a second. It exits
// with 1 if any statement or login failed.
//
// service.go is what an application needs, rotation.go what rotates.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/smserver"
	"github.com/rekey-go/rekey/internal/storm/load"
)

type flags struct {
	users     string
	bridge    bool
	rotations int
	gap       time.Duration
	pause     time.Duration
	workers   int
	conns     int
	json      bool
}

func main() {
	var f flags
	flag.StringVar(&f.users, "users", "single", "`single` or alternating")
	flag.BoolVar(&f.bridge, "bridge", true, "let AWSPENDING serve while the database rejects AWSCURRENT")
	flag.IntVar(&f.rotations, "rotations", 20, "how often the secret is rotated")
	flag.DurationVar(&f.gap, "gap", 5*time.Second, "time between the database and AWSCURRENT")
	flag.DurationVar(&f.pause, "pause", 2*time.Second, "time between two rotations")
	flag.IntVar(&f.workers, "workers", 32, "clients")
	flag.IntVar(&f.conns, "conns", 16, "connections of the pool")
	flag.BoolVar(&f.json, "json", false, "end with one line of JSON")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	s, err := run(ctx, os.Stdout, f)
	if err == nil && s.Failed+int64(s.LoginsFailed) > 0 {
		err = fmt.Errorf("%d statements and %d logins failed", s.Failed, s.LoginsFailed)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "secretsmanager:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer, f flags) (_ summary, err error) {
	users, ok := map[string][]string{"single": {"app"}, "alternating": {"app", "app_clone"}}[f.users]
	switch {
	case !ok:
		return summary{}, errors.New("-users is single or alternating")
	case f.rotations < 0 || f.gap < 0 || f.pause < 0 || f.workers < 1 || f.conns < 1:
		return summary{}, errors.New("-rotations, -gap and -pause must not be negative, and -workers and -conns must be positive")
	}
	server, err := pgserver.Start(ctx, &pgserver.Options{Own: true, Log: os.Stderr})
	if err != nil {
		return summary{}, err
	}
	defer func() { err = errors.Join(err, server.Close()) }()
	store := smserver.New()
	defer store.Close()
	emulator, err := smserver.Start(store)
	if err != nil {
		return summary{}, err
	}
	defer emulator.Close()

	credential, err := newRotation(ctx, server, client(emulator.URL), users, f.gap)
	if err != nil {
		return summary{}, err
	}
	requests := &counted{Client: client(emulator.URL)}
	service, err := start(ctx, requests, server.AppDSN(), f)
	if err != nil {
		return summary{}, err
	}
	defer service.stop()
	logins, err := watchLogins(ctx, service.refresher, server.AppDSN())
	if err != nil {
		return summary{}, err
	}
	defer logins.stop()
	clients := load.Start(ctx, f.workers, service.statement)
	defer clients.Stop()

	rotations := startRotations(ctx, credential, logins, f)
	progress := newTable(out, server, credential, service, logins, clients)
	for !rotations.ended() && progress.Watch(ctx, time.Now().Add(time.Second)) {
	}
	if err := rotations.wait(); err != nil {
		return summary{}, err
	}
	logins.stop()
	report := clients.Stop()
	s := summary{progress.Summary(report, credential.finished()), logins.counts(), requests.values.Load(), requests.looks.Load()}
	s.print(out, f, report.Err)
	return s, nil
}

// client is the SDK's, as a service would have it from config.LoadDefaultConfig.
func client(url string) *secretsmanager.Client {
	return secretsmanager.New(secretsmanager.Options{
		Region: "eu-central-1", BaseEndpoint: &url,
		Credentials: aws.NewCredentialsCache(credentials.NewStaticCredentialsProvider("AKIAEXAMPLE", "example", "")),
	})
}
