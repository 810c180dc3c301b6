package rdsiam_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/iamcheck"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/rdsiam"
	"github.com/rekey-go/rekey/source/sourcetest"
)

const endpoint = "db.abc123.eu-central-1.rds.amazonaws.com:5432"

// accepted reports why the database would not take a token now.
func accepted(v *vendor, c source.Credential) error {
	check := iamcheck.Checker{Endpoint: endpoint, Region: region, Keys: v.keys()}
	return check.Check(c.Username, c.Password.Reveal(), time.Now())
}

func TestConformance(t *testing.T) {
	sourcetest.Run(t, func(*testing.T) sourcetest.Harness {
		v := newVendor()
		src := rdsiam.New(v.config(), endpoint, "app", nil)
		n := 0
		var last source.Credential
		return sourcetest.Harness{
			Source: src,
			Rotate: func(t *testing.T) source.Credential {
				n++
				v.set(func(v *vendor) { v.now.AccessKeyID = fmt.Sprint(accessKey, n) })
				c, err := src.Credential(source.BypassCache(t.Context()))
				require.NoError(t, err)
				require.NoError(t, accepted(v, c), "it is signed by the new parent")
				return c
			},
			Break: func(t *testing.T) {
				last = get(t, src)
				v.set(func(v *vendor) { v.err = fmt.Errorf("no: %s %s", last.Password.Reveal(), secretKey) })
			},
			Mend: func(*testing.T) { v.set(func(v *vendor) { v.err = nil }) },
		}
	})
}

func TestTokens(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(1700 * time.Millisecond) // a token has whole seconds
		v := newVendor()
		src := rdsiam.New(v.config(), endpoint, "app", nil)
		began := time.Now()
		c := get(t, src)
		require.NoError(t, accepted(v, c))
		require.Equal(t, "app", c.Username)
		require.Empty(t, c.Version)
		require.Equal(t, "token", c.Reason)
		require.False(t, c.EndsSessions)
		require.Nil(t, c.Lease)
		require.Zero(t, c.Recheck)
		require.Equal(t, began, c.Issued)
		require.Equal(t, 15*time.Minute-700*time.Millisecond, c.Expires.Sub(c.Issued))

		// It ends when it says, neither sooner nor later.
		time.Sleep(time.Until(c.Expires) - time.Nanosecond)
		require.NoError(t, accepted(v, c))
		time.Sleep(time.Nanosecond)
		require.ErrorContains(t, accepted(v, c), "expired")

		next := get(t, src)
		require.NoError(t, accepted(v, next))
		require.False(t, next.Same(c))
		time.Sleep(29 * time.Second)
		require.True(t, get(t, src).Same(next), "a burst gets one token")
		time.Sleep(time.Second)
		require.False(t, get(t, src).Same(next))
		require.Equal(t, 1, v.calls(), "the parent credentials are cached")
	})
}

// Issued is from before the parent credentials were asked for.
func TestSlowVendor(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVendor()
		config := aws.Config{Region: region, Credentials: aws.CredentialsProviderFunc(func(ctx context.Context) (aws.Credentials, error) {
			time.Sleep(10 * time.Second)
			return v.Retrieve(ctx)
		})}
		began := time.Now()
		c := get(t, rdsiam.New(config, endpoint, "app", nil))
		require.Equal(t, began, c.Issued)
		require.Equal(t, began.Add(15*time.Minute), c.Expires.Local())
	})
}

func TestF19TheEndOfTheParentIsTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for left, reason := range map[time.Duration]string{
			20 * time.Minute: "token", 15 * time.Minute: "token",
			15*time.Minute - 1: "aws credentials", 5 * time.Minute: "aws credentials", time.Millisecond: "aws credentials",
		} {
			time.Sleep(time.Until(time.Now().Truncate(time.Second).Add(time.Second))) // a token has whole seconds
			v := newVendor()
			v.endsIn(left)
			c := get(t, rdsiam.New(v.config(), endpoint, "app", nil))
			require.NoError(t, accepted(v, c))
			require.Equal(t, reason, c.Reason, left)
			require.WithinDuration(t, time.Now().Add(min(left, 15*time.Minute)), c.Expires, 0, left)
			time.Sleep(time.Until(c.Expires))
			require.Error(t, accepted(v, c), left)
		}
	})
}

