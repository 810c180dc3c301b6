package faults_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/go-sql-driver/mysql"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/faults"
)

// What an outage excuses is narrow: other tests rely on it.
func TestExcuses(t *testing.T) {
	start := time.Now()
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	o := faults.Outage{Begun: at(10), Ended: at(20)}
	code := func(c string) error { return fmt.Errorf("statement: %w", &pgconn.PgError{Code: c}) }
	cases := []struct {
		name string
		f    faults.Failure
		want bool
	}{
		{"broken while it ran", faults.Failure{Begun: at(9), Ended: at(11), Err: io.EOF, Login: at(1), Sent: true, Closed: true}, true},
		{"told to go", faults.Failure{Begun: at(9), Ended: at(10), Err: code("57P01"), Login: at(1), Sent: true, Closed: true}, true},
		{"first use after the outage of a session from before", faults.Failure{Begun: at(25), Ended: at(26), Err: io.EOF, Login: at(1), Sent: true, Closed: true}, true},
		{"session from after the outage", faults.Failure{Begun: at(25), Ended: at(26), Err: io.EOF, Login: at(21), Sent: true, Closed: true}, false},
		{"session that is whole", faults.Failure{Begun: at(11), Ended: at(12), Err: errors.New("no rows"), Login: at(1), Sent: true}, false},
		{"over before the outage", faults.Failure{Begun: at(8), Ended: at(9), Err: io.EOF, Login: at(1), Sent: true, Closed: true}, false},
		{"lack of rights", faults.Failure{Begun: at(11), Ended: at(12), Err: code("42501"), Login: at(1), Sent: true, Closed: true}, false},
		{"login during the outage", faults.Failure{Begun: at(11), Ended: at(12), Err: io.EOF, Login: at(11)}, true},
		{"login of another caller, from the outage", faults.Failure{Begun: at(20), Ended: at(21), Err: io.EOF, Login: at(19)}, true},
		{"login after the outage", faults.Failure{Begun: at(19), Ended: at(22), Err: io.EOF, Login: at(21)}, false},
		{"login rejected", faults.Failure{Begun: at(11), Ended: at(12), Err: code("28P01"), Login: at(11)}, false},
		{"login rejected, its repetition broken", faults.Failure{Begun: at(9), Ended: at(12), Err: fmt.Errorf("%w; %w", code("28P01"), io.EOF), Login: at(9)}, true},
		{"no login at all, during the outage", faults.Failure{Begun: at(19), Ended: at(22), Err: io.EOF}, true},
		{"no login at all, after it", faults.Failure{Begun: at(21), Ended: at(22), Err: io.EOF}, false},
		{"session of which nothing is known", faults.Failure{Begun: at(11), Ended: at(12), Err: io.EOF, Sent: true, Closed: true}, false},
		{"MariaDB goes", faults.Failure{Begun: at(9), Ended: at(11), Err: &mysql.MySQLError{Number: 1053}, Login: at(1), Sent: true, Closed: true}, true},
		{"lack of rights on MariaDB", faults.Failure{Begun: at(9), Ended: at(11), Err: &mysql.MySQLError{Number: 1142}, Login: at(1), Sent: true, Closed: true}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, o.Excuses(c.f)) })
	}
}

// Where sessions are ended and nothing else, logins have no excuse.
func TestSessionsOnly(t *testing.T) {
	now := time.Now()
	o := faults.Outage{Begun: now.Add(-time.Second), Ended: now, Sessions: true}
	before := now.Add(-time.Minute)
	require.True(t, o.Excuses(faults.Failure{Begun: now, Ended: now, Err: io.EOF, Login: before, Sent: true, Closed: true}))
	require.False(t, o.Excuses(faults.Failure{Begun: before, Ended: now, Err: io.EOF, Login: before}))
	require.False(t, o.Excuses(faults.Failure{Begun: before, Ended: now, Err: io.EOF}))
}
