package postgres_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/internal/smserver/smtest"
	"github.com/rekey-go/rekey/internal/storm/load"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/verify"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/postgres"
	store "github.com/rekey-go/rekey/rotate/secretsmanager"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/secretsmanager"
)

// A bench is a secret in Secrets Manager's emulator and its user on a real
// server.
type bench struct {
	t      testing.TB
	db     *pgtest.DB
	aws    *smtest.Server
	client *sdk.Client
	user   string
	config *rotate.Config
	events []rotate.Event
	n      int
}

func newBench(t testing.TB) *bench {
	t.Helper()
	b := &bench{t: t, db: pgtest.Database(t), aws: smtest.New(t)}
	b.client = b.aws.Client(t)
	b.user = b.db.Role("app")
	b.db.CreateUser(b.user, "first")
	_, err := b.client.CreateSecret(t.Context(), &sdk.CreateSecretInput{
		Name: aws.String("orders"), SecretString: aws.String(fmt.Sprintf(`{"username":%q,"password":"first","host":"db"}`, b.user)),
	})
	require.NoError(t, err)
	login, err := pgx.ParseConfig(b.db.DSN)
	require.NoError(t, err)
	login.TLSConfig = nil // hundreds of logins
	target, err := postgres.SingleUser(&postgres.Config{
		Admin:  func(context.Context) (*pgx.Conn, error) { return b.db.Admin(), nil },
		Login:  login,
		Verify: verify.Privileges(verify.On("orders", "select")),
	})
	require.NoError(t, err)
	b.config = &rotate.Config{
		Store: store.New(b.client, "orders", nil), Target: postgres.Cheap(target),
		Generate: func() (source.Secret, error) { b.n++; return source.NewSecret(fmt.Sprintf("generated-%d", b.n)), nil },
		Audit:    func(e rotate.Event) { b.events = append(b.events, e) },
	}
	return b
}

func (b *bench) rotator() *rotate.Rotator {
	b.t.Helper()
	r, err := rotate.New(b.config)
	require.NoError(b.t, err)
	return r
}

func (b *bench) status() rotate.Status {
	b.t.Helper()
	s, err := b.rotator().Status(b.t.Context())
	require.NoError(b.t, err)
	return s
}

// steps are those that have ended well.
func (b *bench) steps() (steps []rotate.Step) {
	for _, e := range b.events {
		if e.Outcome == rotate.OutcomeOK {
			steps = append(steps, e.Step)
		}
	}
	b.events = nil
	return steps
}

func (b *bench) comment() string {
	admin := b.db.Admin()
	defer admin.Close(b.t.Context())
	var text *string
	require.NoError(b.t, admin.QueryRow(b.t.Context(), "select shobj_description(oid, 'pg_authid') from pg_roles where rolname = $1", b.user).Scan(&text))
	return *text
}

func TestSingleUser(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	admin := b.db.Admin()
	_, err := admin.Exec(t.Context(), "comment on role "+pgserver.QuoteIdent(b.user)+" is 'the shop [see wiki]'")
	require.NoError(t, err)
	require.NoError(t, admin.Close(t.Context()))

	plan, err := b.rotator().Plan(t.Context())
	require.NoError(t, err)
	require.Equal(t, []rotate.Step{rotate.StepCreate, rotate.StepApprove, rotate.StepSet, rotate.StepVerify, rotate.StepPromote}, plan.Steps)
	require.True(t, plan.Current.Accepted)
	require.Nil(t, plan.Pending, "a plan writes nothing")

	result, err := b.rotator().Rotate(t.Context())
	require.NoError(t, err)
	require.False(t, result.Resumed)
	require.Equal(t, []rotate.Step{rotate.StepCreate, rotate.StepSet, rotate.StepVerify, rotate.StepPromote}, b.steps())
	s := b.status()
	require.Equal(t, result.Rotation, s.Current.Token)
	require.True(t, s.Current.Accepted)
	require.Empty(t, s.Mismatch)
	require.Contains(t, b.comment(), "the shop [see wiki] [rekey "+result.Rotation+" ")

	back, err := b.rotator().Rollback(t.Context())
	require.NoError(t, err)
	require.Equal(t, result.From, back.To)
	s = b.status()
	require.Equal(t, result.From, s.Current.Token)
	require.True(t, s.Current.Accepted, "the first password, again")
	_, err = b.rotator().Rotate(t.Context())
	require.NoError(t, err)
	require.Equal(t, 1, countMarks(b.comment()))
}

