package kmskey_test

import (
	"net/http"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/credentials"
	awskms "github.com/aws/aws-sdk-go-v2/service/kms"
	"github.com/aws/aws-sdk-go-v2/service/kms/types"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/smserver/moto"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/aws/kmskey"
	"github.com/rekey-go/rekey/rotate/internal/cut"
	"github.com/rekey-go/rekey/rotate/keys"
	"github.com/rekey-go/rekey/rotate/kms"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func start(t *testing.T) *moto.Server {
	server, err := moto.Start(t.Context(), &moto.Options{Log: t.Output()})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server
}

func client(t *testing.T, url string, line *cut.Transport) *awskms.Client {
	base := http.DefaultTransport.(*http.Transport).Clone()
	t.Cleanup(base.CloseIdleConnections)
	line.Base = base
	return awskms.New(awskms.Options{
		Region: "eu-central-1", BaseEndpoint: aws.String(url), HTTPClient: &http.Client{Transport: line},
		Credentials:      credentials.NewStaticCredentialsProvider("AKIDEXAMPLE", "a test", ""),
		RetryMaxAttempts: 1,
	})
}

// The suite of targets is not for moto, whose disabled keys encrypt: package kms
// passes it on a ring. Here is what of KMS it relies on.
func TestService(t *testing.T) {
	server := start(t)
	line := new(cut.Transport)
	c := client(t, server.URL, line)
	s, others := kmskey.New(c, "orders", nil), kmskey.New(c, "another's", nil)
	ctx := t.Context()
	_, err := kms.NewKey(ctx, others)
	require.NoError(t, err)

	label := "rekey drawn 6f2c-91ab " + "key_=2D.+1"
	id, err := s.Create(ctx, label)
	require.NoError(t, err)
	is := func(label string, active bool) {
		t.Helper()
		list, err := s.List(ctx)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.WithinDuration(t, time.Now(), list[0].Created, time.Minute)
		list[0].Created = time.Time{}
		require.Equal(t, keys.Key{ID: id, Label: label, Active: active}, list[0])
	}
	is(label, true)
	require.NoError(t, s.Label(ctx, id, "another"))
	for range 2 {
		require.NoError(t, s.Disable(ctx, id))
		is("another", false)
	}
	for range 2 {
		require.NoError(t, s.Enable(ctx, id))
		is("another", true)
	}

	there, err := s.Encrypt(ctx, id, []byte("text"))
	require.NoError(t, err)
	back, err := s.Decrypt(ctx, id, there)
	require.NoError(t, err)
	require.Equal(t, "text", string(back))
	missing := "00000000-0000-0000-0000-000000000000"
	_, err = s.Encrypt(ctx, missing, []byte("text"))
	require.ErrorIs(t, err, kms.ErrRejected)
	there[len(there)-1] ^= 1
	_, err = s.Decrypt(ctx, id, there)
	require.ErrorIs(t, err, kms.ErrRejected)
	require.ErrorIs(t, s.Label(ctx, missing, "x"), keys.ErrNotFound)
	require.ErrorIs(t, s.Enable(ctx, missing), keys.ErrNotFound)
	require.ErrorIs(t, s.Disable(ctx, missing), keys.ErrNotFound)
	require.NoError(t, s.Delete(ctx, missing))

	up := line.Down(t)
	for _, f := range []func() error{
		func() error { _, err := s.List(ctx); return err },
		func() error { _, err := s.Create(ctx, ""); return err },
		func() error { _, err := s.Decrypt(ctx, id, there); return err },
		func() error { return s.Enable(ctx, id) },
	} {
		err := f()
		require.Error(t, err)
		require.NotErrorIs(t, err, kms.ErrRejected)
		require.NotErrorIs(t, err, keys.ErrNotFound)
	}
	up()
	is("another", true)
}

// A whole rotation.
func TestRotation(t *testing.T) {
	server := start(t)
	s := kmskey.New(client(t, server.URL, new(cut.Transport)), "orders", nil)
	first, err := kms.NewKey(t.Context(), s)
	require.NoError(t, err)
	target, err := kms.New(&kms.Config{Service: s})
	require.NoError(t, err)
	to, err := target.Next(t.Context(), first, "token")
	require.NoError(t, err)
	c := rotate.Change{Token: "token", From: first, To: to}
	applied, err := target.Applied(t.Context(), c)
	require.NoError(t, err)
	require.False(t, applied)
	require.NoError(t, target.Set(t.Context(), c))
	applied, err = target.Applied(t.Context(), c)
	require.NoError(t, err)
	require.True(t, applied)
	require.NoError(t, target.Verify(t.Context(), c))
	state := rotate.State{Current: rotate.Version{Token: "token", Credential: to}}
	left, err := target.Left(t.Context(), state)
	require.NoError(t, err)
	require.Equal(t, []string{first.Username}, left)
	require.NoError(t, target.Disable(t.Context(), first.Username))
	require.NoError(t, target.Remove(t.Context(), first.Username))
	left, err = target.Left(t.Context(), state)
	require.NoError(t, err)
	require.Empty(t, left)
}

// A removed key can be brought back by people.
func TestDelete(t *testing.T) {
	server := start(t)
	c := client(t, server.URL, new(cut.Transport))
	s := kmskey.New(c, "orders", &kmskey.Options{WaitDays: 7})
	key, err := kms.NewKey(t.Context(), s)
	require.NoError(t, err)
	for range 2 {
		require.NoError(t, s.Delete(t.Context(), key.Username))
	}
	list, err := s.List(t.Context())
	require.NoError(t, err)
	require.Empty(t, list)
	got, err := c.DescribeKey(t.Context(), &awskms.DescribeKeyInput{KeyId: &key.Username})
	require.NoError(t, err)
	require.Equal(t, types.KeyStatePendingDeletion, got.KeyMetadata.KeyState)

	_, err = c.CancelKeyDeletion(t.Context(), &awskms.CancelKeyDeletionInput{KeyId: &key.Username})
	require.NoError(t, err)
	require.NoError(t, s.Enable(t.Context(), key.Username))
	_, err = kms.DataKey(t.Context(), s, key)
	require.NoError(t, err)
}