// The parent credentials that a cache holds until their last moment are asked
// for again a minute before.
func TestParentAboutToEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVendor()
		v.endsIn(10 * time.Minute)
		src := rdsiam.New(v.config(), endpoint, "app", nil)
		first := get(t, src)
		time.Sleep(9*time.Minute - 1)
		get(t, src)
		require.Equal(t, 1, v.calls())

		time.Sleep(time.Nanosecond)
		again := get(t, src)
		require.Equal(t, 2, v.calls())
		require.Equal(t, first.Expires, again.Expires, "the vendor had nothing newer")

		// A vendor that fails now takes nothing away.
		v.set(func(v *vendor) { v.err = errAway })
		src = rdsiam.New(aws.Config{Region: region, Credentials: &stale{vendor: v}}, endpoint, "app", nil)
		require.Equal(t, first.Expires, get(t, src).Expires)

		v.set(func(v *vendor) { v.err = nil })
		v.endsIn(time.Hour)
		fresh := get(t, src)
		require.Equal(t, "token", fresh.Reason)
		require.NoError(t, accepted(v, fresh))
	})
}

// stale is a cache that has something until it is told to forget it.
type stale struct {
	vendor *vendor
	forgot bool
}

func (s *stale) Invalidate() { s.forgot = true }

func (s *stale) Retrieve(ctx context.Context) (aws.Credentials, error) {
	if s.forgot {
		return s.vendor.Retrieve(ctx)
	}
	return s.vendor.now, nil
}

// A token that is rejected although it should be good makes its parent suspect.
func TestF15RejectedTokenGoesPastTheCacheOfItsParent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := newVendor()
		src := rdsiam.New(v.config(), endpoint, "app", nil)
		bypass := source.BypassCache(t.Context())
		_, err := src.Credential(bypass)
		require.NoError(t, err)
		require.Equal(t, 1, v.calls(), "nothing was rejected yet")
		first := get(t, src)

		v.set(func(v *vendor) { v.now.AccessKeyID, v.now.SecretAccessKey = "AKIDOTHER", "cAnArY/oThEr" })
		require.True(t, get(t, src).Same(first))
		second, err := src.Credential(bypass)
		require.NoError(t, err)
		require.NoError(t, accepted(v, second))
		require.Equal(t, 2, v.calls())

		time.Sleep(15 * time.Minute)
		_, err = src.Credential(bypass)
		require.NoError(t, err)
		require.Equal(t, 2, v.calls(), "it was rejected for its age")
		time.Sleep(time.Minute)
		_, err = src.Credential(bypass)
		require.NoError(t, err)
		require.Equal(t, 3, v.calls())

		v.set(func(v *vendor) { v.err = errAway })
		_, err = src.Credential(bypass)
		require.ErrorIs(t, err, errAway, "the one that was rejected is not given again")
	})
}

