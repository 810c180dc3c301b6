package lambda_test

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/smserver/smtest"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/lambda"
	"github.com/rekey-go/rekey/rotate/lambda/internal/function"
)

func TestWrongEvents(t *testing.T) {
	t.Parallel()
	s := newScene(t, strategies[0])
	require.NoError(t, s.rotate(token(1)))
	_, l := s.current()
	other := s.create("other", login{Engine: "postgres", Username: "app", Password: canary + "other's"})
	requests := s.gate.count()
	for name, tt := range map[string]struct {
		event any
		want  []string
	}{
		"no event":           {map[string]any{}, []string{"EventError", "Step", "createSecret"}},
		"other step":         {event{Step: "dropSecret", SecretID: s.secret, ClientRequestToken: token(2)}, []string{"EventError", "Step", `"dropSecret"`}},
		"step's case":        {event{Step: "CreateSecret", SecretID: s.secret, ClientRequestToken: token(2)}, []string{"EventError", "Step"}},
		"no secret":          {event{Step: "createSecret", ClientRequestToken: token(2)}, []string{"EventError", "SecretId", "is missing"}},
		"other secret":       {event{Step: "createSecret", SecretID: other, ClientRequestToken: token(2)}, []string{"EventError", "SecretId", "not among the secrets"}},
		"name of the secret": {event{Step: "createSecret", SecretID: "app", ClientRequestToken: token(2)}, []string{"EventError", "SecretId", "ARN"}},
		"no token":           {event{Step: "createSecret", SecretID: s.secret}, []string{"EventError", "ClientRequestToken", "has 0 characters"}},
		"short token":        {event{Step: "createSecret", SecretID: s.secret, ClientRequestToken: "AWSCURRENT"}, []string{"EventError", "ClientRequestToken", "32 to 64"}},
		"no object":          {"createSecret", []string{"UnmarshalTypeError"}},
		"a number":           {map[string]any{"Step": 4}, []string{"UnmarshalTypeError"}},
	} {
		err := s.function.Invoke(t.Context(), tt.event, patience)
		var failure *function.Failure
		require.ErrorAs(t, err, &failure, name)
		for _, want := range tt.want {
			require.Contains(t, err.Error(), want, name)
		}
	}
	require.Equal(t, requests, s.gate.count(), "nobody was asked")

	for _, step := range []string{"createSecret", "setSecret", "testSecret", "finishSecret"} {
		require.NoError(t, s.function.Invoke(t.Context(), event{Step: step, SecretID: s.secret, ClientRequestToken: token(1)}, patience), "it is over")
		err := s.function.Invoke(t.Context(), event{Step: step, SecretID: s.secret, ClientRequestToken: token(2)}, patience)
		require.ErrorContains(t, err, "does not have AWSPENDING", step)
	}
	_, err := s.client.CancelRotateSecret(t.Context(), &sdk.CancelRotateSecretInput{SecretId: &s.secret})
	require.NoError(t, err)
	err = s.function.Invoke(t.Context(), event{Step: "createSecret", SecretID: s.secret, ClientRequestToken: token(2)}, patience)
	require.ErrorContains(t, err, "not rotated; turn its rotation on")
	require.Equal(t, l, s.done(token(1), login{Engine: l.Engine, Host: l.Host, Port: l.Port, DBName: l.DBName}))
}

// Whatever is in an event: it is refused before anybody is asked, unless it names
// the secret, and then it must name a version that is there.
func FuzzEvent(f *testing.F) {
	sm := smtest.New(f)
	const secret = "arn:aws:secretsmanager:us-east-1:123456789012:secret:app-AbCdEf"
	handle, err := lambda.Handler(&lambda.Config{
		Client: sm.Client(f), Secrets: []string{secret},
		Open: func(context.Context, lambda.Secret) (*rotate.Config, error) { return nil, errors.New("opened") },
	})
	require.NoError(f, err)
	for _, text := range []string{
		`{}`, `{"Step":"createSecret"}`, `{"Step":"createSecret","SecretId":"` + secret + `","ClientRequestToken":"` + token(1) + `"}`,
		`{"Step":"finishSecret","SecretId":"` + secret + `","ClientRequestToken":""}`, `{"Step":"","SecretId":"` + secret + `*","ClientRequestToken":"` + token(1) + `"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var e event
		if json.Unmarshal(text, &e) != nil {
			return // the runtime refuses it
		}
		before := sm.Count("")
		err := handle(t.Context(), e)
		require.Error(t, err)
		var refused *lambda.EventError
		if !errors.As(err, &refused) {
			var failed *lambda.StepError
			require.ErrorAs(t, err, &failed)
			require.Equal(t, secret, e.SecretID)
			require.True(t, strings.HasSuffix(e.Step, "Secret"))
			return
		}
		require.Equal(t, before, sm.Count(""))
	})
}

// A rotation that is set up for later is tried out: the secret stays as it is,
// and what is wrong is told at once.
func TestRotateLater(t *testing.T) {
	each(t, func(s *scene) {
		later := func(n int) error {
			no, arn, id := false, "arn:aws:lambda:us-east-1:123456789012:function:rotate", token(n)
			_, err := s.client.RotateSecret(s.Context(), &sdk.RotateSecretInput{SecretId: &s.secret, RotationLambdaARN: &arn, RotateImmediately: &no, ClientRequestToken: &id})
			require.NoError(s, err)
			return s.sm.Store.WaitRotations(s.Context())
		}
		version, l := s.current()
		require.NoError(s, later(1))
		after, same := s.current()
		require.Equal(s, version, after)
		require.Equal(s, l, same)
		require.True(s, s.accepts(l))

		s.db.SetPassword(l.Username, canary+"by hand")
		require.Error(s, later(2))
		s.db.SetPassword(l.Username, l.Password)
		if s.master != "" {
			s.db.SetPassword(s.db.Role("rotator"), canary+"by hand")
			require.ErrorContains(s, later(3), "the rotator's own user")
		}
	})
}

// An invocation ends before its time does, says so, and the next one goes on.
func TestDeadline(t *testing.T) {
	t.Parallel()
	s := newScene(t, strategies[1])
	_, l := s.current()
	s.invoke = func(ctx context.Context, e event) error { return s.function.Invoke(ctx, e, 10*time.Second) }
	hang := s.sm.Inject(smtest.Fault{Operation: "GetSecretValue", Hang: true})
	err := s.rotate(token(1))
	var failure *function.Failure
	require.ErrorAs(s, err, &failure, "it was not killed")
	require.Equal(s, "StepError", failure.Type)
	require.Contains(s, failure.Message, "the next call goes on from here")
	hang.Clear()
	require.NoError(s, s.rotate(token(1)))
	s.done(token(1), l)
}
