package lambda_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate/lambda/internal/function"
)

type event = events.SecretsManagerSecretRotationEvent

// Each step is called twice, and the steps before it once more.
func TestRepeatedSteps(t *testing.T) {
	each(t, func(s *scene) {
		_, l := s.current()
		call := s.invoke
		var before []event
		s.invoke = func(ctx context.Context, e event) error {
			before = append(before, e)
			for _, e := range append(before, e) {
				if err := call(ctx, e); err != nil {
					return fmt.Errorf("%s again: %w", e.Step, err)
				}
			}
			return nil
		}
		require.NoError(s, s.rotate(token(1)))
		l = s.done(token(1), l)
		before = nil
		require.NoError(s, s.rotate(token(2)))
		s.done(token(2), l)
	})
}

// What a step should have done is done by a later one, if the value is there.
func TestLostSteps(t *testing.T) {
	each(t, func(s *scene) {
		_, l := s.current()
		call := s.invoke
		for i, lost := range []string{"setSecret", "testSecret", "setSecret testSecret"} {
			s.invoke = func(ctx context.Context, e event) error {
				if strings.Contains(lost, e.Step) {
					return nil
				}
				return call(ctx, e)
			}
			require.NoError(s, s.rotate(token(i)), lost)
			l = s.done(token(i), l)
		}
		s.invoke = func(ctx context.Context, e event) error {
			if e.Step == "createSecret" {
				return nil
			}
			return call(ctx, e)
		}
		err := s.rotate(token(9))
		var failure *function.Failure
		require.ErrorAs(s, err, &failure)
		require.Equal(s, "StepError", failure.Type)
		require.Contains(s, failure.Message, "begin with create")
		s.invoke = call
		require.NoError(s, s.rotate(token(9)), "tried again")
		s.done(token(9), l)
	})
}

// Two execution environments get every event at the same time. One of them, or
// both, do the step, and who is refused is told why.
func TestTwoInvocationsAtOnce(t *testing.T) {
	each(t, func(s *scene) {
		_, l := s.current()
		both := []*function.Function{s.function, s.start()}
		s.invoke = func(ctx context.Context, e event) error {
			errs := make([]error, len(both))
			var group sync.WaitGroup
			for i, f := range both {
				group.Go(func() { errs[i] = f.Invoke(ctx, e, patience) })
			}
			group.Wait()
			for _, err := range errs {
				var failure *function.Failure
				if err != nil && (!errors.As(err, &failure) || !strings.Contains(failure.Message, "already running")) {
					return err
				}
			}
			if errs[0] != nil && errs[1] != nil {
				return errors.Join(errs...)
			}
			return nil
		}
		for i := range 3 {
			require.NoError(s, s.rotate(token(i)))
			l = s.done(token(i), l)
		}
	})
}

const crashes = 5 // every fifth request; odd, so that before and after take turns

// The function is killed at a request that it sends to Secrets Manager, before or
// after it is done, and Secrets Manager begins again. Each run takes every fifth
// request, from another one on.
func TestCrashFunctionKilled(t *testing.T) {
	each(t, func(s *scene) {
		_, l := s.current()
		s.gate.watch(nil)
		require.NoError(s, s.rotate(token(1_000)))
		l = s.done(token(1_000), l)
		all := s.gate.count()
		first, killed := 1+rand.N(crashes), 0
		for n := first; n <= all; n += crashes {
			id := token(n)
			s.gate.watch(func(at int) *stopAt {
				if at != n {
					return nil
				}
				return &stopAt{done: n%2 == 0, reached: s.function.Kill}
			})
			require.ErrorIs(s, s.rotate(id), function.ErrEnded, "request %d of %d", n, all)
			require.Positive(s, s.accepted(), "request %d of %d: neither AWSCURRENT nor AWSPENDING is accepted", n, all)
			if version, _ := s.current(); version != id { // else Secrets Manager is content
				s.again(id)
			}
			l = s.done(id, l)
			killed++
		}
		s.Logf("killed %d times, at requests %d, %d … of %d", killed, first, first+crashes, all)
		require.Positive(s, killed)
	})
}

// again rotates until the database has noticed that the process before is gone,
// and given its lock back.
func (s *scene) again(token string) {
	s.Helper()
	require.Eventually(s, func() bool {
		err := s.rotate(token)
		if err != nil && !strings.Contains(err.Error(), "already running") {
			s.Error(err)
			return true
		}
		return err == nil
	}, patience, time.Millisecond)
}

// accepted counts the versions with AWSCURRENT and AWSPENDING that log in.
func (s *scene) accepted() (n int) {
	s.Helper()
	for _, stage := range []string{"AWSCURRENT", "AWSPENDING"} {
		out, err := s.client.GetSecretValue(s.Context(), &sdk.GetSecretValueInput{SecretId: &s.secret, VersionStage: &stage})
		if err == nil && s.accepts(parse(s.T, *out.SecretString)) {
			n++
		}
	}
	return n
}
