package secretsmanager_test

import (
	"fmt"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/service/secretsmanager"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/smserver/smtest"
	"github.com/rekey-go/rekey/rotate/secretsmanager"
	"github.com/rekey-go/rekey/source"
	sm "github.com/rekey-go/rekey/source/secretsmanager"
)

func TestErrors(t *testing.T) {
	server := smtest.New(t)
	l := newLab(t, server.URL)
	for name, c := range map[string]struct {
		fault     smtest.Fault
		kind      sm.Kind
		says      string
		permanent bool
	}{
		"describe denied": {smtest.Fault{Operation: "DescribeSecret", Error: smtest.AccessDenied}, sm.Permission, "secretsmanager:DescribeSecret", true},
		"get denied":      {smtest.Fault{Operation: "GetSecretValue", Error: smtest.AccessDenied}, sm.Permission, "secretsmanager:GetSecretValue", true},
		"put denied":      {smtest.Fault{Operation: "PutSecretValue", Error: smtest.AccessDenied}, sm.Permission, "secretsmanager:PutSecretValue", true},
		"move denied":     {smtest.Fault{Operation: "UpdateSecretVersionStage", Error: smtest.AccessDenied}, sm.Permission, "secretsmanager:UpdateSecretVersionStage", true},
		"no key":          {smtest.Fault{Operation: "GetSecretValue", Error: smtest.Decryption}, sm.Undecryptable, "KMS key", true},
		"throttled":       {smtest.Fault{Error: smtest.Throttling}, sm.Throttled, "Rate exceeded", false},
		"expired":         {smtest.Fault{Error: smtest.ExpiredToken}, sm.Credentials, "expired", false},
		"in trouble":      {smtest.Fault{Error: smtest.Internal}, sm.Unavailable, "server side", false},
		"cut":             {smtest.Fault{Cut: true}, sm.Unavailable, "EOF", false},
		"a page":          {smtest.Fault{Body: []byte("<html>" + canary)}, sm.Malformed, "not what Secrets Manager sends", false},
		"never":           {smtest.Fault{Operation: "UpdateSecretVersionStage", Error: "InvalidParameterException"}, sm.Refused, "UpdateSecretVersionStage", true},
	} {
		t.Run(name, func(t *testing.T) {
			in := server.Inject(c.fault)
			defer in.Clear()
			err := l.store().Create(t.Context(), one, next(canary+"second"))
			var e *sm.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, c.kind, e.Kind)
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), "canary")
			require.Equal(t, c.permanent, source.IsPermanent(err))
		})
	}
}

func TestMistakes(t *testing.T) {
	server := smtest.New(t)
	l := newLab(t, server.URL)
	secret := func(text string) string {
		name := fmt.Sprintf("odd/%x", text)
		in := &sdk.CreateSecretInput{Name: &name}
		if text != "" {
			in.SecretString = &text
		}
		_, err := l.CreateSecret(t.Context(), in)
		require.NoError(t, err)
		return name
	}
	deleted := secret("{}")
	_, err := l.DeleteSecret(t.Context(), &sdk.DeleteSecretInput{SecretId: &deleted})
	require.NoError(t, err)
	for _, c := range []struct {
		name  string
		store *secretsmanager.Store
		token string
		says  string
	}{
		{"no client", secretsmanager.New(nil, "orders", nil), one, "client is nil"},
		{"no name", secretsmanager.New(l, "", nil), one, "secret ID is empty"},
		{"no token", l.store(), "", "token is empty"},
		{"a short token", l.store(), "short", "32"},
		{"no secret", secretsmanager.New(l, "nothing", nil), one, "not found"},
		{"no value", secretsmanager.New(l, secret(""), nil), one, "no value yet"},
		{"deleted", secretsmanager.New(l, deleted, nil), one, "RestoreSecret"},
		{"no JSON", secretsmanager.New(l, secret(canary), nil), one, "not a JSON object"},
		{"more than JSON", secretsmanager.New(l, secret("{} "+canary), nil), one, "not a JSON object"},
		{"no password", secretsmanager.New(l, secret(`{"username":"`+canary+`"}`), nil), one, `field "password"`},
		{"no text", secretsmanager.New(l, secret(`{"username":"app","password":["canary"]}`), nil), one, `field "password"`},
		{"another field", secretsmanager.New(l, l.secret, &secretsmanager.Options{UsernameField: "user"}), one, `field "user"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := c.store.Create(t.Context(), c.token, next(canary))
			require.ErrorContains(t, err, c.says)
			require.NotContains(t, err.Error(), "canary")
			if c.token != "" {
				require.True(t, source.IsPermanent(err))
			}
		})
	}
}