func TestErrorsSayWhatToDo(t *testing.T) {
	good := newVendor().config()
	without := func(change func(*aws.Config)) aws.Config {
		c := good
		change(&c)
		return c
	}
	vend := func(change func(*vendor)) aws.Config {
		v := newVendor()
		change(v)
		return v.config()
	}
	ended := vend(func(v *vendor) { v.now.CanExpire, v.now.Expires = true, time.Now() })
	for name, c := range map[string]struct {
		config         aws.Config
		endpoint, user string
		kind           rdsiam.Kind
		permanent      bool
		says           string
	}{
		"no region": {without(func(c *aws.Config) { c.Region = "" }), "db.internal:5432", "app", rdsiam.NoRegion, true, "AWS_REGION"},
		"no user":   {good, endpoint, "", rdsiam.NoUser, true, "rds_iam"},
		"no port":   {good, "db.internal", "app", rdsiam.BadEndpoint, true, "host:port"},
		"nothing":   {aws.Config{}, "", "", rdsiam.BadEndpoint, true, "empty"},
		"no provider": {
			without(func(c *aws.Config) { c.Credentials = nil }), endpoint, "app", rdsiam.NoCredentials, true, "LoadDefaultConfig",
		},
		"nil cache": {
			without(func(c *aws.Config) { c.Credentials = (*aws.CredentialsCache)(nil) }), endpoint, "app", rdsiam.NoCredentials, true, "LoadDefaultConfig",
		},
		"no keys":   {vend(func(v *vendor) { v.now = aws.Credentials{} }), endpoint, "app", rdsiam.NoCredentials, true, "access key"},
		"no secret": {vend(func(v *vendor) { v.now.SecretAccessKey = "" }), endpoint, "app", rdsiam.NoCredentials, true, "access key"},
		"anonymous": {without(func(c *aws.Config) { c.Credentials = aws.AnonymousCredentials{} }), endpoint, "app", rdsiam.Unavailable, false, "Anonymous"},
		"fails":     {vend(func(v *vendor) { v.err = errAway }), endpoint, "app", rdsiam.Unavailable, false, "no route"},
		"ended":     {ended, endpoint, "app", rdsiam.Ended, false, "log in to AWS again"},
	} {
		t.Run(name, func(t *testing.T) {
			src := rdsiam.New(c.config, c.endpoint, c.user, nil)
			cred, err := src.Credential(t.Context())
			require.True(t, cred.Password.IsEmpty())
			var e *rdsiam.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.kind, e.Kind, "%v", err)
			require.Equal(t, c.permanent, source.IsPermanent(err), "%v", err)
			require.Equal(t, c.endpoint, e.Endpoint)
			require.Equal(t, c.user, e.User)
			require.ErrorContains(t, err, c.says)
			if c.kind == rdsiam.Unavailable {
				require.Error(t, errors.Unwrap(e))
			}
		})
	}
}

func TestF27ACanceledCallLeaves(t *testing.T) {
	asked := make(chan struct{})
	config := aws.Config{Region: region, Credentials: aws.NewCredentialsCache(
		aws.CredentialsProviderFunc(func(context.Context) (aws.Credentials, error) {
			<-asked // a provider that does not look at its context
			return newVendor().now, nil
		}))}
	src := rdsiam.New(config, endpoint, "app", nil)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	began := time.Now()
	_, err := src.Credential(ctx)
	require.ErrorIs(t, err, context.Canceled)
	require.Less(t, time.Since(began), time.Second)
	_, err = src.Credential(ctx)
	require.ErrorIs(t, err, context.Canceled)
	close(asked)
	require.False(t, get(t, src).Password.IsEmpty(), "it has not been spoiled for others")
}

func TestF38SecretsOfTheVendorDoNotAppear(t *testing.T) {
	v := newVendor()
	src := rdsiam.New(v.config(), endpoint, "app", nil)
	token := get(t, src).Password.Reveal()
	for _, secret := range []string{token, secretKey, sessionToken} {
		for _, cause := range []error{nil, context.DeadlineExceeded} {
			v.set(func(v *vendor) { v.err = errors.Join(fmt.Errorf("it was %q", secret), cause) })
			_, err := src.Credential(source.BypassCache(t.Context()))
			var e *rdsiam.Error
			require.ErrorAs(t, err, &e)
			for _, text := range []string{fmt.Sprintf("%v %+v %#v %v %+v %#v", err, err, err, *e, *e, *e), e.Err.Error(), fmt.Sprintf("%#v", e.Err)} {
				require.NotContains(t, text, "cAnArY")
				require.NotContains(t, text, token)
			}
			if cause != nil {
				require.ErrorIs(t, err, cause)
			}
			v.set(func(v *vendor) { v.err = nil })
			get(t, src)
		}
	}
	c := get(t, src)
	for _, text := range []string{
		fmt.Sprintf("%v %+v %#v %#v", c, c, c, []any{c}),
		fmt.Sprintf("%v %+v %#v %s %q %d", src, src, src, src, src, src),
		fmt.Sprintf("%+v %#v", []any{src}, struct{ s source.Source }{src}),
	} {
		require.NotContains(t, text, token)
		require.NotContains(t, text, "cAnArY")
	}

	// Somebody has taken the URL of the database for its endpoint.
	src = rdsiam.New(v.config(), "postgres://app:cAnArY@db.internal:5432/shop", "app", nil)
	_, err := src.Credential(t.Context())
	require.ErrorContains(t, err, "it is a URL")
	require.NotContains(t, fmt.Sprintf("%v %#v %#v %v", err, errors.Unwrap(err), err, src), "cAnArY")
}
