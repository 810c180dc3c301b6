package kubernetes

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"unicode/utf8"

	core "k8s.io/api/core/v1"

	"github.com/rekey-go/rekey/rotate/internal/beside"
	"github.com/rekey-go/rekey/source"
)

// envelopeKey is the key of the Secret beside that holds all of it, as JSON.
const envelopeKey = "envelope"

// document is what a Secret holds.
func (s *secrets) document(w beside.Which, from *core.Secret) (beside.Document, error) {
	d := beside.Document{Version: from.ResourceVersion}
	if w == beside.Secret {
		d.Data = make(map[string]any, len(from.Data))
		for key, value := range from.Data {
			d.Data[key] = string(value)
		}
		return d, nil
	}
	text := from.Data[envelopeKey]
	if len(bytes.TrimSpace(text)) == 0 { // somebody has made the Secret beforehand
		return d, nil
	}
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.UseNumber()
	err := dec.Decode(&d.Data)
	if _, more := dec.Token(); err != nil || d.Data == nil || !errors.Is(more, io.EOF) {
		// The decoder's words may quote it.
		return beside.Document{}, &source.FieldError{Where: s.Where(w), Field: envelopeKey, Problem: "is not what a rotation writes; did something else write here?"}
	}
	return d, nil
}

// fill puts data into a Secret. What is not its business stays.
func (s *secrets) fill(w beside.Which, into *core.Secret, data map[string]any) error {
	if w == beside.Envelope {
		text, err := json.Marshal(data)
		if err != nil {
			return errors.New("kubernetes: the envelope is not JSON") // cannot be, and its words may quote it
		}
		if into.Data == nil {
			into.Data = make(map[string][]byte, 1)
		}
		into.Data[envelopeKey] = text
		return nil
	}
	filled := make(map[string][]byte, len(data))
	for key, value := range data {
		text, ok := value.(string)
		if !ok {
			return &source.FieldError{Where: s.Where(w), Field: key, Problem: "is not a text; a Secret holds nothing else"}
		}
		filled[key] = []byte(text)
	}
	into.Data = filled
	return nil
}

// text refuses what the envelope, which is JSON, cannot keep: a new value of a key,
// or the one that it takes the place of, that is not text.
func (s *secrets) text(key string, old []byte, value string) error {
	if utf8.ValidString(value) && utf8.Valid(old) {
		return nil
	}
	return &source.FieldError{Where: s.Where(beside.Secret), Field: key, Problem: "is not valid UTF-8; a rotation changes texts only, so keep it in base64 or PEM"}
}
