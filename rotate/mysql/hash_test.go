package mysql_test

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/mysqlserver"
	"github.com/rekey-go/rekey/rotate/mysql"
	"github.com/rekey-go/rekey/source"
)

// passwords are odd ones, with every printable character of ASCII.
func passwords() []string {
	var all string
	for c := ' '; c <= '~'; c++ {
		all += string(c)
	}
	texts := []string{all, " ", "x", "grün €😀", "line\n\ttab", strings.Repeat("x", 256)}
	for _, n := range []int{31, 32, 33, 63, 64, 65} { // around the sizes of SHA-256
		texts = append(texts, strings.Repeat("y", n))
	}
	return texts
}

func TestLoginsByCachingSHA2Hash(t *testing.T) {
	s := newSession(t, mysqlserver.MySQL, "ANSI_QUOTES")
	user := "app" + rand.Text()[:8]
	account, err := mysql.Account(user, "%")
	require.NoError(t, err)
	s.user(t, account)
	for i, text := range passwords() {
		for _, o := range []*mysql.HashOptions{nil, {Rounds: 10_000}} {
			hash, err := mysql.CachingSHA2Hash(source.NewSecret(text), o)
			require.NoError(t, err)
			literal, err := mysql.Literal(hash.Reveal(), s.mode)
			require.NoError(t, err)
			if i%2 == 0 {
				literal = "0x" + hex.EncodeToString([]byte(hash.Reveal())) // as SHOW CREATE USER may say it
			}
			s.exec(t, "alter user "+account+" identified with caching_sha2_password as "+literal)
			require.True(t, s.stored(t, user).Equal(hash), "it is stored as it is")
			require.NoError(t, s.login(t, user, text), "%q", text)
			require.NoError(t, s.login(t, user, text), "from the cache: %q", text)
			refused(t, s.login(t, user, text[:len(text)-1]+"?!"))
		}
	}
}

func TestMatchesMySQLsHash(t *testing.T) {
	s := newSession(t, mysqlserver.MySQL, "ANSI_QUOTES")
	user := "app" + rand.Text()[:8]
	account, err := mysql.Account(user, "%")
	require.NoError(t, err)
	s.user(t, account)
	for _, text := range passwords() {
		literal, err := mysql.Literal(text, s.mode)
		require.NoError(t, err)
		s.exec(t, "alter user "+account+" identified by "+literal)
		stored := s.stored(t, user)
		ok, err := mysql.Matches(stored, source.NewSecret(text))
		require.NoError(t, err)
		require.True(t, ok, "%q", text)
		ok, err = mysql.Matches(stored, source.NewSecret(text[1:]+"!"))
		require.NoError(t, err)
		require.False(t, ok)
	}
}

func TestLoginsByNativeHash(t *testing.T) {
	s := newSession(t, mysqlserver.MariaDB, "ANSI_QUOTES")
	user := "app" + rand.Text()[:8]
	account, err := mysql.Account(user, "%")
	require.NoError(t, err)
	s.user(t, account)
	old := "nothing"
	for _, text := range append(passwords(), strings.Repeat("x", 1000)) {
		hash, err := mysql.NativeHash(source.NewSecret(text))
		require.NoError(t, err)
		s.exec(t, "alter user "+account+" identified via mysql_native_password using '"+hash.Reveal()+"'")
		require.True(t, s.stored(t, user).Equal(hash))
		require.NoError(t, s.login(t, user, text), "%q", text)
		refused(t, s.login(t, user, old))
		old = text

		// The server's own.
		literal, err := mysql.Literal(text, s.mode)
		require.NoError(t, err)
		s.exec(t, "alter user "+account+" identified by "+literal)
		require.True(t, s.stored(t, user).Equal(hash))
		ok, err := mysql.Matches(s.stored(t, user), source.NewSecret(text))
		require.NoError(t, err)
		require.True(t, ok)
		ok, err = mysql.Matches(s.stored(t, user), source.NewSecret(text+"x"))
		require.NoError(t, err)
		require.False(t, ok)
	}
}

