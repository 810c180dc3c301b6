package smtest_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/aws/retry"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/aws/aws-sdk-go-v2/service/secretsmanager/types"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/smserver/smtest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second

// created is a server with one secret.
func created(t *testing.T, options ...func(*secretsmanager.Options)) (*smtest.Server, *secretsmanager.Client, string) {
	s := smtest.New(t)
	client := s.Client(t, options...)
	out, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("app/db"), SecretString: aws.String("one")})
	require.NoError(t, err)
	return s, client, *out.ARN
}

func get(ctx context.Context, client *secretsmanager.Client, id string) (string, error) {
	out, err := client.GetSecretValue(ctx, &secretsmanager.GetSecretValueInput{SecretId: &id})
	if err != nil {
		return "", err
	}
	return *out.SecretString, nil
}

func put(t *testing.T, client *secretsmanager.Client, text string) {
	t.Helper()
	_, err := client.PutSecretValue(t.Context(), &secretsmanager.PutSecretValueInput{SecretId: aws.String("app/db"), SecretString: &text})
	require.NoError(t, err)
}

func TestErrorsAsTheSDKKnowsThem(t *testing.T) {
	s, client, _ := created(t)
	for name, status := range map[string]int{
		smtest.AccessDenied: 400, smtest.Decryption: 400, smtest.ExpiredToken: 400, smtest.Internal: 500, smtest.Throttling: 400,
	} {
		t.Run(name, func(t *testing.T) {
			fault := s.Inject(smtest.Fault{Error: name})
			defer fault.Clear()
			_, err := get(t.Context(), client, "app/db")
			var api smithy.APIError
			require.ErrorAs(t, err, &api)
			require.Equal(t, name, api.ErrorCode())
			require.NotEmpty(t, api.ErrorMessage())
			var res *smithyhttp.ResponseError
			require.ErrorAs(t, err, &res)
			require.Equal(t, status, res.HTTPStatusCode())
			require.Equal(t, 1, fault.Hits())
		})
	}
	defer s.Inject(smtest.Fault{Error: smtest.Decryption}).Clear()
	_, err := get(t.Context(), client, "app/db")
	var kms *types.DecryptionFailure
	require.ErrorAs(t, err, &kms)
}

func TestFaultIsForOneOperationAndSecret(t *testing.T) {
	s, client, arn := created(t)
	_, err := client.CreateSecret(t.Context(), &secretsmanager.CreateSecretInput{Name: aws.String("other"), SecretString: aws.String("two")})
	require.NoError(t, err)
	fault := s.Inject(smtest.Fault{Operation: "GetSecretValue", Secret: "app/db", Error: smtest.Internal})

	_, err = get(t.Context(), client, "other")
	require.NoError(t, err)
	_, err = client.DescribeSecret(t.Context(), &secretsmanager.DescribeSecretInput{SecretId: &arn})
	require.NoError(t, err)
	for _, id := range []string{"app/db", arn, arn[:len(arn)-7]} {
		_, err = get(t.Context(), client, id)
		require.Error(t, err, id)
	}
	require.Equal(t, 3, fault.Hits())
	fault.Clear()
	_, err = get(t.Context(), client, arn)
	require.NoError(t, err)
}

func TestFaultsEndAfterTheirTimes(t *testing.T) {
	s, client, _ := created(t, func(o *secretsmanager.Options) {
		o.Retryer = retry.NewStandard(func(o *retry.StandardOptions) {
			o.MaxAttempts = 3
			o.Backoff = retry.BackoffDelayerFunc(func(int, error) (time.Duration, error) { return 0, nil })
		})
	})
	s.Forget()
	first := s.Inject(smtest.Fault{Error: smtest.Throttling, Times: 1})
	second := s.Inject(smtest.Fault{Error: smtest.Internal, Times: 1})
	text, err := get(t.Context(), client, "app/db")
	require.NoError(t, err, "the SDK tries again")
	require.Equal(t, "one", text)
	require.Equal(t, []int{1, 1, 3}, []int{first.Hits(), second.Hits(), s.Count("GetSecretValue")})
}

func TestDelayAndHangEndWithTheClient(t *testing.T) {
	for name, fault := range map[string]smtest.Fault{"delay": {Delay: time.Hour}, "hang": {Hang: true}} {
		t.Run(name, func(t *testing.T) {
			s, client, _ := created(t)
			s.Inject(fault)
			ctx, cancel := context.WithCancel(t.Context())
			failed := make(chan error, 1)
			go func() {
				_, err := get(ctx, client, "app/db")
				failed <- err
			}()
			require.Eventually(t, func() bool { return s.Count("GetSecretValue") == 1 }, patience, time.Millisecond)
			select {
			case err := <-failed:
				t.Fatal("it was answered:", err)
			default:
			}
			cancel()
			require.ErrorIs(t, <-failed, context.Canceled)
		})
	}
}

