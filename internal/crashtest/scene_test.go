package crashtest_test

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate"
)

// A scene is a secret of its own, in a store and a database.
type scene struct {
	t        *testing.T
	job      job // without what it is to do
	users    users
	stored   func(*testing.T) string // what the store's server has said; nil: that is not at hand
	look     *rotate.Config          // to look with
	drawn    []string                // all passwords there have been
	rights   string                  // of the user that was there first
	runs     int
	strategy rotate.Strategy
}

func kindOf[K interface{ called() string }](name string, kinds []K) K {
	for _, k := range kinds {
		if k.called() == name {
			return k
		}
	}
	panic("there is no " + name)
}

func (k storeKind) called() string  { return k.name }
func (k targetKind) called() string { return k.name }

func newScene(t *testing.T, target targetKind, store storeKind) *scene {
	t.Helper()
	u := target.make(t)
	s := &scene{t: t, users: u, stored: store.seen, drawn: []string{u.first().Password.Reveal()}}
	s.job = job{Target: target.name, Store: store.name, Users: u.place(), Secret: store.make(t, u.first())}
	var err error
	s.look, err = s.job.config(nil)
	require.NoError(t, err)
	s.strategy = s.look.Target.Strategy()
	for _, a := range u.accounts(t, s.drawn) {
		if a.name == u.first().Username {
			s.rights = a.rights
		}
	}
	require.NotEmpty(t, s.rights)
	return s
}

// about names what a job is about.
func (s *scene) about(j job) job {
	s.runs++
	j.Target, j.Store, j.Users, j.Secret = s.job.Target, s.job.Store, s.job.Users, s.job.Secret
	j.Draw = fmt.Sprintf("%s%d-", s.drawn[0], s.runs)
	return j
}

// process has a process of its own do a job, and looks at what it has told.
func (s *scene) process(j job) report {
	s.t.Helper()
	return s.told(s.about(j).start(s.t).wait(s.t))
}

// here does a job in this process.
func (s *scene) here(j job) report {
	s.t.Helper()
	return s.told(s.about(j).here(s.t))
}

func (s *scene) told(r report) report {
	s.t.Helper()
	for _, n := range r.notes {
		if n.Drawn != "" {
			s.drawn = append(s.drawn, n.Drawn)
		}
	}
	s.checkReport(r)
	return r
}

func (s *scene) read() rotate.State {
	s.t.Helper()
	st, err := s.look.Store.Read(s.t.Context())
	require.NoError(s.t, err)
	return st
}

// open returns the version that is pending, if one is.
func open(st rotate.State) *rotate.Version {
	if st.Pending == nil || st.Pending.Token == st.Current.Token {
		return nil
	}
	return st.Pending
}
