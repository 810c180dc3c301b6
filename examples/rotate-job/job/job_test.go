package job_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/examples/rotate-job/job"
	"github.com/rekey-go/rekey/internal/mysqlserver/mysqltest"
	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
)

func TestMain(m *testing.M) {
	os.Exit(vaulttest.Suite{Runner: mysqltest.Suite{Runner: pgtest.Suite{Runner: m}}}.Run())
}

// A scene is a configuration of secrets in files, whose users are on a real
// server, and whose rotator has no more rights than package rotate/postgres lists.
type scene struct {
	t     *testing.T
	db    *pgtest.DB
	dir   string
	admin string // the file with the rotator's own credential
	stdin string
	shown *shown
	names []string
	yaml  strings.Builder
}

func newScene(t *testing.T) *scene {
	t.Helper()
	db := pgtest.Database(t)
	s := &scene{t: t, db: db, dir: t.TempDir()}
	rotator := db.Role("rotator")
	db.CreateUser(rotator, "rotator's")
	s.exec("alter role %s createrole; grant %s to %[1]s with admin option; grant pg_read_all_stats to %[1]s", rotator, db.Group)
	s.admin = s.file("admin.json", credential{rotator, "rotator's"})
	fmt.Fprintf(&s.yaml, "audit: %s\napprovals: {directory: %s}\nsecrets:\n", s.path("audit.jsonl"), s.dir)
	return s
}

type credential struct {
	Username string `json:"username"`
	Password string `json:"password"`
}

func (s *scene) path(name string) string { return filepath.Join(s.dir, name) }

func (s *scene) file(name string, v any) string {
	s.t.Helper()
	text, err := json.Marshal(v)
	require.NoError(s.t, err)
	require.NoError(s.t, os.WriteFile(s.path(name), text, 0o600))
	return s.path(name)
}

// exec runs statements in which roles are filled in.
func (s *scene) exec(statement string, roles ...string) {
	s.t.Helper()
	quoted := make([]any, len(roles))
	for i, role := range roles {
		quoted[i] = pgserver.QuoteIdent(role)
	}
	require.NoError(s.t, s.db.Server.Exec(s.t.Context(), fmt.Sprintf(statement, quoted...)))
}

// secret adds one with this strategy, whose lines of the configuration beside store
// and target are given. Its users are NAME and, where two take turns, NAME_clone.
func (s *scene) secret(name, strategy string, lines ...string) {
	s.t.Helper()
	user, clone := s.db.Role(name), s.db.Role(name+"_clone")
	owner := s.db.Role(name + "_owner") // a group of its own: the users of a parallel role are all retired
	s.exec("create role %[1]s in role %[2]s; grant %[1]s to %[3]s with admin option", owner, s.db.Group, s.db.Role("rotator"))
	s.t.Cleanup(func() { s.dropMade(owner) })
	for _, u := range []string{user, clone} {
		s.db.CreateUser(u, "first")
		s.exec("grant %[1]s to %[2]s; alter role %[2]s set role to %[1]s; grant %[2]s to %[3]s with admin option", owner, u, s.db.Role("rotator"))
	}
	store := s.file(name+".json", credential{user, "first"})
	s.names = append(s.names, name)
	fmt.Fprintf(&s.yaml, `
- name: %s
  store: {file: {path: %s}}
  target:
    postgres:
      strategy: %s
      group: %s
      users: [%s, %s]
      login: %s
      admin: {file: %s}
      statements: [select id from orders]
  lifetime: 1h
  %s
`, name, store, strategy, owner, user, clone, s.db.DSN, s.admin, strings.Join(lines, "\n  "))
}

// dropMade drops the users that rotations have made: pgtest drops only its own.
func (s *scene) dropMade(owner string) {
	require.NoError(s.t, s.db.Server.Exec(context.Background(), fmt.Sprintf(`do $$ declare r regrole; begin
		for r in select member from pg_auth_members where roleid = to_regrole(%s)
			except select member from pg_auth_members where roleid = to_regrole(%s)
		loop execute 'drop role ' || r; end loop; end $$`,
		pgserver.QuoteLiteral(pgserver.QuoteIdent(owner)), pgserver.QuoteLiteral(pgserver.QuoteIdent(s.db.Group)))))
}

// do runs a command.
func (s *scene) do(args ...string) (exit int, stdout, stderr string) {
	s.t.Helper()
	return s.doIn(s.t.Context(), args...)
}

func (s *scene) doIn(ctx context.Context, args ...string) (exit int, stdout, stderr string) {
	s.t.Helper()
	config := s.path("rotate-job.yaml")
	require.NoError(s.t, os.WriteFile(config, []byte(s.yaml.String()), 0o600))
	if len(args) > 0 && !slices.Contains(args, "-config") {
		args = slices.Insert(slices.Clone(args), 1, "-config", config)
	}
	var out, errs bytes.Buffer
	j := &job.Job{Stdin: strings.NewReader(s.stdin), Stdout: &out, Stderr: &errs}
	exit = j.Run(ctx, args)
	s.t.Logf("$ rotate-job %s\n%s%s(exit code %d)", strings.Join(args, " "), &errs, &out, exit)
	for _, text := range []string{out.String(), errs.String(), s.read("audit.jsonl")} {
		for _, name := range s.names {
			require.NotContains(s.t, text, s.current(name).Password, "a secret is in the output")
		}
	}
	return exit, out.String(), errs.String()
}

