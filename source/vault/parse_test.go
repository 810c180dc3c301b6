package vault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/vault"
)

var began = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const canary = "cAnArY-5eCrEt"

// A bad answer must give a typed error that names the field, or the kind
// Malformed, and never shows the password.
type bad struct {
	name, body, field string // field empty: Malformed
}

func refuses(t *testing.T, parse func([]byte, time.Time, *vault.Options) (source.Credential, error), answers []bad) {
	t.Helper()
	for _, a := range answers {
		t.Run(a.name, func(t *testing.T) {
			_, err := parse([]byte(a.body), began, nil)
			require.Error(t, err)
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), canary)
			var field *source.FieldError
			var typed *vault.Error
			switch {
			case a.field != "":
				require.ErrorAs(t, err, &field)
				require.Equal(t, a.field, field.Field)
				require.True(t, source.IsPermanent(err))
			default:
				require.ErrorAs(t, err, &typed)
				require.Equal(t, vault.Malformed, typed.Kind)
				require.False(t, source.IsPermanent(err), "something else may have answered")
			}
		})
	}
}

var garbage = []bad{
	{"empty", ``, ""},
	{"html", `<html>` + canary + `</html>`, ""},
	{"half", `{"data":{"password":"` + canary, ""},
	{"list", `["` + canary + `"]`, ""},
	{"string", `"` + canary + `"`, ""},
	{"number too large", `{"lease_duration":1e99,"data":{"password":"` + canary + `"}}`, ""},
	{"wrong type at the top", `{"lease_id":7,"data":{"password":"` + canary + `"}}`, ""},
	{"duration as text", `{"lease_id":"l","lease_duration":"60","data":{"password":"` + canary + `"}}`, ""},
	{"data as text", `{"lease_id":"l","lease_duration":60,"data":"` + canary + `"}`, ""},
}

func TestF37DynamicAnswers(t *testing.T) {
	c, err := vault.ParseDynamic([]byte(`{"lease_id":"database/creds/app/x","lease_duration":60,"renewable":true,
		"data":{"username":"v-app","password":"`+canary+`","extra":"e","n":5,"list":[1]}}`), began, nil)
	require.NoError(t, err)
	require.Equal(t, "v-app", c.Username)
	require.Equal(t, canary, c.Password.Reveal())
	require.Equal(t, began, c.Issued)
	require.Equal(t, began.Add(time.Minute), c.Expires)
	require.Equal(t, "lease", c.Reason)
	require.True(t, c.EndsSessions)
	require.NotNil(t, c.Lease)
	require.Empty(t, c.Version, "a lease ID is no version for application_name")
	require.Equal(t, []string{"extra", "list", "n"}, c.FieldNames())
	n, _ := c.Field("n")
	require.Equal(t, "5", n.Reveal())
	require.NotContains(t, fmt.Sprintf("%#v %+v", c, []any{c.Lease, c}), canary)

	answer := func(data string) string { return `{"lease_id":"l","lease_duration":60,"data":` + data + `}` }
	refuses(t, vault.ParseDynamic, append([]bad{
		{"no data", `{"lease_id":"l","lease_duration":60}`, "data"},
		{"null data", answer(`null`), "data"},
		{"no user", answer(`{"password":"` + canary + `"}`), "username"},
		{"null user", answer(`{"username":null,"password":"` + canary + `"}`), "username"},
		{"empty user", answer(`{"username":"","password":"` + canary + `"}`), "username"},
		{"user is a number", answer(`{"username":1,"password":"` + canary + `"}`), "username"},
		{"user has NUL", answer(`{"username":"a\u0000","password":"` + canary + `"}`), "username"},
		{"no password", answer(`{"username":"u"}`), "password"},
		{"empty password", answer(`{"username":"u","password":""}`), "password"},
		{"password is a list", answer(`{"username":"u","password":["` + canary + `"]}`), "password"},
		{"password is a number", answer(`{"username":"u","password":12345}`), "password"},
		{"password has NUL", answer(`{"username":"u","password":"` + canary + `\u0000"}`), "password"},
		{"no lease", `{"lease_duration":60,"data":{"username":"u","password":"` + canary + `"}}`, "lease_id"},
		{"static role", `{"data":{"username":"u","password":"` + canary + `","last_vault_rotation":"x"}}`, "lease_id"},
		{"no time", `{"lease_id":"l","data":{"username":"u","password":"` + canary + `"}}`, "lease_duration"},
		{"negative time", `{"lease_id":"l","lease_duration":-1,"data":{"username":"u","password":"` + canary + `"}}`, "lease_duration"},
	}, garbage...))
}

