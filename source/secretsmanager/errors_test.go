package secretsmanager_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/secretsmanager"
)

func TestErrorsOfTheService(t *testing.T) {
	for _, c := range []struct {
		code, message string
		kind          secretsmanager.Kind
		action        string
		permanent     bool
	}{
		{"AccessDeniedException", "not authorized to perform: secretsmanager:GetSecretValue", secretsmanager.Permission, "secretsmanager:GetSecretValue", true},
		{"AccessDeniedException", "Access to KMS is not allowed", secretsmanager.Permission, "kms:Decrypt", true},
		{"ResourceNotFoundException", "Secrets Manager can't find the specified secret.", secretsmanager.NotFound, "", true},
		{"InvalidRequestException", "it was marked for deletion", secretsmanager.Deleted, "", true},
		{"InvalidRequestException", "You can't access a secret from a different AWS account if you encrypt the secret with the default KMS service key.", secretsmanager.Undecryptable, "", true},
		{"InvalidRequestException", "You provided a VersionStage that is not associated to the provided VersionId.", secretsmanager.Refused, "", true},
		{"DecryptionFailure", "the key is disabled", secretsmanager.Undecryptable, "", true},
		{"InvalidParameterException", "invalid name", secretsmanager.Refused, "", true},
		{"ThrottlingException", "Rate exceeded", secretsmanager.Throttled, "", false},
		{"InternalServiceError", "on our side", secretsmanager.Unavailable, "", false},
		{"ExpiredTokenException", "the security token is expired", secretsmanager.Credentials, "", false},
		{"UnrecognizedClientException", "the security token is invalid", secretsmanager.Credentials, "", false},
		{"SomethingNew", "?", secretsmanager.Unavailable, "", false},
	} {
		t.Run(c.code, func(t *testing.T) {
			l := newLab(t)
			s := l.source(nil)
			get(t, s)
			l.breaks(fails(c.code, c.message))
			l.sent()
			_, err := s.Credential(source.BypassCache(t.Context()))
			var e *secretsmanager.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.kind, e.Kind)
			require.Equal(t, c.action, e.Action)
			require.Equal(t, c.permanent, source.IsPermanent(err))
			require.ErrorContains(t, err, name)
			require.ErrorContains(t, err, c.message)
			if c.action != "" {
				require.ErrorContains(t, err, "a policy must allow "+c.action)
			}
			require.Equal(t, []string{"GetSecretValue"}, l.sent(), "pauses belong to the refresher")
		})
	}
}

func TestTheCauseIsInTheError(t *testing.T) {
	l := newLab(t)
	_, err := secretsmanager.New(l, "other", nil).Credential(t.Context())
	var missing *types.ResourceNotFoundException
	require.ErrorAs(t, err, &missing)

	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err = l.source(nil).Credential(ctx)
	require.ErrorIs(t, err, context.Canceled)
}

func TestASecretWithoutAValue(t *testing.T) {
	l := newLab(t)
	_, err := l.CreateSecret(t.Context(), &sdk.CreateSecretInput{Name: aws.String("empty")})
	require.NoError(t, err)
	_, err = secretsmanager.New(l, "empty", nil).Credential(t.Context())
	var e *secretsmanager.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, secretsmanager.NotFound, e.Kind)
	require.Equal(t, "AWSCURRENT", e.Stage)
}

func TestASecretThatIsScheduledForDeletion(t *testing.T) {
	l := newLab(t)
	s := l.source(nil)
	first := get(t, s)
	_, err := l.DeleteSecret(t.Context(), &sdk.DeleteSecretInput{SecretId: aws.String(name)})
	require.NoError(t, err)
	for _, ctx := range []context.Context{t.Context(), source.BypassCache(t.Context())} {
		_, err = s.Credential(ctx)
		var e *secretsmanager.Error
		require.ErrorAs(t, err, &e)
		require.Equal(t, secretsmanager.Deleted, e.Kind)
		require.ErrorContains(t, err, "RestoreSecret")
	}
	_, err = l.RestoreSecret(t.Context(), &sdk.RestoreSecretInput{SecretId: aws.String(name)})
	require.NoError(t, err)
	require.True(t, get(t, s).Same(first))
}

