package source_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/rekey-go/rekey/source"
)

func secrets(pairs ...string) map[string]source.Secret {
	m := make(map[string]source.Secret)
	for i := 0; i < len(pairs); i += 2 {
		m[pairs[i]] = source.NewSecret(pairs[i+1])
	}
	return m
}

func credential(username, password string, fields ...string) source.Credential {
	return source.Credential{Username: username, Password: source.NewSecret(password)}.WithFields(secrets(fields...))
}

func TestCredentialSame(t *testing.T) {
	base := credential("app", "pw", "host", "db")
	base.Version = "v1"

	renewed := credential("app", "pw", "host", "db")
	renewed.Version = "v1"
	renewed.Issued, renewed.Expires, renewed.Recheck = time.Now(), time.Now(), time.Now()
	renewed.Reason, renewed.EndsSessions = "lease", true
	assert.True(t, base.Same(renewed), "times and leases do not count")

	for name, change := range map[string]func(c *source.Credential){
		"username": func(c *source.Credential) { c.Username = "other" },
		"password": func(c *source.Credential) { c.Password = source.NewSecret("other") },
		"version":  func(c *source.Credential) { c.Version = "v2" },
		"field":    func(c *source.Credential) { *c = c.WithFields(secrets("host", "other")) },
		"more":     func(c *source.Credential) { *c = c.WithFields(secrets("host", "db", "port", "1")) },
		"fewer":    func(c *source.Credential) { *c = c.WithFields(nil) },
	} {
		other := base
		change(&other)
		assert.False(t, base.Same(other), name)
		assert.False(t, other.Same(base), name)
	}
	assert.True(t, source.Credential{}.Same(source.Credential{}))
	assert.True(t, credential("", "").Same(source.Credential{}), "no fields and nil fields are the same")
}

func TestCredentialWithFieldsCopies(t *testing.T) {
	mine := secrets("host", "db", "port", "5432")
	c := source.Credential{}.WithFields(mine)
	copied := c
	mine["host"] = source.NewSecret("evil")
	delete(mine, "port")
	other := c.WithFields(secrets("host", "elsewhere"))

	for _, c := range []source.Credential{c, copied} {
		assert.Equal(t, []string{"host", "port"}, c.FieldNames())
		host, ok := c.Field("host")
		assert.True(t, ok)
		assert.Equal(t, "db", host.Reveal())
	}
	host, _ := other.Field("host")
	assert.Equal(t, "elsewhere", host.Reveal())
	_, ok := c.Field("missing")
	assert.False(t, ok)
	_, ok = source.Credential{}.Field("missing")
	assert.False(t, ok)
	assert.Empty(t, source.Credential{}.FieldNames())
}

func TestCredentialDigest(t *testing.T) {
	base := credential("app", "pw", "host", "db")
	again := credential("app", "pw", "host", "db")
	again.Expires, again.Version = time.Now(), "named"
	assert.Equal(t, base.Digest(), again.Digest())
	assert.Regexp(t, `^local-[0-9a-f]{12}$`, base.Digest())

	seen := map[string]string{}
	for name, c := range map[string]source.Credential{
		"base":     base,
		"password": credential("app", "pw2", "host", "db"),
		"shifted":  credential("ap", "ppw", "host", "db"),
		"field":    credential("app", "pw", "host", "db2"),
		"name":     credential("app", "pw", "hostd", "b"),
		"none":     credential("app", "pw"),
		"as field": credential("app", "", "pw", ""),
		"two":      credential("app", "pw", "host", "", "db", ""),
		"lengths":  credential("app2:pw", ""),
		"zero":     {},
	} {
		d := c.Digest()
		assert.Empty(t, seen[d], "%s has the digest of another", name)
		seen[d] = name
	}
}

func TestF38_CredentialFormat(t *testing.T) {
	c := credential("app", canary, "api_key", canary)
	c.Version = "v7"
	assert.Equal(t, `credential of user "app" version "v7"`, c.String())
	c.Expires = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	assert.Equal(t, `credential of user "app" version "v7" until 2026-01-02T03:04:05Z`, c.String())
	c.Reason = "max_ttl"
	want := `credential of user "app" version "v7" until 2026-01-02T03:04:05Z (max_ttl)`
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%d", "%x"} {
		assert.Equal(t, want, fmt.Sprintf(verb, c))
	}
}
