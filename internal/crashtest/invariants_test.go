package crashtest_test

import (
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate"
)

// check looks at store and database at a point where nobody is doing anything,
// whatever has happened before.
func (s *scene) check() rotate.State {
	t := s.t
	t.Helper()
	st := s.read()
	known := map[[2]string]string{}
	users := map[string]bool{}
	for name, v := range map[string]*rotate.Version{"previous": st.Previous, "pending": st.Pending, "current": &st.Current} {
		if v != nil {
			known[[2]string{v.Credential.Username, v.Credential.Password.Reveal()}] += name
			users[v.Credential.Username] = true
		}
	}
	left, err := s.look.Target.Left(t.Context(), st)
	require.NoError(t, err)
	for _, user := range left {
		users[user] = true
	}
	var live []string // what the accounts are called that log in
	for _, a := range s.users.accounts(t, s.drawn) {
		require.True(t, users[a.name] || s.strategy.Reuses, "role %s is nobody's", a.name)
		for _, password := range a.passwords {
			name, ok := known[[2]string{a.name, password}]
			require.True(t, ok, "the database accepts what the store does not know")
			require.Equal(t, s.rights, a.rights, "the rights of the %s user", name)
			live = append(live, name)
		}
	}
	require.LessOrEqual(t, len(live), 2, "live credentials: %q", live)
	if s.strategy.InPlace {
		require.NotEmpty(t, live, "nobody logs in")
	} else {
		require.Contains(t, live, "current")
	}
	return st
}

// checkReport looks at what a process has told of itself.
func (s *scene) checkReport(r report) {
	t := s.t
	t.Helper()
	require.NotContains(t, r.said, canary, "a password was said")
	require.NotContains(t, s.users.seen(t), canary, "a password was seen")
	if s.stored != nil {
		require.NotContains(t, s.stored(t), canary, "a password was logged by the store's server")
	}
	verified := map[string]bool{}
	drained := map[string]bool{}
	for _, n := range r.notes {
		require.NotContains(t, n.Error, canary)
		switch {
		case n.Step == rotate.StepVerify && n.Outcome == rotate.OutcomeOK:
			verified[n.Token] = true
		case n.Step == rotate.StepPromote:
			require.True(t, verified[n.Token], "promote without verify")
		case (n.Step == rotate.StepDrain || n.Step == rotate.StepClear) && n.Outcome == rotate.OutcomeOK:
			drained[n.User] = n.Left == 0 || n.Forced != ""
		case n.Step == rotate.StepDisable, n.Step == rotate.StepRemove, n.Step == rotate.StepSet && s.strategy.Reuses:
			require.True(t, drained[n.User], "%s of %s, who may have sessions", n.Step, n.User)
		}
	}
}

// checkDone looks when a rotation or a rollback has come to its end.
func (s *scene) checkDone() {
	t := s.t
	t.Helper()
	st := s.check()
	require.Nil(t, open(st))
	r, err := rotate.New(s.look)
	require.NoError(t, err)
	status, err := r.Status(t.Context())
	require.NoError(t, err)
	require.True(t, status.Current.Accepted)
	require.Empty(t, status.Mismatch)
}

// checkTidy looks when a rotation has come to its end and nobody is to be left.
func (s *scene) checkTidy() {
	t := s.t
	t.Helper()
	s.checkDone()
	left, err := s.look.Target.Left(t.Context(), s.read())
	require.NoError(t, err)
	require.Empty(t, left)
	if s.strategy.Leaves {
		all := s.users.accounts(t, s.drawn)
		require.Len(t, all, 1, "the current user should be alone")
		require.Len(t, all[0].passwords, 1)
	}
}
