package source_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/source"
)

const canary = "CANARY-x7Qz'\"@/:#% \\ü"

// assertNoCanary fails if text shows the canary or a recognisable encoding.
func assertNoCanary(t *testing.T, text string) {
	t.Helper()
	for _, shape := range []string{"CANARY", fmt.Sprintf("%x", "CANARY"), fmt.Sprintf("%X", "CANARY"), "67 65 78 65 82 89", "0x43, 0x41, 0x4e"} {
		assert.NotContains(t, text, shape)
	}
}

type nested struct {
	Exported   source.Secret
	unexported source.Secret
	inMap      map[string]source.Secret
	inSlice    []source.Secret
	inAny      any
	pointer    *source.Secret
}

func TestF38_SecretNeverPrints(t *testing.T) {
	s := source.NewSecret(canary)
	deep := nested{s, s, map[string]source.Secret{"k": s}, []source.Secret{s}, s, &s}
	values := map[string]any{
		"value":   s,
		"pointer": &s,
		"nested":  deep,
		"deeper":  []any{&deep, map[string]any{"k": struct{ n nested }{deep}}},
		"credential": source.Credential{Username: "app", Password: s}.
			WithFields(map[string]source.Secret{"api_key": s}),
	}
	for name, v := range values {
		t.Run(name, func(t *testing.T) {
			for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%t", "%c", "%U", "%e", "%T"} {
				assertNoCanary(t, fmt.Sprintf(verb, v))
			}
			assertNoCanary(t, fmt.Sprint(v))
			assertNoCanary(t, fmt.Errorf("wrapped: %v", v).Error())

			encoded, err := json.Marshal(v)
			require.NoError(t, err)
			assertNoCanary(t, string(encoded))

			var log bytes.Buffer
			for _, handler := range []slog.Handler{slog.NewTextHandler(&log, nil), slog.NewJSONHandler(&log, nil)} {
				slog.New(handler).Info("m", "v", v, slog.Group("g", "v", v))
			}
			assertNoCanary(t, log.String())

			func() {
				defer func() { assertNoCanary(t, fmt.Sprint(recover())) }()
				panic(v)
			}()
		})
	}
	assert.Equal(t, canary, s.Reveal())
	assert.Equal(t, "[redacted]", s.String())
}

func TestSecretEqual(t *testing.T) {
	assert.True(t, source.NewSecret("a").Equal(source.NewSecret("a")))
	assert.False(t, source.NewSecret("a").Equal(source.NewSecret("b")))
	assert.False(t, source.NewSecret("a").Equal(source.NewSecret("aa")))
	assert.True(t, source.NewSecret("").Equal(source.Secret{}))
	assert.True(t, source.NewSecret("").IsEmpty())
	assert.False(t, source.NewSecret("a").IsEmpty())
	assert.Empty(t, source.Secret{}.Reveal())
}

func TestF36_SecretKeepsOddText(t *testing.T) {
	for _, text := range []string{canary, "x host=evil", " ", "\x00", "\xff\xfe", strings.Repeat("å", 1000)} {
		assert.Equal(t, text, source.NewSecret(text).Reveal())
	}
}

func TestSecretUnmarshal(t *testing.T) {
	var config struct{ Password source.Secret }
	require.NoError(t, json.Unmarshal([]byte(`{"Password": "from the file"}`), &config))
	assert.Equal(t, "from the file", config.Password.Reveal())

	printed, err := json.Marshal(config)
	require.NoError(t, err)
	err = json.Unmarshal(printed, &config)
	require.ErrorContains(t, err, "[redacted]")
	assert.Equal(t, "from the file", config.Password.Reveal(), "a failed decode leaves the secret alone")

	var s source.Secret
	require.Error(t, s.UnmarshalText([]byte(source.Redacted)))
	require.NoError(t, s.UnmarshalText([]byte("plain")))
	assert.Equal(t, "plain", s.Reveal())
}

func TestF37_SecretUnmarshalRefusesOtherTypes(t *testing.T) {
	for _, data := range []string{`8812394`, `null`, `{"k":"CANARY"}`, `["CANARY"]`, `true`, `"CANARY`, ``} {
		var s source.Secret
		err := s.UnmarshalJSON([]byte(data))
		require.Error(t, err, data)
		assertNoCanary(t, err.Error())
		assert.NotContains(t, err.Error(), "8812394")
		assert.True(t, s.IsEmpty())
		assert.NoError(t, errors.Unwrap(err), "nothing inside could quote the value")
	}
}
