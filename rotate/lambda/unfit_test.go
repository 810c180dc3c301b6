package lambda_test

import (
	"context"
	"fmt"
	"net"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate/lambda/internal/function"
)

// The next user lacks rights: nothing changes, the reason is told, and the next
// rotation is a new one.
func TestUnfitCredentialIsUndone(t *testing.T) {
	t.Parallel()
	s := newScene(t, strategies[2])
	version, l := s.current()
	clone := l.Username + "_clone"
	s.exec("revoke %s from %s", s.db.Group, clone)
	s.exec("alter role %s reset role", clone)
	s.exec("grant connect on database %s to %s", s.db.Name, clone)
	err := s.rotate(token(1))
	var failure *function.Failure
	require.ErrorAs(t, err, &failure)
	require.Contains(t, failure.Message, "testSecret")
	require.Contains(t, failure.Message, "mend the cause and call RotateSecret")
	now, same := s.current()
	require.Equal(t, version, now)
	require.Equal(t, l, same)
	require.True(t, s.accepts(l))
	out, err := s.client.DescribeSecret(t.Context(), &sdk.DescribeSecretInput{SecretId: &s.secret})
	require.NoError(t, err)
	for _, stages := range out.VersionIdsToStages {
		require.NotContains(t, stages, "AWSPENDING")
	}

	s.exec("grant %s to %s", s.db.Group, clone)
	s.exec("alter role %s set role to %s", clone, s.db.Group)
	require.NoError(t, s.rotate(token(2)))
	s.done(token(2), l)
	s.exec("revoke connect on database %s from %s", s.db.Name, clone)
}

// A user that is to be set anew is still in use.
func TestUndrained(t *testing.T) {
	t.Parallel()
	s := newScene(t, strategies[2])
	_, l := s.current()
	s.function = s.start("REKEY_DRAIN_TIMEOUT=1s")
	s.db.SetPassword(l.Username+"_clone", canary+"in use")
	conn, err := pgx.Connect(t.Context(), fmt.Sprintf("%s&user=%s&password=%s", s.db.DSN, l.Username+"_clone", canary+"in%20use"))
	require.NoError(t, err)
	err = s.rotate(token(1))
	require.ErrorContains(t, err, "still in use by 1 sessions")
	require.ErrorContains(t, err, "see who uses that user")
	require.NoError(t, conn.Close(t.Context()))
	require.NoError(t, s.rotate(token(1)))
	s.done(token(1), l)
}

// Somebody has set another password by hand.
func TestMismatch(t *testing.T) {
	each(t, func(s *scene) {
		_, l := s.current()
		s.db.SetPassword(l.Username, canary+"by hand")
		err := s.rotate(token(1))
		if s.master != "" { // somebody else can set it again
			require.NoError(s, err)
			s.done(token(1), l)
			return
		}
		require.ErrorContains(s, err, "password authentication failed")
		require.ErrorContains(s, err, "see whether the secret")
		s.db.SetPassword(l.Username, l.Password)
		require.NoError(s, s.rotate(token(1)))
		s.done(token(1), l)
	})
}

// What the secret says does not fit, or the way to the database is not safe.
func TestWrongSecrets(t *testing.T) {
	t.Parallel()
	s := newScene(t, strategies[0])
	_, good := s.current()
	stranger := s.create("stranger", login{Username: s.db.Role("rotator"), Password: canary + "rotator's", Host: "elsewhere.example"})
	for name, tt := range map[string]struct {
		change func(*login)
		env    string
		want   string
	}{
		"engine":                   {func(l *login) { l.Engine = "mysql" }, "", `field "engine"`},
		"no engine":                {func(l *login) { l.Engine = "" }, "", `field "engine"`},
		"no host":                  {func(l *login) { l.Host = "" }, "", `field "host"`},
		"other host":               {func(l *login) { l.MasterARN = stranger }, "", `field "host" is another one`},
		"no such master":           {func(l *login) { l.MasterARN = s.secret + "x" }, "", "not found"},
		"no master":                {func(*login) {}, "REKEY_STRATEGY=alternating", `field "masterarn" is missing`},
		"injected host":            {func(l *login) { l.Host = "127.0.0.1 sslmode=disable" }, "", "127.0.0.1 sslmode=disable"},
		"unknown authority":        {func(*login) {}, "REKEY_CA_FILE=", "certificate"},
		"other host's certificate": {func(l *login) { l.Host = "0.0.0.0" }, "", "not 0.0.0.0"},
	} {
		l := good
		tt.change(&l)
		arn := s.create(fmt.Sprintf("wrong/%x", name), l)
		f := s.start("REKEY_SECRETS="+arn, tt.env)
		s.invoke = func(ctx context.Context, e event) error { return f.Invoke(ctx, e, patience) }
		s.secret = arn
		err := s.rotate(token(1))
		require.ErrorContains(t, err, tt.want, name)
	}
}

// The database takes connections and does not answer.
func TestConnectTimeout(t *testing.T) {
	t.Parallel()
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer silent.Close()
	s := newScene(t, strategies[0])
	_, l := s.current()
	l.Port = uint16(silent.Addr().(*net.TCPAddr).Port)
	s.secret = s.create("silent", l)
	s.function = s.start("REKEY_SECRETS="+s.secret, "REKEY_CONNECT_TIMEOUT=200ms")
	begun := time.Now()
	var failure *function.Failure
	require.ErrorAs(t, s.rotate(token(1)), &failure)
	require.Contains(t, failure.Message, "let it reach what does not answer")
	require.Less(t, time.Since(begun), patience/2, "not the end of the function's time")
}