func TestDelayIsKept(t *testing.T) {
	s, client, _ := created(t)
	s.Inject(smtest.Fault{Delay: 50 * time.Millisecond, Times: 1})
	began := time.Now()
	text, err := get(t.Context(), client, "app/db")
	require.NoError(t, err)
	require.Equal(t, "one", text)
	require.GreaterOrEqual(t, time.Since(began), 50*time.Millisecond)
}

func TestCutBeforeAndAfter(t *testing.T) {
	s, client, _ := created(t)
	change := func() error {
		_, err := client.UpdateSecret(t.Context(), &secretsmanager.UpdateSecretInput{SecretId: aws.String("app/db"), SecretString: aws.String("two")})
		return err
	}
	for _, c := range []struct {
		fault smtest.Fault
		left  string
	}{{smtest.Fault{Cut: true, Times: 1}, "one"}, {smtest.Fault{LoseReply: true, Times: 1}, "two"}} {
		s.Inject(c.fault)
		err := change()
		require.Error(t, err)
		var api smithy.APIError
		require.False(t, errors.As(err, &api), "it is no answer")
		text, err := get(t.Context(), client, "app/db")
		require.NoError(t, err)
		require.Equal(t, c.left, text)
	}
}

func TestGarbage(t *testing.T) {
	s, client, _ := created(t)
	for _, body := range []string{"", "<html>", `{"SecretString": 7}`, `{"SecretStr`} {
		s.Inject(smtest.Fault{Body: []byte(body), Times: 1})
		out, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{SecretId: aws.String("app/db")})
		if body == "" {
			require.NoError(t, err, "the SDK takes nothing for an answer without fields")
			require.Nil(t, out.SecretString)
			continue
		}
		require.Error(t, err, body)
	}
	s.Inject(smtest.Fault{Body: []byte("<html>Bad Gateway"), Status: http.StatusBadGateway, Times: 1})
	_, err := get(t.Context(), client, "app/db")
	var res *smithyhttp.ResponseError
	require.ErrorAs(t, err, &res)
	require.Equal(t, http.StatusBadGateway, res.HTTPStatusCode())
}

func TestStaleAnswers(t *testing.T) {
	s, client, _ := created(t)
	put(t, client, "two")
	stale := s.Inject(smtest.Fault{Stale: time.Hour})
	_, err := get(t.Context(), client, "app/db")
	var missing *types.ResourceNotFoundException
	require.ErrorAs(t, err, &missing, "an hour ago there was nothing")
	put(t, client, "three")
	stale.Clear()
	text, err := get(t.Context(), client, "app/db")
	require.NoError(t, err)
	require.Equal(t, "three", text, "changes are made to the present")
}

func TestThrottle(t *testing.T) {
	s, client, _ := created(t)
	s.Throttle(0.001, 2)
	for n := range 3 {
		_, err := get(t.Context(), client, "app/db")
		if n < 2 {
			require.NoError(t, err)
			continue
		}
		var api smithy.APIError
		require.ErrorAs(t, err, &api)
		require.Equal(t, smtest.Throttling, api.ErrorCode())
	}
	s.Throttle(0, 0)
	_, err := get(t.Context(), client, "app/db")
	require.NoError(t, err)
}

func TestLog(t *testing.T) {
	s, client, arn := created(t)
	began := time.Now()
	_, err := client.GetSecretValue(t.Context(), &secretsmanager.GetSecretValueInput{
		SecretId: &arn, VersionId: aws.String("nowhere"), VersionStage: aws.String("AWSPENDING"),
	})
	require.Error(t, err)
	put(t, client, "two")
	require.Equal(t, 3, s.Count(""))
	asked := s.Requests("GetSecretValue")
	require.Len(t, asked, 1)
	require.WithinRange(t, asked[0].Time, began, time.Now())
	asked[0].Time = time.Time{}
	require.Equal(t, smtest.Request{Operation: "GetSecretValue", Secret: arn, VersionID: "nowhere", VersionStage: "AWSPENDING"}, asked[0])
	require.Equal(t, "app/db", s.Requests("CreateSecret")[0].Secret)
	s.Forget()
	require.Zero(t, s.Count(""))
}

// What is no request of the API is answered as the service does, too.
func TestOtherRequests(t *testing.T) {
	s := smtest.New(t)
	res, err := http.Get(s.URL)
	require.NoError(t, err)
	defer func() { require.NoError(t, res.Body.Close()) }()
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.Equal(t, http.StatusBadRequest, res.StatusCode)
	require.Contains(t, string(text), "UnknownOperationException")
}