func TestF37StaticAnswers(t *testing.T) {
	body := func(fields string) string {
		return `{"data":{"username":"app","password":"` + canary + `"` + fields + `}}`
	}
	c, err := vault.ParseStatic([]byte(body(`,"ttl":59,"rotation_period":60,"last_vault_rotation":"2026-03-01T11:59:59.5Z"`)), began, nil)
	require.NoError(t, err)
	require.Equal(t, "2026-03-01T11:59:59.5Z", c.Version)
	require.Zero(t, c.Expires)
	require.False(t, c.EndsSessions)
	require.Nil(t, c.Lease)
	require.Empty(t, c.FieldNames(), "ttl would change with each read")
	require.WithinRange(t, c.Recheck, began.Add(60*time.Second), began.Add(61*time.Second))

	never, err := vault.ParseStatic([]byte(body(`,"ttl":0`)), began, nil)
	require.NoError(t, err)
	require.Empty(t, never.Version)
	require.WithinRange(t, never.Recheck, began.Add(time.Second), began.Add(3*time.Second))

	refuses(t, vault.ParseStatic, append([]bad{
		{"no data", `{}`, "data"},
		{"no ttl", body(``), "ttl"},
		{"ttl is text", body(`,"ttl":"60"`), "ttl"},
		{"ttl is no number", body(`,"ttl":{}`), "ttl"},
		{"rotation is a number", body(`,"ttl":1,"last_vault_rotation":5`), "last_vault_rotation"},
		{"rotation is no time", body(`,"ttl":1,"last_vault_rotation":"` + canary + `"`), "last_vault_rotation"},
		{"dynamic role", `{"lease_id":"l","lease_duration":60,"data":{"username":"u","password":"` + canary + `"}}`, "lease_id"},
		{"no user", `{"data":{"password":"` + canary + `","ttl":1}}`, "username"},
	}, garbage...))
}

func TestF37KVAnswers(t *testing.T) {
	v2 := func(data, metadata string) string {
		return `{"data":{"data":` + data + `,"metadata":` + metadata + `}}`
	}
	c, err := vault.ParseKV([]byte(v2(`{"user":"app","pw":"`+canary+`","host":"db","port":5432,"tls":{"a":1},"none":null}`, `{"version":7}`)), began,
		&vault.Options{UsernameField: "user", PasswordField: "pw", Poll: time.Minute})
	require.NoError(t, err)
	require.Equal(t, "7", c.Version)
	require.Equal(t, "app", c.Username)
	require.Equal(t, []string{"host", "port", "tls"}, c.FieldNames())
	require.WithinRange(t, c.Recheck, began.Add(48*time.Second), began.Add(time.Minute))

	c, err = vault.ParseKV([]byte(`{"lease_duration":30,"data":{"password":"`+canary+`","ttl":"30s"}}`), began, &vault.Options{KVVersion: 1, AllowNoUsername: true})
	require.NoError(t, err)
	require.Empty(t, c.Username)
	require.Empty(t, c.Version)
	require.WithinRange(t, c.Recheck, began.Add(24*time.Second), began.Add(30*time.Second))

	c, err = vault.ParseKV([]byte(`{"lease_duration":2764800,"data":{"username":"u","password":"`+canary+`"}}`), began, &vault.Options{KVVersion: 1})
	require.NoError(t, err)
	require.Zero(t, c.Recheck, "the mount's default is no hint")

	refuses(t, vault.ParseKV, append([]bad{
		{"no data", `{"data":{}}`, "data"},
		{"version 1", `{"data":{"username":"u","password":"` + canary + `"}}`, "data"},
		{"deleted", `{"data":{"data":null,"metadata":{"version":3}}}`, "data"},
		{"no metadata", `{"data":{"data":{"username":"u","password":"` + canary + `"}}}`, "metadata.version"},
		{"version is text", v2(`{"username":"u","password":"`+canary+`"}`, `{"version":"3"}`), "metadata.version"},
		{"version is half", v2(`{"username":"u","password":"`+canary+`"}`, `{"version":1.5}`), "metadata.version"},
		{"version is 0", v2(`{"username":"u","password":"`+canary+`"}`, `{"version":0}`), "metadata.version"},
		{"password is an object", v2(`{"username":"u","password":{"x":"`+canary+`"}}`, `{"version":3}`), "password"},
	}, garbage...))
}

