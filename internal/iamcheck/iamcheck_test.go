package iamcheck_test

import (
	"context"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/credentials"
	"github.com/aws/aws-sdk-go-v2/feature/rds/auth"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/iamcheck"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	endpoint = "db.abc123.eu-central-1.rds.amazonaws.com:5432"
	region   = "eu-central-1"
	id       = "AKIDEXAMPLE"
	secret   = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
)

func build(t *testing.T, user string, key iamcheck.Key) string {
	t.Helper()
	token, err := auth.BuildAuthToken(context.Background(), endpoint, region, user,
		credentials.NewStaticCredentialsProvider(id, key.Secret, key.SessionToken))
	require.NoError(t, err)
	return token
}

func checker(key iamcheck.Key) *iamcheck.Checker {
	return &iamcheck.Checker{Endpoint: endpoint, Region: region, Keys: map[string]iamcheck.Key{id: key}}
}

// What the SDK signs is what the checker thinks that it should sign.
func TestTokensOfTheSDK(t *testing.T) {
	for _, user := range []string{"app", "o'neil & Söhne +*~%/?=", "user@example.com"} {
		for _, key := range []iamcheck.Key{{Secret: secret}, {Secret: secret, SessionToken: "FwoGZXIvYXdzE+/=="}} {
			token := build(t, user, key)
			require.NoError(t, checker(key).Check(user, token, time.Now()))
			// Other SDKs write a path.
			require.NoError(t, checker(key).Check(user, strings.Replace(token, "?", "/?", 1), time.Now()))
			require.ErrorContains(t, checker(iamcheck.Key{Secret: "other", SessionToken: key.SessionToken}).Check(user, token, time.Now()), "signature")
			require.ErrorContains(t, checker(key).Check("else", token, time.Now()), "for user")
		}
	}
}

func TestEveryPartIsSigned(t *testing.T) {
	key := iamcheck.Key{Secret: secret, SessionToken: "session"}
	token := build(t, "app", key)
	host, query, _ := strings.Cut(token, "?")
	values, err := url.ParseQuery(query)
	require.NoError(t, err)
	require.Len(t, values, 9)
	for name := range values {
		changed, err := url.ParseQuery(query)
		require.NoError(t, err)
		changed.Set(name, changed.Get(name)+"0")
		require.Error(t, checker(key).Check("app", host+"?"+changed.Encode(), time.Now()), name)
		changed.Del(name)
		require.Error(t, checker(key).Check("app", host+"?"+changed.Encode(), time.Now()), name)
		require.Error(t, checker(key).Check("app", token+"&"+name+"=twice", time.Now()), name)
	}
	require.Error(t, checker(key).Check("app", token+"&more=1", time.Now()))
	// Signed as well, but what it says is refused for itself.
	longer, err := url.ParseQuery(query)
	require.NoError(t, err)
	longer.Set("X-Amz-Expires", "901")
	require.ErrorContains(t, checker(key).Check("app", host+"?"+longer.Encode(), time.Now()), "lifetime")
	longer.Set("X-Amz-Expires", "899")
	require.ErrorContains(t, checker(key).Check("app", host+"?"+longer.Encode(), time.Now()), "signature")
	for _, no := range []string{"", "secret", "?", host, token + "%zz", "?" + query} {
		require.Error(t, checker(key).Check("app", no, time.Now()), no)
	}
}

func TestTimes(t *testing.T) {
	key := iamcheck.Key{Secret: secret}
	token := build(t, "app", key)
	now := time.Now()
	c := checker(key)
	require.NoError(t, c.Check("app", token, now.Add(14*time.Minute+58*time.Second)))
	require.ErrorContains(t, c.Check("app", token, now.Add(15*time.Minute)), "expired")
	require.NoError(t, c.Check("app", token, now.Add(-4*time.Minute)))
	require.ErrorContains(t, c.Check("app", token, now.Add(-6*time.Minute)), "future")
	c.Window = time.Minute
	require.ErrorContains(t, c.Check("app", token, now.Add(time.Minute)), "expired")
	c.Window, c.Since = 0, now.Add(time.Second)
	require.ErrorContains(t, c.Check("app", token, now), "expired")
	c.Since = now.Add(-time.Second)
	require.NoError(t, c.Check("app", token, now))
}

func TestKeysEnd(t *testing.T) {
	key := iamcheck.Key{Secret: secret, SessionToken: "session"}
	token := build(t, "app", key)
	now := time.Now()
	key.Expires = now.Add(time.Minute)
	require.NoError(t, checker(key).Check("app", token, now))
	require.ErrorContains(t, checker(key).Check("app", token, now.Add(time.Minute)), "credentials")
	require.ErrorContains(t, (&iamcheck.Checker{Endpoint: endpoint, Region: region}).Check("app", token, now), "nobody")
	other := checker(key)
	other.Region = "us-east-1"
	require.ErrorContains(t, other.Check("app", token, now), "scope")
	other = checker(key)
	other.Endpoint = "other:5432"
	require.ErrorContains(t, other.Check("app", token, now), "other:5432")
}
