package postgres_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/rotate/postgres"
	"github.com/rekey-go/rekey/source"
)

func decode(t *testing.T, b64 string) []byte {
	t.Helper()
	raw, err := base64.StdEncoding.DecodeString(b64)
	require.NoError(t, err)
	return raw
}

// The exchange of RFC 7677, section 3, is checked with our keys: the client's
// proof as a server does it, and the server's signature as a client does.
func TestVerifierOfRFC7677(t *testing.T) {
	const (
		salt    = "W22ZaJ0SNY7soEsUEjb6gQ=="
		nonce   = "rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
		message = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=" + nonce + ",s=" + salt + ",i=4096,c=biws,r=" + nonce
	)
	verifier, err := postgres.Verifier(source.NewSecret("pencil"), &postgres.VerifierOptions{Salt: decode(t, salt)})
	require.NoError(t, err)
	keys, ok := strings.CutPrefix(verifier.Reveal(), "SCRAM-SHA-256$4096:"+salt+"$")
	require.True(t, ok)
	stored64, server64, _ := strings.Cut(keys, ":")
	mac := func(key []byte) []byte {
		h := hmac.New(sha256.New, key)
		h.Write([]byte(message))
		return h.Sum(nil)
	}
	require.Equal(t, "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=", base64.StdEncoding.EncodeToString(mac(decode(t, server64))))
	clientKey := decode(t, "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=")
	for i, b := range mac(decode(t, stored64)) {
		clientKey[i] ^= b
	}
	sum := sha256.Sum256(clientKey)
	require.Equal(t, decode(t, stored64), sum[:])
}

func printable() (text string) {
	for c := ' '; c <= '~'; c++ {
		text += string(c)
	}
	return text
}

func TestLoginsByVerifier(t *testing.T) {
	r := newRole(t, "app")
	passwords := []string{
		printable(), " ", "  in between  ", "md5" + strings.Repeat("0", 32), `it's "quoted" \ $$`,
		strings.Repeat("long", 200),
	}
	for _, c := range printable() {
		passwords = append(passwords, string(c)+"x")
	}
	for _, text := range passwords {
		password := source.NewSecret(text)
		verifier, err := postgres.Verifier(password, nil)
		require.NoError(t, err)
		require.NoError(t, postgres.CheckVerifier(verifier))
		require.True(t, r.set(t, verifier).Equal(verifier), "it is stored as it is")
		require.NoError(t, r.login(t, text), "%q", text)
	}
	var pg *pgconn.PgError
	require.ErrorAs(t, r.login(t, "another"), &pg)
	require.Equal(t, "28P01", pg.Code)
}

func TestLoginsByOtherOptions(t *testing.T) {
	r := newRole(t, "app")
	for _, o := range []postgres.VerifierOptions{
		{Iterations: 4096},
		{Iterations: 100_000},
		{Salt: []byte("sixteen bytes it")},
		{Salt: bytes.Repeat([]byte{0, 0xff}, 32), Iterations: 5000},
	} {
		verifier, err := postgres.Verifier(source.NewSecret("secret"), &o)
		require.NoError(t, err)
		require.True(t, r.set(t, verifier).Equal(verifier))
		require.NoError(t, r.login(t, "secret"))
	}
}

func TestVerifiersDiffer(t *testing.T) {
	password := source.NewSecret("secret")
	one, err := postgres.Verifier(password, nil)
	require.NoError(t, err)
	two, err := postgres.Verifier(password, nil)
	require.NoError(t, err)
	require.False(t, one.Equal(two), "the salt is random")
	for _, v := range []source.Secret{one, two} {
		ok, err := postgres.Matches(v, password)
		require.NoError(t, err)
		require.True(t, ok)
		ok, err = postgres.Matches(v, source.NewSecret("secreT"))
		require.NoError(t, err)
		require.False(t, ok)
	}
	require.NotContains(t, fmt.Sprintf("%v %+v %#v", one, one, one), "SCRAM")
}

// What the server computes by itself is the same.
func TestMatchesTheServersVerifier(t *testing.T) {
	r := newRole(t, "app")
	for _, text := range []string{"secret", printable()} {
		stored := r.set(t, source.NewSecret(text))
		ok, err := postgres.Matches(stored, source.NewSecret(text))
		require.NoError(t, err)
		require.True(t, ok)
		ok, err = postgres.Matches(stored, source.NewSecret(text+"x"))
		require.NoError(t, err)
		require.False(t, ok)
	}
	var not *postgres.VerifierError
	_, err := postgres.Matches(source.NewSecret("md5"+strings.Repeat("0", 32)), source.NewSecret("secret"))
	require.ErrorAs(t, err, &not)
}