func TestHashesAreSecrets(t *testing.T) {
	password := source.NewSecret("secret")
	one, err := mysql.CachingSHA2Hash(password, nil)
	require.NoError(t, err)
	two, err := mysql.CachingSHA2Hash(password, nil)
	require.NoError(t, err)
	require.False(t, one.Equal(two), "the salt is random")
	require.Regexp(t, `^\$A\$005\$[0-9A-Z]{20}[./0-9A-Za-z]{43}$`, one.Reveal())
	require.Equal(t, "[redacted]", fmt.Sprint(one))
	three, err := mysql.NativeHash(password)
	require.NoError(t, err)
	require.Equal(t, "*14E65567ABDB5135D0CFD9A70B3032C179A49EE7", three.Reveal())
	require.Equal(t, "[redacted]", fmt.Sprint(three))
}

func TestPasswordsThatAreRefused(t *testing.T) {
	for _, text := range []string{"", "nul\x00", strings.Repeat("x", 257)} {
		var password *mysql.PasswordError
		_, err := mysql.CachingSHA2Hash(source.NewSecret(text), nil)
		require.ErrorAs(t, err, &password)
		if len(text) < 10 {
			_, err = mysql.NativeHash(source.NewSecret(text))
			require.ErrorAs(t, err, &password)
		}
	}
	for _, rounds := range []int{-5000, 1000, 5001, 4_096_000} {
		_, err := mysql.CachingSHA2Hash(source.NewSecret("secret"), &mysql.HashOptions{Rounds: rounds})
		var option *mysql.OptionError
		require.ErrorAs(t, err, &option)
		require.Equal(t, "Rounds", option.Option)
	}
}

func TestTextsThatAreNoHash(t *testing.T) {
	hash, err := mysql.CachingSHA2Hash(source.NewSecret("secret"), nil)
	require.NoError(t, err)
	text := hash.Reveal()
	for _, wrong := range []string{
		"", "secret", "*", "*14E65567", "*" + strings.Repeat("g", 40), "$A$005$", text[1:], text + "A", text[:len(text)-1],
		strings.Replace(text, "$005$", "$5$", 1), strings.Replace(text, "$A$", "$B$", 1), text[:len(text)-1] + "*",
	} {
		_, err := mysql.Matches(source.NewSecret(wrong), source.NewSecret("secret"))
		var not *mysql.HashError
		require.ErrorAs(t, err, &not, "%q", wrong)
	}
	// MySQL's own accounts have a hash that nothing matches.
	locked := source.NewSecret("$A$005$THISISACOMBINATIONOFINVALIDSALTANDPASSWORDTHATMUSTNEVERBRBEUSED")
	ok, err := mysql.Matches(locked, source.NewSecret("secret"))
	require.NoError(t, err)
	require.False(t, ok)
	none := source.NewSecret(strings.Replace(text, "$005$", "$000$", 1))
	ok, err = mysql.Matches(none, source.NewSecret("secret"))
	require.NoError(t, err)
	require.False(t, ok)
}

func FuzzHash(f *testing.F) {
	for _, text := range passwords() {
		f.Add(text, "")
	}
	f.Add("secret", "$A$FFF$")
	f.Fuzz(func(t *testing.T, text, other string) {
		password := source.NewSecret(text)
		for _, hash := range []func() (source.Secret, error){
			func() (source.Secret, error) { return mysql.NativeHash(password) },
			func() (source.Secret, error) { return mysql.CachingSHA2Hash(password, nil) },
		} {
			made, err := hash()
			if err != nil {
				require.True(t, errors.As(err, new(*mysql.PasswordError)))
				continue
			}
			ok, err := mysql.Matches(made, password)
			require.NoError(t, err)
			require.True(t, ok)
			ok, err = mysql.Matches(made, source.NewSecret(other))
			require.NoError(t, err)
			require.Equal(t, other == text, ok)
		}
		if _, err := mysql.Matches(source.NewSecret(other), password); err != nil {
			require.ErrorAs(t, err, new(*mysql.HashError))
		}
	})
}