// must runs a command that ends well.
func (s *scene) must(args ...string) string {
	s.t.Helper()
	exit, stdout, stderr := s.do(args...)
	require.Equal(s.t, job.Done, exit, "%s %s", stdout, stderr)
	return stdout
}

func (s *scene) read(name string) string {
	text, err := os.ReadFile(s.path(name))
	if os.IsNotExist(err) {
		return ""
	}
	require.NoError(s.t, err)
	return string(text)
}

// current is what applications read.
func (s *scene) current(name string) (c credential) {
	require.NoError(s.t, json.Unmarshal([]byte(s.read(name+".json")), &c))
	return c
}

// pending is the token of the rotation that is under way; empty: there is none.
func (s *scene) pending(name string) string {
	s.t.Helper()
	var all []struct{ Pending *struct{ Token string } }
	_, stdout, _ := s.do("status", "-json", name)
	require.NoError(s.t, json.Unmarshal([]byte(stdout), &all))
	require.Len(s.t, all, 1)
	if all[0].Pending == nil {
		return ""
	}
	return all[0].Pending.Token
}

var strategies = []string{"single user", "alternating users", "parallel role"}

func TestRunRotatesWhatIsDue(t *testing.T) {
	t.Parallel()
	s := newScene(t)
	for _, strategy := range strategies {
		s.secret(strings.ReplaceAll(strategy, " ", "-"), strategy)
	}
	before := map[string]credential{}
	for _, name := range s.names {
		before[name] = s.current(name)
	}
	plan := s.must("plan")
	require.Contains(t, plan, "due       now")
	require.Contains(t, plan, "a rotation would be: create → set → verify → promote → drain → disable → remove")
	require.Contains(t, s.must("rehearse"), "3 secrets: 3 rehearsed")
	for _, name := range s.names {
		require.Equal(t, before[name], s.current(name))
	}
	require.Contains(t, s.must("run"), "3 secrets: 3 rotated")
	for _, name := range s.names {
		require.NotEqual(t, before[name].Password, s.current(name).Password)
	}
	require.Contains(t, s.must("run"), "3 secrets: 3 not due")
	require.Contains(t, s.must("plan"), "next      nothing until then")
	require.Contains(t, s.must("status"), "logs in")
	history := s.must("history")
	require.Equal(t, 3, strings.Count(history, " current "))
	require.Equal(t, 3, strings.Count(history, " previous "))
	require.Equal(t, 3, strings.Count(history, " undone "), "the rehearsals")
	require.Contains(t, s.must("rollback", "single-user", "-yes", "-reason", "it was a test"), "rolled back")
	require.Equal(t, before["single-user"], s.current("single-user"))
	require.Contains(t, s.must("history", "single-user"), "rollback ok by ")
	require.Contains(t, s.must("run", "-now"), "3 secrets: 3 rotated")
	require.Contains(t, s.must("report"), "3 secrets, 0 to look at")
	s.db.SetPassword(s.current("single-user").Username, "by hand")
	exit, stdout, _ := s.do("report", "-since", "1d")
	require.Equal(t, job.Mismatch, exit)
	require.Contains(t, stdout, "3 secrets, 1 to look at")
	require.Contains(t, stdout, "! single-user: single user")
	require.Contains(t, stdout, "0 of ")
}

// login opens a session with the current credential.
func (s *scene) login(name string) *pgx.Conn {
	s.t.Helper()
	login, err := pgx.ParseConfig(s.db.DSN)
	require.NoError(s.t, err)
	conn, err := connect(login, s.current(name))(s.t.Context())
	require.NoError(s.t, err)
	return conn
}

func connect(to *pgx.ConnConfig, c credential) func(context.Context) (*pgx.Conn, error) {
	return func(ctx context.Context) (*pgx.Conn, error) {
		config := to.Copy()
		config.User, config.Password = c.Username, c.Password
		return pgx.ConnectConfig(ctx, config)
	}
}

// Where the configuration lies and who acts may be in the environment.
func TestEnvironment(t *testing.T) {
	s := newScene(t)
	s.secret("orders", "single user")
	s.do("status") // writes the configuration
	t.Setenv("ROTATE_JOB_CONFIG", s.path("rotate-job.yaml"))
	t.Setenv("ROTATE_JOB_ACTOR", "the night shift")
	var out bytes.Buffer
	j := &job.Job{Stdout: &out, Stderr: t.Output()}
	require.Equal(t, job.Done, j.Run(t.Context(), []string{"run"}))
	require.Contains(t, out.String(), "orders: rotated")
	require.Contains(t, s.must("history"), "by the night shift")
}
