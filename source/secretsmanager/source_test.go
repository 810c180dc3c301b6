package secretsmanager_test

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/secretsmanager"
	"github.com/rekey-go/rekey/source/sourcetest"
)

func TestContract(t *testing.T) {
	sourcetest.Run(t, func(t *testing.T) sourcetest.Harness {
		l := newLab(t)
		n := 0
		rotate := func() source.Credential {
			n++
			password := fmt.Sprintf("%s-%d", canary, n)
			l.put(login("app", password))
			return source.Credential{Username: "app", Password: source.NewSecret(password)}
		}
		rotate()
		good := ""
		return sourcetest.Harness{
			Source: l.source(nil),
			Rotate: func(*testing.T) source.Credential { return rotate() },
			Break: func(t *testing.T) {
				out, err := l.GetSecretValue(t.Context(), &sdk.GetSecretValueInput{SecretId: aws.String(name)})
				require.NoError(t, err)
				good = *out.VersionId
				l.put(strings.TrimSuffix(*out.SecretString, "}"))
			},
			Mend: func(*testing.T) { l.promote(good) },
		}
	})
}

func TestVersionIsTheStores(t *testing.T) {
	l := newLab(t)
	id := l.put(login("app", "second"))
	begun := time.Now()
	c := get(t, l.source(nil))
	require.Equal(t, id, c.Version)
	require.Equal(t, "second", c.Password.Reveal())
	require.False(t, c.Issued.Before(begun), "counted from the start of the request")
	require.Zero(t, c.Expires)
	require.Zero(t, c.Recheck, "left to the refresher")
	require.False(t, c.EndsSessions)

	c = get(t, l.source(&secretsmanager.Options{Poll: 10 * time.Minute}))
	require.WithinRange(t, c.Recheck, c.Issued.Add(8*time.Minute), c.Issued.Add(10*time.Minute))
}

func TestLooksBeforeItReads(t *testing.T) {
	l := newLab(t)
	s := l.source(nil)
	first := get(t, s)
	for range 3 {
		require.True(t, get(t, s).Same(first))
	}
	require.Equal(t, []string{"GetSecretValue", "DescribeSecret", "DescribeSecret", "DescribeSecret"}, l.sent())

	pending := l.put(login("app", "second"), "AWSPENDING")
	require.True(t, get(t, s).Same(first), "another label means nothing")
	l.promote(pending)
	l.sent()
	require.Equal(t, "second", get(t, s).Password.Reveal())
	require.Equal(t, []string{"DescribeSecret", "GetSecretValue"}, l.sent())
	require.Equal(t, pending, force(t, s).Version)
	require.Equal(t, []string{"GetSecretValue"}, l.sent(), "a rejected login asks for the value itself")
}

func TestBinarySecret(t *testing.T) {
	l := newLab(t)
	_, err := l.PutSecretValue(t.Context(), &sdk.PutSecretValueInput{SecretId: aws.String(name), SecretBinary: []byte(login("app", "binary"))})
	require.NoError(t, err)
	require.Equal(t, "binary", get(t, l.source(nil)).Password.Reveal())
	_, err = l.PutSecretValue(t.Context(), &sdk.PutSecretValueInput{SecretId: aws.String(name), SecretBinary: []byte{0, 1, 2}})
	require.NoError(t, err)
	c := get(t, l.source(&secretsmanager.Options{Parse: func(value []byte) (source.Credential, error) {
		return source.Credential{Username: "app", Password: source.NewSecret(fmt.Sprintf("%d", value))}, nil
	}}))
	require.Equal(t, "[0 1 2]", c.Password.Reveal())
}

// The cost at the defaults, over a simulated week with a rotation a day.
func TestAtMostFifteenRequestsAnHour(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newLab(t)
		r, err := refresh.New(t.Context(), l.source(nil), &refresh.Options{Logger: logger(t)})
		require.NoError(t, err)
		defer r.Close()
		l.sent()
		for n := range 7 {
			time.Sleep(24 * time.Hour) // of the simulated clock
			l.sent()
			l.put(login("app", fmt.Sprint("day-", n)))
			l.sent()
			most := 0
			for range 24 {
				time.Sleep(time.Hour)
				most = max(most, len(l.sent()))
			}
			require.LessOrEqual(t, most, 16, "15 looks and the value")
			require.Equal(t, fmt.Sprint("day-", n), r.Current().Password.Reveal())
			time.Sleep(24 * time.Hour)
			require.LessOrEqual(t, len(l.sent()), 15*24)
		}
	})
}

func TestF17UserAndPasswordAreOfOneVersion(t *testing.T) {
	l := newLab(t)
	l.put(login("user-0", "password-0"))
	s := l.source(nil)
	ctx, cancel := context.WithCancel(t.Context())
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			for ctx.Err() == nil {
				c, err := s.Credential(source.BypassCache(t.Context()))
				if err != nil {
					t.Error(err)
				} else if strings.TrimPrefix(c.Username, "user-") != strings.TrimPrefix(c.Password.Reveal(), "password-") {
					t.Errorf("%s came with the password of another version", c.Username)
				}
			}
		})
	}
	for n := range 50 {
		l.put(login(fmt.Sprint("user-", n), fmt.Sprint("password-", n)))
	}
	cancel()
	readers.Wait()
}

func TestWithoutThePermissionToLook(t *testing.T) {
	l := newLab(t)
	var log bytes.Buffer
	s := secretsmanager.New(denying{l}, name, &secretsmanager.Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	get(t, s)
	l.put(login("app", "second"))
	l.sent()
	for range 3 {
		require.Equal(t, "second", get(t, s).Password.Reveal())
	}
	require.Equal(t, []string{"GetSecretValue", "GetSecretValue", "GetSecretValue"}, l.sent())
	require.Equal(t, 1, strings.Count(log.String(), "secretsmanager:DescribeSecret"), "said once, with what is missing")
}

// denying is a client whose policy does not allow to describe.
type denying struct{ *lab }

func (d denying) DescribeSecret(ctx context.Context, in *sdk.DescribeSecretInput, opts ...func(*sdk.Options)) (*sdk.DescribeSecretOutput, error) {
	d.breaks(fails("AccessDeniedException", "no policy allows it"))
	defer func() { d.breaks(nil); d.sent() }()
	return d.lab.DescribeSecret(ctx, in, opts...)
}

func TestMistakesInTheArguments(t *testing.T) {
	for says, s := range map[string]*secretsmanager.Source{
		"the client is nil":      secretsmanager.New(nil, name, nil),
		"the secret ID is empty": secretsmanager.New(newLab(t), "", nil),
	} {
		_, err := s.Credential(t.Context())
		require.ErrorContains(t, err, says)
		require.True(t, source.IsPermanent(err))
		_, err = s.Candidates(t.Context())
		require.Error(t, err)
	}
}
