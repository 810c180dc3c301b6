package secretsmanager_test

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/pgserver/pgtest"
	"github.com/rekey-go/rekey/internal/smserver"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/secretsmanager"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(pgtest.Suite{Runner: m}) }

const (
	patience = 30 * time.Second
	name     = "orders/database"
)

// A lab is an emulator with one secret, and the real SDK's client of it, which
// counts. It needs no network, so it works with fake time, too.
type lab struct {
	*smserver.Store
	*sdk.Client
	t testing.TB

	mu       sync.Mutex
	requests []string         // the operations, in their order
	instead  http.HandlerFunc // answers in place of the store; nil: nobody
}

func newLab(t testing.TB) *lab {
	t.Helper()
	l := &lab{Store: smserver.New(), t: t}
	t.Cleanup(l.Close)
	l.Client = sdk.New(sdk.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String("http://secretsmanager.test"), HTTPClient: l,
		Credentials: aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			return aws.Credentials{AccessKeyID: "AKIAEXAMPLE", SecretAccessKey: "example"}, nil
		}),
	})
	_, err := l.CreateSecret(t.Context(), &sdk.CreateSecretInput{Name: aws.String(name), SecretString: aws.String(login("app", "first"))})
	require.NoError(t, err)
	l.sent()
	return l
}

// Do is the HTTP client of the SDK.
func (l *lab) Do(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	l.requests = append(l.requests, strings.TrimPrefix(r.Header.Get("X-Amz-Target"), "secretsmanager."))
	answer := l.instead
	l.mu.Unlock()
	if answer == nil {
		answer = l.ServeHTTP
	}
	w := httptest.NewRecorder()
	answer(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	res := w.Result()
	if res.Header.Get(cut) != "" {
		res.Body = io.NopCloser(io.MultiReader(res.Body, iotest.ErrReader(io.ErrUnexpectedEOF)))
	}
	return res, nil
}

// cut is a header of answers whose body is broken off.
const cut = "X-Test-Cut"

// breaks has answer take the store's place; nil: the store answers again.
func (l *lab) breaks(answer http.HandlerFunc) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.instead = answer
}

// says is an answer with this status and body.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// fails is an error of the service.
func fails(code, message string) http.HandlerFunc {
	body, _ := json.Marshal(map[string]string{"__type": code, "message": message})
	return says(http.StatusBadRequest, string(body))
}

// sent returns the requests since it was called last.
func (l *lab) sent() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	sent := l.requests
	l.requests = nil
	return sent
}

func login(user, password string) string {
	text, _ := json.Marshal(map[string]any{"engine": "postgres", "port": 5432, "username": user, "password": password})
	return string(text)
}

// put writes a version with the given labels, AWSCURRENT if none, and returns
// its ID.
func (l *lab) put(value string, labels ...string) string {
	l.t.Helper()
	out, err := l.PutSecretValue(context.WithoutCancel(l.t.Context()), &sdk.PutSecretValueInput{
		SecretId: aws.String(name), SecretString: &value, VersionStages: labels,
	})
	require.NoError(l.t, err)
	return *out.VersionId
}

// promote moves AWSCURRENT to version.
func (l *lab) promote(version string) {
	l.t.Helper()
	out, err := l.DescribeSecret(l.t.Context(), &sdk.DescribeSecretInput{SecretId: aws.String(name)})
	require.NoError(l.t, err)
	in := &sdk.UpdateSecretVersionStageInput{SecretId: aws.String(name), VersionStage: aws.String("AWSCURRENT"), MoveToVersionId: &version}
	for id, labels := range out.VersionIdsToStages {
		for _, label := range labels {
			if label == "AWSCURRENT" {
				in.RemoveFromVersionId = aws.String(id)
			}
		}
	}
	_, err = l.UpdateSecretVersionStage(l.t.Context(), in)
	require.NoError(l.t, err)
}

func logger(t testing.TB) *slog.Logger {
	if os.Getenv("REKEY_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

func (l *lab) source(o *secretsmanager.Options) *secretsmanager.Source {
	if o == nil {
		o = &secretsmanager.Options{}
	}
	if o.Logger == nil {
		o.Logger = logger(l.t)
	}
	return secretsmanager.New(l, name, o)
}

func get(t testing.TB, s source.Source) source.Credential {
	t.Helper()
	c, err := s.Credential(t.Context())
	require.NoError(t, err)
	return c
}

func force(t testing.TB, s source.Source) source.Credential {
	t.Helper()
	c, err := s.Credential(source.BypassCache(t.Context()))
	require.NoError(t, err)
	return c
}

func eventually(t testing.TB, condition func() bool, what string) {
	t.Helper()
	require.Eventually(t, condition, patience, 2*time.Millisecond, what)
}