func TestPasswordsThatAreRefused(t *testing.T) {
	verifier, err := postgres.Verifier(source.NewSecret("x"), nil)
	require.NoError(t, err)
	for _, text := range []string{"", "tab\t", "line\n", "nul\x00", "\x7f", "grün", "ligature ﬁ", "no-break\u00a0space", "bad \xff"} {
		made, err := postgres.Verifier(source.NewSecret(text), nil)
		var password *postgres.PasswordError
		require.ErrorAs(t, err, &password, "%q", text)
		require.True(t, made.IsEmpty())
		if text != "" {
			require.Contains(t, err.Error(), "SASLprep")
			require.NotContains(t, err.Error(), text)
		}
		_, err = postgres.Matches(verifier, source.NewSecret(text))
		require.ErrorAs(t, err, &password)
	}
}

func TestVerifierOptions(t *testing.T) {
	for _, test := range []struct {
		o      postgres.VerifierOptions
		option string
	}{
		{postgres.VerifierOptions{Iterations: -1}, "Iterations"},
		{postgres.VerifierOptions{Iterations: 4095}, "Iterations"},
		{postgres.VerifierOptions{Iterations: 10_000_001}, "Iterations"},
		{postgres.VerifierOptions{Salt: []byte{}}, "Salt"},
		{postgres.VerifierOptions{Salt: make([]byte, 15)}, "Salt"},
		{postgres.VerifierOptions{Salt: make([]byte, 65)}, "Salt"},
	} {
		_, err := postgres.Verifier(source.NewSecret("secret"), &test.o)
		var option *postgres.OptionError
		require.ErrorAs(t, err, &option)
		require.Equal(t, test.option, option.Option)
	}
}

// malformed are verifiers with one mistake each, by the part that it is in.
func malformed() map[string]string {
	v, err := postgres.Verifier(source.NewSecret("secret"), &postgres.VerifierOptions{Salt: []byte("sixteen bytes it")})
	if err != nil {
		panic(err)
	}
	text := v.Reveal()
	keys := text[strings.LastIndex(text, "$")+1:]
	stored, server, _ := strings.Cut(keys, ":")
	const salt = "c2l4dGVlbiBieXRlcyBpdA=="
	return map[string]string{
		"":                                  "form",
		"secret":                            "form",
		strings.ToLower(text):               "form",
		" " + text:                          "form",
		strings.Replace(text, "$", "", 1):   "form",
		text + "$":                          "form",
		text[:strings.LastIndex(text, "$")]: "form",
		strings.Replace(text, "4096:", "4096", 1):      "salt",
		strings.Replace(text, "4096", "", 1):           "iterations",
		strings.Replace(text, "4096", "4k", 1):         "iterations",
		strings.Replace(text, salt, salt[:22], 1):      "salt",
		strings.Replace(text, salt, salt[:10]+"*A", 1): "salt",
		strings.Replace(text, salt, salt+"\n", 1):      "salt",
		strings.Replace(text, keys, stored, 1):         "ServerKey",
		strings.Replace(text, stored, "", 1):           "StoredKey",
		strings.Replace(text, stored, salt, 1):         "StoredKey",
		strings.Replace(text, server, "", 1):           "ServerKey",
		strings.Replace(text, server, server[:43], 1):  "ServerKey",
		text + ":": "ServerKey",
		text + " ": "ServerKey",
	}
}

// The server accepts each of them without a word: it takes them for passwords, or,
// PostgreSQL 18, some for verifiers that nobody can log in by. We do not.
func TestMalformedVerifiersAreFound(t *testing.T) {
	r := newRole(t, "app")
	for text, part := range malformed() {
		var not *postgres.VerifierError
		require.ErrorAs(t, postgres.CheckVerifier(source.NewSecret(text)), &not, "%q", text)
		require.Equal(t, part, not.Part, "%q", text)
		if text != "" && text != "secret" {
			require.NotContains(t, not.Error(), text)
			r.set(t, source.NewSecret(text))
			require.Error(t, r.login(t, "secret"), "%q", text)
		}
	}
}

// Whatever passes our check is taken by the server as it is.
func FuzzCheckVerifier(f *testing.F) {
	r := newRole(f, "fuzz")
	verifier, err := postgres.Verifier(source.NewSecret("secret"), nil)
	require.NoError(f, err)
	f.Add(verifier.Reveal())
	f.Add("SCRAM-SHA-256$1:AA==$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=")
	for text := range malformed() {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		if err := postgres.CheckVerifier(source.NewSecret(text)); err != nil {
			require.ErrorAs(t, err, new(*postgres.VerifierError))
			return
		}
		require.Equal(t, text, r.set(t, source.NewSecret(text)).Reveal())
	})
}

func FuzzVerifier(f *testing.F) {
	f.Add("secret", []byte("sixteen bytes it"), 4096)
	f.Add("", []byte{}, 0)
	f.Fuzz(func(t *testing.T, text string, salt []byte, iterations int) {
		password := source.NewSecret(text)
		verifier, err := postgres.Verifier(password, &postgres.VerifierOptions{Salt: salt, Iterations: iterations % 10_000})
		if err != nil {
			require.True(t, errors.As(err, new(*postgres.OptionError)) || errors.As(err, new(*postgres.PasswordError)))
			return
		}
		require.NoError(t, postgres.CheckVerifier(verifier))
		ok, err := postgres.Matches(verifier, password)
		require.NoError(t, err)
		require.True(t, ok)
	})
}
