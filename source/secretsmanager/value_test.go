package secretsmanager_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/secretsmanager"
)

const canary = "Canary-3f9a/%\\\"x"

// rds is what Amazon RDS writes.
const rds = `{"engine":"postgres","host":"db.internal","port":5432,"username":"app","password":"p\"w","dbname":"orders","masterarn":"arn:aws:secretsmanager:eu-central-1:123456789012:secret:admin-AbCdEf"}`

func TestParseTheSecretOfRDS(t *testing.T) {
	c, err := secretsmanager.Parse(rds, nil)
	require.NoError(t, err)
	require.Equal(t, "app", c.Username)
	require.Equal(t, `p"w`, c.Password.Reveal())
	require.Equal(t, []string{"dbname", "engine", "host", "masterarn", "port"}, c.FieldNames())
	port, _ := c.Field("port")
	require.Equal(t, "5432", port.Reveal(), "numbers are their text")
}

func TestParseOptions(t *testing.T) {
	o := &secretsmanager.Options{UsernameField: "user", PasswordField: "pw"}
	c, err := secretsmanager.Parse("\ufeff"+`{"user":"app","pw":"x","username":"other","tags":{"a":[1]},"none":null,"big":12345678901234567890}`, o)
	require.NoError(t, err)
	require.Equal(t, "app", c.Username)
	require.Equal(t, []string{"big", "tags", "username"}, c.FieldNames())
	tags, _ := c.Field("tags")
	require.Equal(t, `{"a":[1]}`, tags.Reveal())
	big, _ := c.Field("big")
	require.Equal(t, "12345678901234567890", big.Reveal())

	c, err = secretsmanager.Parse(`{"password":"x"}`, &secretsmanager.Options{AllowNoUsername: true})
	require.NoError(t, err)
	require.Empty(t, c.Username)

	colon := func(value []byte) (source.Credential, error) {
		user, password, ok := strings.Cut(string(value), ":")
		if !ok {
			return source.Credential{}, errors.New("there is no colon")
		}
		return source.Credential{Username: user, Password: source.NewSecret(password)}, nil
	}
	c, err = secretsmanager.Parse("app:x:y", &secretsmanager.Options{Parse: colon})
	require.NoError(t, err)
	require.Equal(t, "x:y", c.Password.Reveal())
	_, err = secretsmanager.Parse(canary, &secretsmanager.Options{Parse: colon})
	require.ErrorContains(t, err, "there is no colon")
	require.True(t, source.IsPermanent(err))
	_, err = secretsmanager.Parse("app:", &secretsmanager.Options{Parse: colon})
	var field *source.FieldError
	require.ErrorAs(t, err, &field, "a parser of one's own is held against the same rules")
	require.Equal(t, "password", field.Field)
}

func TestF35WhatCannotBeUsed(t *testing.T) {
	for name, c := range map[string]struct{ value, field, says string }{
		"empty":              {"", "", "is empty"},
		"not JSON":           {canary, "", "not a JSON object"},
		"a string":           {`"` + "x" + `"`, "", "not a JSON object"},
		"an array":           {`["` + "app" + `"]`, "", "not a JSON object"},
		"null":               {`null`, "", "not a JSON object"},
		"cut":                {`{"username":"app","password":"Canary-3f9a`, "", "broken"},
		"cut before the end": {`{"username":"app","password":"Canary-3f9a"`, "", "does not end"},
		"two objects":        {`{"username":"app","password":"Canary-3f9a"}{}`, "", "behind"},
		"twice":              {`{"username":"app","password":"Canary-3f9a","password":"y"}`, "", "twice"},
		"not UTF-8":          {"{\"username\":\"app\",\"password\":\"Canary-3f9a\xff\"}", "", "UTF-8"},
		"no username":        {`{"password":"Canary-3f9a"}`, "username", "is missing"},
		"null username":      {`{"username":null,"password":"Canary-3f9a"}`, "username", "is missing"},
		"empty username":     {`{"username":"","password":"Canary-3f9a"}`, "username", "is empty"},
		"no password":        {`{"username":"Canary-3f9a"}`, "password", "is missing"},
		"number as password": {`{"username":"app","password":1234}`, "password", "not a string"},
		"object as password": {`{"username":"app","password":{"a":"Canary-3f9a"}}`, "password", "not a string"},
		"NUL":                {"{\"username\":\"app\",\"password\":\"Canary-3f9a\\u0000\"}", "password", "NUL"},
		"too deep":           {`{"a":` + strings.Repeat("[", 20_000), "", "broken"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := secretsmanager.Parse(c.value, nil)
			require.ErrorContains(t, err, c.says)
			require.True(t, source.IsPermanent(err))
			require.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "Canary")
			var field *source.FieldError
			if c.field != "" {
				require.ErrorAs(t, err, &field)
				require.Equal(t, c.field, field.Field)
				return
			}
			var e *secretsmanager.Error
			require.ErrorAs(t, err, &e)
			require.Equal(t, secretsmanager.Unreadable, e.Kind)
		})
	}
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{rds, `{}`, `{"username":"app","password":null}`, `[`, "{\"a\":\"\xff\"}", `{"username":"a","password":"b","x":{"y":[1,2e9]}}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, value string) {
		c, err := secretsmanager.Parse(value, nil)
		if err != nil {
			if !source.IsPermanent(err) {
				t.Errorf("a repetition does not mend it: %v", err)
			}
			return
		}
		if c.Username == "" || c.Password.IsEmpty() {
			t.Errorf("accepted without user name or password: %v", c)
		}
	})
}
