package faults_test

import (
	"errors"
	"fmt"
	"io"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"
)

// What an outage excuses is narrow: other tests rely on it.
func TestExcuses(t *testing.T) {
	start := time.Now()
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	o := outage{begun: at(10), ended: at(20)}
	code := func(c string) error { return fmt.Errorf("statement: %w", &pgconn.PgError{Code: c}) }
	cases := []struct {
		name string
		f    failure
		want bool
	}{
		{"broken while it ran", failure{begun: at(9), ended: at(11), err: io.EOF, login: at(1), sent: true, closed: true}, true},
		{"told to go", failure{begun: at(9), ended: at(10), err: code("57P01"), login: at(1), sent: true, closed: true}, true},
		{"first use after the outage of a session from before", failure{begun: at(25), ended: at(26), err: io.EOF, login: at(1), sent: true, closed: true}, true},
		{"session from after the outage", failure{begun: at(25), ended: at(26), err: io.EOF, login: at(21), sent: true, closed: true}, false},
		{"session that is whole", failure{begun: at(11), ended: at(12), err: errors.New("no rows"), login: at(1), sent: true}, false},
		{"over before the outage", failure{begun: at(8), ended: at(9), err: io.EOF, login: at(1), sent: true, closed: true}, false},
		{"lack of rights", failure{begun: at(11), ended: at(12), err: code("42501"), login: at(1), sent: true, closed: true}, false},
		{"login during the outage", failure{begun: at(11), ended: at(12), err: io.EOF, login: at(11)}, true},
		{"login of another caller, from the outage", failure{begun: at(20), ended: at(21), err: io.EOF, login: at(19)}, true},
		{"login after the outage", failure{begun: at(19), ended: at(22), err: io.EOF, login: at(21)}, false},
		{"login rejected", failure{begun: at(11), ended: at(12), err: code("28P01"), login: at(11)}, false},
		{"login rejected, its repetition broken", failure{begun: at(9), ended: at(12), err: fmt.Errorf("%w; %w", code("28P01"), io.EOF), login: at(9)}, true},
		{"no login at all, during the outage", failure{begun: at(19), ended: at(22), err: io.EOF}, true},
		{"no login at all, after it", failure{begun: at(21), ended: at(22), err: io.EOF}, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { require.Equal(t, c.want, o.excuses(c.f)) })
	}
}
