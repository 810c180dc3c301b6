package main

import (
	"context"
	"fmt"
	"io"
	"sync/atomic"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/internal/storm/table"
)

func newTable(out io.Writer, server *pgserver.Server, r *rotation, s *service, l *logins, clients *load.Load) *table.Table {
	login := func(ctx context.Context) error {
		conn, err := server.Admin(ctx)
		if err != nil {
			return err
		}
		return conn.Close(ctx)
	}
	return table.New(out, s.db.Health, clients, login,
		table.Column{Name: "rotation", Value: func() any { return r.finished() }},
		table.Column{Name: "user", Value: func() any { return s.db.Health().Username }},
		table.Column{Name: "logins", Value: func() any { return l.counts().Logins }})
}

// A summary is the last line of -json: that of the quickstart, the new logins
// and the requests.
type summary struct {
	table.Summary
	loginCounts
	Values int64 `json:"get_secret_value"` // requests of the service
	Looks  int64 `json:"describe_secret"`
}

func (s summary) print(out io.Writer, f flags, failures error) {
	s.Print(out, fmt.Sprintf("%d rotations, each with %v between the database and AWSCURRENT", s.Rotations, f.gap))
	fmt.Fprintf(out, "%d logins beside them, %d failed; one waited for %.0f ms; the last to succeed did so %.0f ms after AWSCURRENT had moved\n",
		s.Logins, s.LoginsFailed, s.LoginMax, s.Recovered)
	fmt.Fprintf(out, "the service sent %d GetSecretValue and %d DescribeSecret\n", s.Values, s.Looks)
	if failures != nil {
		fmt.Fprintln(out, "failures:", failures)
	}
	if f.json {
		table.PrintJSON(out, s)
	}
}

// counted is a client that counts.
type counted struct {
	*secretsmanager.Client
	values, looks atomic.Int64
}

func (c *counted) GetSecretValue(ctx context.Context, in *secretsmanager.GetSecretValueInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.GetSecretValueOutput, error) {
	c.values.Add(1)
	return c.Client.GetSecretValue(ctx, in, opts...)
}

func (c *counted) DescribeSecret(ctx context.Context, in *secretsmanager.DescribeSecretInput, opts ...func(*secretsmanager.Options)) (*secretsmanager.DescribeSecretOutput, error) {
	c.looks.Add(1)
	return c.Client.DescribeSecret(ctx, in, opts...)
}

func milliseconds(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
