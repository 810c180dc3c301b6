package job_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/examples/rotate-job/job"
	"github.com/rekey-go/rekey/rotate/postgres"
)

func TestUsage(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.secret("orders", "single user", "approve: true")
	for _, args := range [][]string{
		{},
		{"rotate"},
		{"run", "-password", "x"},
		{"run", "billing"},
		{"rollback"},
		{"rollback", "orders", "billing"},
		{"revoke", "orders", "-yes"},
		{"approve", "orders"},
		{"approve", "-by", "alice", "../orders"},
		{"approve", "-by", "alice", "no-such-rotation"},
		{"approve", "-by", "alice", "-deny", "a"},
		{"run", "-config", s.path("none.yaml")},
	} {
		exit, _, stderr := s.do(args...)
		require.Equal(t, job.Usage, exit, "%q", args)
		require.Contains(t, stderr, "rotate-job: wrong usage: ", "%q", args)
	}
	for _, name := range job.Commands() {
		exit, _, stderr := s.do(name, "-h")
		require.Equal(t, job.Done, exit)
		require.Contains(t, stderr, "usage: rotate-job "+name)
	}
}

// The configuration is refused as a whole, before anything is begun.
func TestConfigurationsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ from, to, says string }{
		"a key that nobody knows":    {"lifetime: 1h", "lifetime: 1h\n  pasword: x", "field pasword not found"},
		"a key of a store":           {"path: ", "pth: x, path: ", "field pth not found"},
		"an interval too short":      {"lifetime: 1h", "lifetime: 1h\n  interval: 50m\n  propagation: 5m", "the interval of 50m0s between rotations must be longer than the 1h0m0s that connections live and the 5m0s of propagation together (1h5m0s)"},
		"a cron too often":           {"lifetime: 1h", "lifetime: 1h\n  cron: '*/30 * * * *'", "the interval of 30m0s between rotations must be longer"},
		"no lifetime":                {"lifetime: 1h", "", "lifetime is missing"},
		"interval and cron":          {"lifetime: 1h", "lifetime: 1h\n  interval: 90d\n  cron: '@daily'", "one of them is enough"},
		"a strategy":                 {"strategy: single user", "strategy: blue", `strategy is "blue"; it should be single user, alternating users or parallel role`},
		"a store that is not there":  {"store: {file:", "store: {etcd:", `there is no store "etcd"; there are file, secretsmanager, vaultkv`},
		"a target that is not there": {"postgres:", "oracle:", `there is no target "oracle"`},
		"a password in the login":    {"login: postgres://", "login: postgres://app:hunter2@", "login has a user or a password; the store has those"},
		"an origin":                  {"admin: {file: ", "admin: {env: ADMIN, file: ", "admin needs env or file"},
		"a variable that is not set": {"store: {file: {path: ", "store: {file: {path: '${NO_SUCH_DIRECTORY}/orders', beside: ", "the environment has no NO_SUCH_DIRECTORY"},
		"approval without a place":   {"approvals: {directory: ", "approvals: {directory: ''} # ", "approvals needs a directory"},
		"a name":                     {"name: orders", "name: -orders", "it should be of letters, digits"},
		"a duration":                 {"lifetime: 1h", "lifetime: soon", `"soon" is not a duration such as 90d`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newScene(t)
			s.secret("orders", "single user", "approve: true")
			text := strings.Replace(s.yaml.String(), test.from, test.to, 1)
			require.NotEqual(t, s.yaml.String(), text)
			s.yaml.Reset()
			s.yaml.WriteString(text)
			exit, stdout, stderr := s.do("run", "-now")
			require.Equal(t, job.Usage, exit)
			require.Empty(t, stdout)
			require.Contains(t, stderr, test.says)
			require.NotContains(t, stderr, "hunter2")
			require.Equal(t, "first", s.current("orders").Password)
		})
	}
}

// Of several secrets each gets its turn.
func TestOneFailsAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, name := range []string{"one", "two", "three"} {
		s.secret(name, "single user")
	}
	require.NoError(t, os.Remove(s.path("two.json")))
	s.names = []string{"one", "three"}
	exit, stdout, _ := s.do("run")
	require.Equal(t, job.Failed, exit)
	require.Contains(t, stdout, "two: failed\n")
	require.Contains(t, stdout, "3 secrets: 2 rotated, 1 failed")
	require.NotEqual(t, "first", s.current("one").Password)
	require.NotEqual(t, "first", s.current("three").Password)
}

func TestMismatchIsLeftToPeople(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.secret("orders", "single user")
	s.secret("billing", "alternating users")
	s.db.SetPassword(s.db.Role("orders"), "by hand")
	exit, stdout, _ := s.do("run")
	require.Equal(t, job.Mismatch, exit)
	require.Contains(t, stdout, "orders: mismatch\n")
	require.Contains(t, stdout, "billing: rotated")
	require.Equal(t, "first", s.current("orders").Password)
	exit, stdout, _ = s.do("status", "orders")
	require.Equal(t, job.Mismatch, exit)
	require.Contains(t, stdout, "MISMATCH")
	require.Contains(t, s.must("run", "-now", "orders"), "orders: rotated")
	require.NotContains(t, s.must("status"), "MISMATCH")
}

