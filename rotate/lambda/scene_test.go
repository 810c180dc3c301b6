package lambda_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/internal/smserver"
	"github.com/rekey-go/rekey/internal/smserver/smtest"
	"github.com/rekey-go/rekey/rotate/lambda/internal/function"
)

const (
	patience = 30 * time.Second
	region   = "us-east-1"
)

// A scene is a secret in Secrets Manager, its database on a real server, and the
// function that rotates it.
type scene struct {
	*testing.T
	db     *pgtest.DB
	sm     *smtest.Server
	client *sdk.Client
	gate   *gate
	url    string // of Secrets Manager as the function sees it

	secret, master string // ARNs; no master: empty
	function       *function.Function
	env            []string
	log            *journal

	// invoke is called for each step that Secrets Manager asks for.
	invoke func(ctx context.Context, e event) error
}

// A login is a secret as Amazon RDS writes it.
type login struct {
	Engine    string `json:"engine,omitempty"`
	Host      string `json:"host,omitempty"`
	Port      uint16 `json:"port,omitempty"`
	DBName    string `json:"dbname,omitempty"`
	Username  string `json:"username"`
	Password  string `json:"password"`
	MasterARN string `json:"masterarn,omitempty"`
}

// A strategy is how a scene rotates, and how many users it has afterwards.
type strategy struct {
	name   string
	master bool
	env    func(*pgtest.DB) []string
}

var strategies = []strategy{
	{"single user itself", false, func(*pgtest.DB) []string { return []string{"REKEY_STRATEGY=single"} }},
	{"single user", true, func(*pgtest.DB) []string { return []string{"REKEY_STRATEGY=single"} }},
	{"alternating users", true, func(*pgtest.DB) []string { return []string{"REKEY_STRATEGY=alternating"} }},
	{"parallel role", true, func(db *pgtest.DB) []string { return []string{"REKEY_STRATEGY=parallel", "REKEY_GROUP=" + db.Group} }},
}

// each runs a test for every strategy.
func each(t *testing.T, test func(*scene)) {
	for _, s := range strategies {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			test(newScene(t, s))
		})
	}
}

func newScene(t *testing.T, how strategy) *scene {
	t.Helper()
	s := &scene{T: t, db: pgtest.Database(t), sm: smtest.New(t), log: &journal{}}
	s.client = s.sm.Client(t)
	s.gate = &gate{next: s.sm.Faults, asked: make(map[string]map[string]bool)}
	server, err := smserver.Start(s.gate)
	require.NoError(t, err)
	t.Cleanup(server.Close)
	s.url = server.URL

	app, clone, rotator := s.db.Role("app"), s.db.Role("app")+"_clone", s.db.Role("rotator")
	for _, user := range []string{app, clone} {
		s.db.CreateUser(user, "nobody's")
		s.exec("alter role %s set role to %s", user, s.db.Group)
	}
	s.db.SetPassword(app, canary+"first")
	s.db.CreateUser(rotator, canary+"rotator's")
	s.exec("alter role %s createrole", rotator)
	s.exec("grant %s, %s, %s to %s with admin option", app, clone, s.db.Group, rotator)
	s.exec("grant pg_read_all_stats to %s", rotator)

	host, port := s.db.Server.Addr()
	l := login{Engine: "postgres", Host: host, Port: port, DBName: s.db.Name, Username: app, Password: canary + "first"}
	if how.master {
		s.master = s.create("master", login{Username: rotator, Password: canary + "rotator's"})
		l.MasterARN = s.master
	}
	s.secret = s.create("app", l)
	s.env = append(how.env(s.db),
		"REKEY_SECRETS="+s.secret, "REKEY_CA_FILE="+s.db.Server.CAFile(), "REKEY_DRAIN_TIMEOUT=20s",
		"AWS_ENDPOINT_URL_SECRETS_MANAGER="+s.url, "AWS_REGION="+region, "AWS_ACCESS_KEY_ID=AKIAEXAMPLE", "AWS_SECRET_ACCESS_KEY=example",
	)
	s.function = s.start()
	s.invoke = func(ctx context.Context, e event) error {
		return s.function.Invoke(ctx, e, patience)
	}
	s.sm.Store.OnRotate = func(ctx context.Context, step smserver.Step, id, token string) error {
		return s.invoke(ctx, event{Step: string(step), SecretID: id, ClientRequestToken: token})
	}
	t.Cleanup(func() {
		s.sm.Store.Close()
		s.noSecrets()
	})
	return s
}

