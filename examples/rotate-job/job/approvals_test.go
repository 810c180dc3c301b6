package job_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/examples/rotate-job/job"
)

// waiting runs until a rotation waits for approval, and returns its name.
func (s *scene) waiting(name string) string {
	s.t.Helper()
	exit, stdout, _ := s.do("run", name)
	require.Equal(s.t, job.NotApproved, exit)
	require.Contains(s.t, stdout, name+": waits for approval")
	rotation := s.pending(name)
	require.NotEmpty(s.t, rotation)
	require.Contains(s.t, stdout, "rotate-job approve "+rotation+" -by NAME")
	require.FileExists(s.t, s.path(rotation+".request.json"))
	return rotation
}

func TestApproval(t *testing.T) {
	t.Parallel()
	for _, strategy := range strategies {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.secret("orders", strategy, "approve: true", "consumers: [api, worker]")
			before := s.current("orders")
			rotation := s.waiting("orders")
			require.Equal(t, rotation, s.waiting("orders"), "no other follows it")
			require.Equal(t, before, s.current("orders"))
			require.Contains(t, s.read(rotation+".request.json"), `"worker"`)
			require.Contains(t, s.must("approve", rotation, "-by", "alice"), "is approved by alice")
			require.Contains(t, s.must("run"), "approved by alice")
			require.NotEqual(t, before, s.current("orders"))
			require.NoFileExists(t, s.path(rotation+".request.json"))
			require.NoFileExists(t, s.path(rotation+".decision.json"))
			history := s.must("history")
			require.Contains(t, history, "approved by alice")
			require.Contains(t, history, rotation)
		})
	}
}

// A forced rehearsal changes the password that is in use: somebody answers for that.
func TestForcedRehearsalHasAnApprover(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.secret("orders", "single user", "approve: true")
	before := s.current("orders")
	require.Contains(t, s.must("rehearse", "-by", "carol"), "orders: rehearsed")
	require.NotContains(t, s.read("audit.jsonl"), `"approver":"carol"`)
	require.Contains(t, s.must("rehearse", "-until", "promote", "-force", "-by", "carol"), "orders: rehearsed")
	require.Contains(t, s.read("audit.jsonl"), `"approver":"carol"`)
	require.Equal(t, before, s.current("orders"))
	require.Empty(t, s.pending("orders"))
}

func TestDenial(t *testing.T) {
	t.Parallel()
	for _, strategy := range strategies {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.secret("orders", strategy, "approve: true")
			before := s.current("orders")
			rotation := s.waiting("orders")
			s.must("approve", rotation, "-deny", "-by", "bob", "-reason", "a sale is on")
			exit, _, stderr := s.do("approve", rotation, "-by", "alice")
			require.Equal(t, job.Failed, exit)
			require.Contains(t, stderr, "bob has decided on that")
			exit, stdout, _ := s.do("run")
			require.Equal(t, job.NotApproved, exit)
			require.Contains(t, stdout, "orders: denied")
			require.Contains(t, stdout, "denied by bob: a sale is on")
			require.Contains(t, stdout, ", undone")
			require.Empty(t, s.pending("orders"))
			require.Equal(t, before, s.current("orders"))
			require.NoFileExists(t, s.path(rotation+".request.json"))
			require.Contains(t, s.must("history"), "denied by bob: a sale is on")
			require.NotEqual(t, rotation, s.waiting("orders"), "the next one asks anew")
		})
	}
}

// edit changes a file of an approval.
func (s *scene) edit(name, key string, value any) {
	s.t.Helper()
	all := make(map[string]any)
	require.NoError(s.t, json.Unmarshal([]byte(s.read(name)), &all))
	require.Contains(s.t, all, key)
	all[key] = value
	s.file(name, all)
}

func TestRequestsEnd(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.secret("orders", "parallel role", "approve: true")
	rotation := s.waiting("orders")
	s.edit(rotation+".request.json", "until", time.Now().Add(-time.Second))
	exit, _, stderr := s.do("approve", rotation, "-by", "alice")
	require.Equal(t, job.NotApproved, exit)
	require.Contains(t, stderr, "nobody has approved in time")
	exit, stdout, _ := s.do("run")
	require.Equal(t, job.NotApproved, exit)
	require.Contains(t, stdout, "orders: not approved in time")
	require.Empty(t, s.pending("orders"))
}

func TestApprovalsEnd(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.secret("orders", "parallel role", "approve: true")
	rotation := s.waiting("orders")
	s.must("approve", rotation, "-by", "alice", "-for", "1h")
	s.edit(rotation+".decision.json", "until", time.Now().Add(-time.Second))
	exit, stdout, _ := s.do("run")
	require.Equal(t, job.NotApproved, exit)
	require.Contains(t, stdout, "that of alice has ended")
	s.must("approve", rotation, "-by", "carol")
	require.Contains(t, s.must("run"), "approved by carol")
}

// An approval is for one rotation of one secret.
func TestApprovalsAreBound(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.secret("orders", "parallel role", "approve: true")
	s.secret("billing", "parallel role", "approve: true")
	orders, billing := s.waiting("orders"), s.waiting("billing")
	s.must("approve", orders, "-by", "alice")
	require.NoError(t, os.Rename(s.path(orders+".decision.json"), s.path(billing+".decision.json")))
	exit, stdout, _ := s.do("run", "billing")
	require.Equal(t, job.NotApproved, exit)
	require.Contains(t, stdout, "is not a decision on that rotation")
	s.edit(billing+".decision.json", "rotation", billing)
	exit, stdout, _ = s.do("run", "billing")
	require.Equal(t, job.NotApproved, exit)
	require.Contains(t, stdout, "is about secret orders")
}

func TestRollbackAsks(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.secret("orders", "single user", "approve: true")
	rotation := s.waiting("orders")
	s.stdin = "yes\n"
	exit, _, stderr := s.do("rollback", "orders")
	require.Equal(t, job.Failed, exit)
	require.Contains(t, stderr, "pending   "+rotation)
	require.Contains(t, stderr, "This undoes rotation "+rotation)
	require.Contains(t, stderr, "nothing was done")
	require.Equal(t, rotation, s.pending("orders"))
	s.stdin = "orders\n"
	require.Contains(t, s.must("rollback", "orders"), "orders: rolled back")
	require.Empty(t, s.pending("orders"))
	require.NoFileExists(t, s.path(rotation+".request.json"))
	exit, _, stderr = s.do("rollback", "orders")
	require.Equal(t, job.Failed, exit)
	require.Contains(t, stderr, "Type orders to go on")
}

// After a leak the credential that was current does not log in any more, whoever
// has to be asked otherwise.
func TestRevoke(t *testing.T) {
	t.Parallel()
	for _, strategy := range strategies {
		t.Run(strategy, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.secret("orders", strategy, "approve: true")
			leaked := s.current("orders")
			held := s.login("orders")
			defer held.Close(t.Context())
			stdout := s.must("revoke", "orders", "-reason", "it was in a ticket", "-by", "dora", "-yes")
			require.Contains(t, stdout, "orders: revoked")
			require.NotEqual(t, leaked, s.current("orders"))
			_, err := connect(held.Config(), leaked)(t.Context())
			require.Error(t, err)
			require.Contains(t, s.must("history"), "it was in a ticket")
			require.True(t, strings.Contains(s.read("audit.jsonl"), `"actor":"dora"`))
		})
	}
}