func TestAnotherProcessRotates(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.secret("orders", "single user")
	unlock, err := postgres.Lock(s.config(), "orders")(t.Context())
	require.NoError(t, err)
	exit, stdout, _ := s.do("run")
	require.Equal(t, job.Running, exit)
	require.Contains(t, stdout, "orders: running")
	unlock()
	require.Eventually(t, func() bool { exit, _, _ := s.do("run"); return exit == job.Done }, 10*time.Second, 10*time.Millisecond)
}

// Somebody still uses the user that is to be retired: the next run waits again,
// and nothing new is begun.
func TestUndrained(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.secret("orders", "parallel role", "drain: 5s")
	held := s.login("orders")
	exit, stdout, _ := s.do("run")
	require.Equal(t, job.Undrained, exit)
	require.Contains(t, stdout, "orders: undrained")
	promoted := s.current("orders")
	require.NotEqual(t, s.db.Role("orders"), promoted.Username)
	exit, _, _ = s.do("run")
	require.Equal(t, job.Undrained, exit)
	_, stdout, _ = s.do("status")
	require.Contains(t, stdout, s.db.Role("orders")+": not retired yet")
	require.NoError(t, held.Close(t.Context()))
	require.Contains(t, s.must("run"), "orders: finished, retired "+s.db.Role("orders"))
	require.Equal(t, promoted, s.current("orders"))
}

func TestUnfit(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.secret("orders", "parallel role")
	text := strings.Replace(s.yaml.String(), "select id from orders", "select id from invoices", 1)
	s.yaml.Reset()
	s.yaml.WriteString(text)
	exit, stdout, _ := s.do("run")
	require.Equal(t, job.Unfit, exit)
	require.Contains(t, stdout, "orders: unfit")
	require.Empty(t, s.pending("orders"))
	require.Equal(t, "first", s.current("orders").Password)
}

// A plan needs no more than to read: here the rotator may not change anything,
// and the directory of the file may not be written.
func TestPlanWritesNothing(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, strategy := range strategies {
		s.secret(strings.ReplaceAll(strategy, " ", "-"), strategy)
	}
	reader := s.db.Role("reader")
	s.db.CreateUser(reader, "reader's")
	s.exec("grant pg_read_all_stats to %s; alter role %[1]s set default_transaction_read_only to on", reader)
	s.file("admin.json", credential{reader, "reader's"})
	before := s.files()
	var all []struct {
		Secret string
		Steps  []string
	}
	require.NoError(t, json.Unmarshal([]byte(s.must("plan", "-json")), &all))
	require.Len(t, all, 3)
	for _, p := range all {
		require.Contains(t, p.Steps, "promote")
	}
	s.must("status")
	s.must("history")
	delete(before, "rotate-job.yaml")
	after := s.files()
	delete(after, "rotate-job.yaml")
	require.Equal(t, before, after)
	exit, _, _ := s.do("run")
	require.Equal(t, job.Failed, exit, "so a run does")
}

// files are all of the scene, with what is in them.
func (s *scene) files() map[string]string {
	s.t.Helper()
	all := make(map[string]string)
	entries, err := os.ReadDir(s.dir)
	require.NoError(s.t, err)
	for _, e := range entries {
		all[e.Name()] = s.read(e.Name())
	}
	return all
}

// config reaches the database as the rotator.
func (s *scene) config() *postgres.Config {
	s.t.Helper()
	login, err := pgx.ParseConfig(s.db.DSN)
	require.NoError(s.t, err)
	return &postgres.Config{Login: login, Admin: connect(login, credential{s.db.Role("rotator"), "rotator's"})}
}

// The store has not learned of a rollback: the next run finishes it.
func TestRunFinishesABrokenRollback(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	s.secret("orders", "single user")
	s.must("run")
	files, err := filepath.Glob(s.path("*orders.json*"))
	require.NoError(t, err)
	kept := make(map[string][]byte)
	for _, f := range files {
		kept[f], err = os.ReadFile(f)
		require.NoError(t, err)
	}
	s.must("rollback", "orders", "-yes", "-reason", "a test")
	back := s.current("orders")
	for f, text := range kept {
		require.NoError(t, os.WriteFile(f, text, 0o600))
	}
	require.NotEqual(t, back, s.current("orders"))
	exit, _, _ := s.do("status")
	require.Equal(t, job.Mismatch, exit)
	require.Contains(t, s.must("run"), "not due")
	require.Equal(t, back, s.current("orders"))
	s.must("status")
}