// start starts an execution environment, with other variables too.
func (s *scene) start(env ...string) *function.Function {
	s.Helper()
	f, err := function.New(bootstrap, append(s.env, env...), s.log)
	require.NoError(s, err)
	s.Cleanup(f.Close)
	return f
}

func (s *scene) exec(format string, roles ...any) {
	s.Helper()
	for i, role := range roles {
		roles[i] = pgserver.QuoteIdent(role.(string))
	}
	require.NoError(s, s.db.Server.Exec(s.Context(), fmt.Sprintf(format, roles...)))
}

func (s *scene) create(name string, l login) (arn string) {
	s.Helper()
	text, err := json.Marshal(l)
	require.NoError(s, err)
	out, err := s.client.CreateSecret(s.Context(), &sdk.CreateSecretInput{Name: &name, SecretString: aws.String(string(text))})
	require.NoError(s, err)
	return *out.ARN
}

// rotate has Secrets Manager rotate the secret once.
func (s *scene) rotate(token string) error {
	s.Helper()
	_, err := s.client.RotateSecret(s.Context(), &sdk.RotateSecretInput{
		SecretId: &s.secret, ClientRequestToken: &token, RotationLambdaARN: aws.String("arn:aws:lambda:us-east-1:123456789012:function:rotate"),
	})
	require.NoError(s, err)
	return s.sm.Store.WaitRotations(s.Context())
}

// current is what AWSCURRENT holds.
func (s *scene) current() (version string, l login) {
	s.Helper()
	out, err := s.client.GetSecretValue(s.Context(), &sdk.GetSecretValueInput{SecretId: &s.secret, VersionStage: aws.String("AWSCURRENT")})
	require.NoError(s, err)
	return *out.VersionId, parse(s.T, *out.SecretString)
}

func parse(t *testing.T, text string) (l login) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(text), &l))
	return l
}

// accepts logs in as the application would.
func (s *scene) accepts(l login) bool {
	s.Helper()
	config, err := pgx.ParseConfig(s.db.DSN)
	require.NoError(s, err)
	config.User, config.Password = l.Username, l.Password
	conn, err := pgx.ConnectConfig(s.Context(), config)
	if err != nil {
		return false
	}
	defer conn.Close(s.Context())
	_, err = conn.Exec(s.Context(), "select from orders")
	require.NoError(s, err)
	return true
}

// done checks that a rotation has ended well.
func (s *scene) done(token string, before login) login {
	s.Helper()
	version, l := s.current()
	require.Equal(s, token, version)
	require.True(s, s.accepts(l))
	require.NotEqual(s, before.Password, l.Password)
	before.Username, before.Password = l.Username, l.Password
	require.Equal(s, before, l, "the other keys stay")
	out, err := s.client.DescribeSecret(s.Context(), &sdk.DescribeSecretInput{SecretId: &s.secret})
	require.NoError(s, err)
	for id, stages := range out.VersionIdsToStages {
		if id != token {
			require.NotContains(s, stages, "AWSPENDING")
		}
	}
	return l
}

// canary begins every password that the tests make.
const canary = "cAnArY-"

// noSecrets looks for passwords in what was logged, errors included.
func (s *scene) noSecrets() {
	s.Helper()
	text := s.log.String()
	require.NotContains(s, text, canary)
	require.NotContains(s, text, "SCRAM-SHA-256$")
	ids, err := s.client.ListSecretVersionIds(context.Background(), &sdk.ListSecretVersionIdsInput{SecretId: &s.secret, IncludeDeprecated: aws.Bool(true)})
	require.NoError(s, err)
	for _, v := range ids.Versions {
		out, err := s.client.GetSecretValue(context.Background(), &sdk.GetSecretValueInput{SecretId: &s.secret, VersionId: v.VersionId})
		if err != nil {
			continue // it has no value
		}
		require.NotContains(s, text, parse(s.T, *out.SecretString).Password)
	}
}

// token is the ID of a version.
func token(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// A journal is what processes log.
type journal struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (j *journal) Write(p []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.all.Write(p)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.all.String()
}