func TestBadArgumentsAreToldByCredential(t *testing.T) {
	for name, src := range map[string]source.Source{
		"no client":   vault.Dynamic(nil, "database/creds/app", nil),
		"static":      vault.Static(nil, "database/static-creds/app", nil),
		"kv":          vault.KV(nil, "secret", "app", nil),
		"empty path":  vault.Dynamic(nowhere(t), "/", nil),
		"parent":      vault.Dynamic(nowhere(t), "database/../sys/mounts", nil),
		"query":       vault.Static(nowhere(t), "database/static-creds/app?x=y", nil),
		"empty mount": vault.KV(nowhere(t), "", "app", nil),
		"version 3":   vault.KV(nowhere(t), "secret", "app", &vault.Options{KVVersion: 3}),
	} {
		_, err := src.Credential(t.Context())
		require.Error(t, err, name)
		require.True(t, source.IsPermanent(err), name)
		require.ErrorContains(t, err, "vault: ", name)
	}
	_, err := vault.Login(t.Context(), nil, nil, nil)
	require.ErrorContains(t, err, "client is nil")
	client := nowhere(t)
	client.ClearToken()
	_, err = vault.Login(t.Context(), client, nil, nil)
	require.ErrorContains(t, err, "VAULT_TOKEN")
}

func FuzzDynamic(f *testing.F) {
	f.Add([]byte(`{"lease_id":"l","lease_duration":60,"renewable":true,"data":{"username":"u","password":"`+canary+`"}}`), "username")
	fuzz(f, vault.ParseDynamic, func(t *testing.T, c source.Credential) {
		require.NotNil(t, c.Lease)
		require.True(t, c.Expires.After(c.Issued))
	})
}

func FuzzStatic(f *testing.F) {
	f.Add([]byte(`{"data":{"username":"u","password":"`+canary+`","ttl":5,"last_vault_rotation":"2026-03-01T11:59:59.5Z"}}`), "username")
	fuzz(f, vault.ParseStatic, func(t *testing.T, c source.Credential) {
		require.Nil(t, c.Lease)
		require.True(t, c.Recheck.After(c.Issued))
	})
}

func FuzzKV(f *testing.F) {
	f.Add([]byte(`{"data":{"data":{"username":"u","password":"`+canary+`"},"metadata":{"version":3}}}`), "username")
	fuzz(f, vault.ParseKV, func(t *testing.T, c source.Credential) { require.NotEmpty(t, c.Version) })
}

// fuzz has no answer panic, no credential lack what a login needs, and no error
// show what came.
func fuzz(f *testing.F, parse func([]byte, time.Time, *vault.Options) (source.Credential, error), good func(*testing.T, source.Credential)) {
	for _, g := range garbage {
		f.Add([]byte(g.body), "user")
	}
	f.Fuzz(func(t *testing.T, body []byte, usernameField string) {
		c, err := parse(body, began, &vault.Options{UsernameField: usernameField})
		if err == nil {
			require.NotEmpty(t, c.Username)
			require.False(t, c.Password.IsEmpty())
			good(t, c)
			return
		}
		var field *source.FieldError
		var typed *vault.Error
		require.True(t, errors.As(err, &field) || errors.As(err, &typed), "%v", err)
		if !strings.Contains(usernameField, canary) {
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), canary)
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add([]byte(`{"data":{"ttl":60,"creation_ttl":120,"renewable":true,"accessor":"a","orphan":true,"expire_time":"2026-03-01T12:01:00Z"}}`))
	f.Add([]byte(`{"auth":{"client_token":"hvs.x","accessor":"a","lease_duration":60,"renewable":true}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		for _, parse := range []func([]byte, time.Time) (vault.Token, error){vault.ParseLookup, vault.ParseAuth} {
			if token, err := parse(body, began); err == nil {
				at := token.AttendAt(true, 0.5)
				require.True(t, at.IsZero() || at.After(began))
				require.False(t, token.End.Before(began) && !token.End.IsZero())
			}
		}
		_, _, _ = vault.ParseRenewal(body, time.Minute, began)
	})
}