func countMarks(comment string) (n int) {
	for i := range comment {
		if len(comment)-i >= 7 && comment[i:i+7] == "[rekey " {
			n++
		}
	}
	return n
}

func TestApprovalComesBeforeSet(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.config.Approve = func(_ context.Context, r rotate.Request) (string, error) {
		require.Equal(t, rotate.StepSet, r.Next)
		return "", errors.New("not on a Friday")
	}
	_, err := b.rotator().Rotate(t.Context())
	require.ErrorIs(t, err, rotate.ErrDenied)
	require.ErrorContains(t, err, "not on a Friday")
	s := b.status()
	require.True(t, s.Current.Accepted, "nothing has happened to it")
	require.False(t, s.Applied)
	require.Equal(t, rotate.StepApprove, s.Next)

	b.config.Approve = func(context.Context, rotate.Request) (string, error) { return "ada", nil }
	result, err := b.rotator().Rotate(t.Context())
	require.NoError(t, err)
	require.True(t, result.Resumed)
	require.Equal(t, "ada", result.Approver)
}

func TestWhatIsNotFitIsUndone(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	login, err := pgx.ParseConfig(b.db.DSN)
	require.NoError(t, err)
	b.config.Target, err = postgres.SingleUser(&postgres.Config{
		Admin: func(context.Context) (*pgx.Conn, error) { return b.db.Admin(), nil }, Login: login,
		Verify: verify.Statements("select rolpassword from pg_authid"),
	})
	require.NoError(t, err)
	_, err = b.rotator().Rotate(t.Context())
	require.ErrorIs(t, err, rotate.ErrUnfit)
	require.ErrorContains(t, err, "pg_authid")
	s := b.status()
	require.True(t, s.Current.Accepted)
	require.Nil(t, s.Pending)
	require.Equal(t, []rotate.Step{rotate.StepCreate, rotate.StepSet, rotate.StepUndo, rotate.StepDiscard}, b.steps())
}

// A run that ends anywhere is finished by the next, or undone.
func TestCrashBeforeAndAfterEachStep(t *testing.T) {
	t.Parallel()
	for _, step := range []rotate.Step{rotate.StepCreate, rotate.StepSet, rotate.StepVerify, rotate.StepPromote} {
		for _, outcome := range []rotate.Outcome{rotate.OutcomeBegun, rotate.OutcomeOK} {
			for _, undo := range []bool{false, true} {
				t.Run(fmt.Sprint(step, outcome, undo), func(t *testing.T) {
					b := newBench(t)
					first := b.status().Current.Token
					ctx, crash := context.WithCancel(t.Context())
					b.config.Audit = func(e rotate.Event) {
						if e.Step == step && e.Outcome == outcome {
							crash()
						}
					}
					_, _ = b.rotator().Rotate(ctx)
					b.config.Audit = nil
					next := b.rotator().Rotate
					if undo {
						next = b.rotator().Rollback
					}
					_, err := next(t.Context())
					if !errors.Is(err, rotate.ErrNothing) { // nothing had begun
						require.NoError(t, err)
					}
					s := b.status()
					require.True(t, s.Current.Accepted)
					require.Nil(t, s.Pending)
					require.Empty(t, s.Mismatch)
					if undo {
						require.Equal(t, first, s.Current.Token)
					} else {
						require.NotEqual(t, first, s.Current.Token)
					}
				})
			}
		}
	}
}

