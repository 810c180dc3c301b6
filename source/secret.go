package source

import (
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
)

// Redacted is what a [Secret] prints as, whatever the verb or encoding.
const Redacted = "[redacted]"

// A Secret is a text that does not show itself: package fmt with any verb,
// encoding/json, log/slog and text encoders all print [Redacted], also when the
// secret is deep inside another value. [Secret.Reveal] is the only way to it.
//
// The zero Secret is empty. Secrets are immutable and safe for concurrent use.
// They cannot be compared with ==; use [Secret.Equal].
type Secret struct {
	// A closure, because fmt follows unexported strings and byte slices but
	// cannot look into a function.
	reveal func() string
}

// NewSecret hides text.
func NewSecret(text string) Secret {
	if text == "" {
		return Secret{}
	}
	return Secret{reveal: func() string { return text }}
}

// Reveal returns the text. What is done with it from here on is on the caller.
func (s Secret) Reveal() string {
	if s.reveal == nil {
		return ""
	}
	return s.reveal()
}

// IsEmpty reports whether there is no text.
func (s Secret) IsEmpty() bool { return s.reveal == nil }

// Equal reports whether two secrets hold the same text, in a time that tells
// nothing about where they differ.
func (s Secret) Equal(other Secret) bool {
	return subtle.ConstantTimeCompare([]byte(s.Reveal()), []byte(other.Reveal())) == 1
}

// String returns [Redacted].
func (s Secret) String() string { return Redacted }

// Format prints [Redacted] for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, Redacted) }

// LogValue returns [Redacted] for log/slog.
func (s Secret) LogValue() slog.Value { return slog.StringValue(Redacted) }

// MarshalText returns [Redacted].
func (s Secret) MarshalText() ([]byte, error) { return []byte(Redacted), nil }

// UnmarshalText takes text as the secret. It refuses [Redacted], which is what
// comes back when a printed configuration is read in again.
func (s *Secret) UnmarshalText(text []byte) error {
	if string(text) == Redacted {
		return errors.New("source: the secret reads " + Redacted + ": it was printed by a Secret and lost; take it from the store again")
	}
	*s = NewSecret(string(text))
	return nil
}

// UnmarshalJSON takes a JSON string as the secret, like [Secret.UnmarshalText].
func (s *Secret) UnmarshalJSON(data []byte) error {
	var text *string
	// The decoder's own error would quote the value.
	if err := json.Unmarshal(data, &text); err != nil || text == nil {
		return errors.New("source: a secret must be a JSON string")
	}
	return s.UnmarshalText([]byte(*text))
}