// Whatever answers, the error shows nothing of the answer.
func TestF38NoAnswerIsShown(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"cut":            says(http.StatusOK, `{"ARN":"x","SecretString":"`+canary),
		"garbage":        says(http.StatusOK, canary),
		"wrong type":     says(http.StatusOK, `{"SecretString":["`+canary+`"]}`),
		"an error page":  says(http.StatusBadGateway, "<html>"+canary),
		"a bad error":    says(http.StatusBadRequest, `{"__type":`+canary),
		"nothing at all": says(http.StatusOK, ""),
		"no value":       says(http.StatusOK, `{"ARN":"x"}`),
		"broken off": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set(cut, "yes")
			_, _ = io.WriteString(w, `{"SecretString":"`+canary)
		},
	} {
		t.Run(name, func(t *testing.T) {
			l := newLab(t)
			s := l.source(nil)
			l.breaks(answer)
			_, err := s.Credential(t.Context())
			require.Error(t, err)
			for ; err != nil; err = errors.Unwrap(err) {
				require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), canary[:11])
			}
			l.breaks(nil)
			get(t, s)
		})
	}
}

func TestTheLastGoodOneServesWhileTheStoreIsInTrouble(t *testing.T) {
	for _, answer := range []http.HandlerFunc{
		fails("ThrottlingException", "Rate exceeded"),
		fails("AccessDeniedException", "Access to KMS is not allowed"),
		fails("ExpiredTokenException", "expired"),
		says(http.StatusOK, "garbage"),
	} {
		synctest.Test(t, func(t *testing.T) {
			l := newLab(t)
			r, err := refresh.New(t.Context(), l.source(nil), &refresh.Options{Logger: logger(t)})
			require.NoError(t, err)
			defer r.Close()
			l.breaks(answer)
			time.Sleep(10 * time.Minute) // of the simulated clock
			require.Equal(t, refresh.Degraded, r.Health().State)
			require.Equal(t, "first", r.Current().Password.Reveal())
			l.sent()
			time.Sleep(time.Hour)
			require.Less(t, len(l.sent()), 600, "pauses of up to 30 s, at random")
			l.breaks(nil)
			time.Sleep(time.Minute)
			require.Equal(t, refresh.Fresh, r.Health().State)
		})
	}
}

func TestSixtyFourKibibytes(t *testing.T) {
	l := newLab(t)
	value := login("app", "big")
	value = value[:len(value)-1] + `,"filler":"`
	value += strings.Repeat("x", 65536-len(value)-2) + `"}`
	require.Len(t, value, 65536)
	l.put(value)
	require.Equal(t, "big", get(t, l.source(nil)).Password.Reveal())
}

func TestF27EveryWaitEndsWithItsContext(t *testing.T) {
	l := newLab(t)
	s := l.source(&secretsmanager.Options{Bridge: true})
	get(t, s)
	waiting := make(chan struct{}, 8)
	l.breaks(func(_ http.ResponseWriter, r *http.Request) {
		waiting <- struct{}{}
		<-r.Context().Done()
	})
	for what, call := range map[string]func(context.Context) error{
		"a look":        func(ctx context.Context) error { _, err := s.Credential(ctx); return err },
		"a forced read": func(ctx context.Context) error { _, err := s.Credential(source.BypassCache(ctx)); return err },
		"candidates":    func(ctx context.Context) error { _, err := s.Candidates(ctx); return err },
		"rotation health": func(ctx context.Context) error {
			_, err := secretsmanager.RotationHealth(ctx, l, name, nil)
			return err
		},
		"a list": func(ctx context.Context) (last error) {
			for _, err := range secretsmanager.RotationHealths(ctx, l, "", nil) {
				last = err
			}
			return last
		},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- call(ctx) }()
		<-waiting
		cancel()
		cancelled := time.Now()
		require.ErrorIs(t, <-done, context.Canceled, what)
		require.Less(t, time.Since(cancelled), 50*time.Millisecond, what)
	}
}

// A value that is not understood says which version it is of.
func TestTheLabelIsInTheError(t *testing.T) {
	l := newLab(t)
	l.put(`{"username":"app"}`, "AWSPENDING")
	s := l.source(&secretsmanager.Options{Bridge: true})
	_, err := s.Candidates(t.Context())
	require.ErrorContains(t, err, name+" AWSPENDING")
	l.put("Canary", "AWSPENDING")
	_, err = s.Candidates(t.Context())
	require.ErrorContains(t, err, name+" AWSPENDING")
}