// A password that we would not make can be set again.
func TestAnyPasswordIsSetAgain(t *testing.T) {
	t.Parallel()
	h := newHouse(t, pgtest.Server(t), "")
	config, _ := h.config()
	target, err := postgres.SingleUser(config)
	require.NoError(t, err)
	h.first.Password = source.NewSecret("größe")
	h.do("alter role %s password 'größe'", h.first.Username)
	c := h.next(target, h.first, "second")
	require.NoError(t, target.Undo(t.Context(), c))
	accepted, err := target.Accepts(t.Context(), h.first)
	require.NoError(t, err)
	require.True(t, accepted)
	c.From.Password = source.Secret{}
	require.ErrorAs(t, target.Undo(t.Context(), c), new(*postgres.PasswordError))
}

func TestARehearsalOfASingleUserIsForced(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	first := b.status().Current.Token
	_, err := b.rotator().Rehearse(t.Context(), rotate.StepVerify, nil)
	require.ErrorContains(t, err, "force")
	_, err = b.rotator().Rehearse(t.Context(), rotate.StepPromote, &rotate.RehearseOptions{InPlace: true})
	require.NoError(t, err)
	s := b.status()
	require.Equal(t, first, s.Current.Token)
	require.True(t, s.Current.Accepted)
	require.Nil(t, s.Pending)
	_, err = b.rotator().Rehearse(t.Context(), rotate.StepCreate, &rotate.RehearseOptions{InPlace: true})
	require.Error(t, err)
}

func TestAnotherRotationIsFenced(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	_, err := b.rotator().Rotate(t.Context())
	require.NoError(t, err)
	stale := rotate.Change{
		Token: "stale", From: source.Credential{Username: b.user, Password: source.NewSecret("old"), Version: "long-ago"},
		To: source.Credential{Username: b.user, Password: source.NewSecret("stale")},
	}
	require.ErrorIs(t, b.config.Target.Set(t.Context(), stale), rotate.ErrConflict)
	require.ErrorIs(t, b.config.Target.Undo(t.Context(), stale), rotate.ErrConflict)
	require.True(t, b.status().Current.Accepted)
}

func TestTheAnswerOfPromoteIsLost(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.aws.Inject(smtest.Fault{Operation: "UpdateSecretVersionStage", Times: 3, LoseReply: true})
	result, err := b.rotator().Rotate(t.Context())
	for n := 0; err != nil && n < 5; n++ { // the labels of create are moved by the same operation
		result, err = b.rotator().Rotate(t.Context())
	}
	require.NoError(t, err)
	s := b.status()
	require.Equal(t, result.Rotation, s.Current.Token)
	require.True(t, s.Current.Accepted)
	require.Equal(t, 1, b.n, "one password was drawn in all")
}

func TestStormThroughRotationsOfASingleUser(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	quiet := slog.New(slog.DiscardHandler)
	p, err := pool.Open(t.Context(), b.db.DSN+"&pool_max_conns=4",
		secretsmanager.New(b.client, "orders", &secretsmanager.Options{Bridge: true}), &pool.Options{Refresh: &refresh.Options{Logger: quiet}, Logger: quiet})
	require.NoError(t, err)
	defer p.Close()
	l := load.Start(t.Context(), 4, func(ctx context.Context) error {
		var n int
		return p.QueryRow(ctx, "select count(*) from orders").Scan(&n)
	})
	for range 5 {
		r, err := b.rotator().Rotate(t.Context())
		require.NoError(t, err)
		p.Reset() // everybody logs in anew
		require.Eventually(t, func() bool { return p.Refresher().Current().Version == r.To }, 30*time.Second, 5*time.Millisecond)
	}
	report := l.Stop()
	require.NoError(t, report.Err)
	require.Zero(t, report.Failed)
}
