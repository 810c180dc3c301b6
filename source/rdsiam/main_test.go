package rdsiam_test

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/iamcheck"
	"github.com/rekey-go/rekey/source"
)

func TestMain(m *testing.M) {
	flag.Parse()
	_ = flag.Set("test.parallel", "8") // they wait for tokens to end more than they work
	goleak.VerifyTestMain(suite{m})
}

// A suite closes what its tests have shared.
type suite struct{ *testing.M }

func (s suite) Run() int { return max(s.M.Run(), closeServers()) }

const (
	region       = "eu-central-1"
	accessKey    = "AKIDCANARY"
	secretKey    = "cAnArY/sEcReT+kEy" // must not be seen anywhere
	sessionToken = "cAnArYsEsSiOn"
)

// A vendor is where the parent credentials come from.
type vendor struct {
	mu     sync.Mutex
	now    aws.Credentials
	err    error
	called int
}

func newVendor() *vendor {
	return &vendor{now: aws.Credentials{AccessKeyID: accessKey, SecretAccessKey: secretKey, SessionToken: sessionToken}}
}

// Retrieve implements aws.CredentialsProvider.
func (v *vendor) Retrieve(ctx context.Context) (aws.Credentials, error) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.called++
	if v.err != nil {
		return aws.Credentials{}, v.err
	}
	return v.now, ctx.Err()
}

func (v *vendor) set(change func(*vendor)) {
	v.mu.Lock()
	defer v.mu.Unlock()
	change(v)
}

func (v *vendor) calls() int {
	v.mu.Lock()
	defer v.mu.Unlock()
	return v.called
}

// endsIn has the credentials end then.
func (v *vendor) endsIn(d time.Duration) {
	v.set(func(v *vendor) { v.now.CanExpire, v.now.Expires = true, time.Now().Add(d) })
}

// config is what config.LoadDefaultConfig would return.
func (v *vendor) config() aws.Config {
	return aws.Config{Region: region, Credentials: aws.NewCredentialsCache(v)}
}

// keys are what IAM knows of the vendor's credentials.
func (v *vendor) keys() map[string]iamcheck.Key {
	v.mu.Lock()
	defer v.mu.Unlock()
	k := iamcheck.Key{Secret: v.now.SecretAccessKey, SessionToken: v.now.SessionToken}
	if v.now.CanExpire {
		k.Expires = v.now.Expires
	}
	return map[string]iamcheck.Key{v.now.AccessKeyID: k}
}

func get(t testing.TB, src source.Source) source.Credential {
	t.Helper()
	c, err := src.Credential(t.Context())
	require.NoError(t, err)
	return c
}

func logger(t testing.TB) *slog.Logger {
	if os.Getenv("REKEY_TEST_LOG") == "" {
		return slog.New(slog.DiscardHandler)
	}
	return slog.New(slog.NewTextHandler(t.Output(), nil))
}

// errAway is what a vendor says that cannot be reached.
var errAway = errors.New("no route to the vendor")

// patience bounds the waits of these tests.
const patience = 30 * time.Second
