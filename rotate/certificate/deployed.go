package certificate

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/keypair"
)

// deployed is what the document holds.
type deployed struct {
	Username string `json:"username"`
	Password string `json:"password"`
	Chain    string `json:"tls.crt"`
	Token    string `json:"rekey_version,omitempty"`

	// Spent are rotations that must not be deployed any more, latest last, with
	// blanks between them.
	Spent string `json:"rekey_spent,omitempty"`
}

// mostSpent bounds the spent rotations that the document keeps.
const mostSpent = 8

// parse reads a document; an empty one holds nothing.
func parse(text []byte) (d deployed, err error) {
	if len(text) == 0 {
		return d, nil
	}
	if json.Unmarshal(text, &d) != nil { // the error might quote the key
		return d, errors.New("certificate: the document is not one that this package has written")
	}
	return d, nil
}

func (d deployed) text() ([]byte, error) { return json.MarshalIndent(d, "", "  ") }

// is reports whether a credential is what is deployed.
func (d deployed) is(c source.Credential) bool {
	chain, _ := c.Field(keypair.ChainField)
	return d.Chain == chain.Reveal() && source.NewSecret(d.Password).Equal(c.Password)
}

// from reports whether what c begins at is deployed, by its token, or because
// people have deployed it.
func (d deployed) from(c rotate.Change) bool {
	return d.Chain == "" || d.Token == "" || d.Token == c.From.Version || d.is(c.From)
}

// put deploys a credential.
func (d deployed) put(c source.Credential, token string) deployed {
	chain, _ := c.Field(keypair.ChainField)
	d.Username, d.Password, d.Chain, d.Token = c.Username, c.Password.Reveal(), chain.Reveal(), token
	return d
}

// spend adds a rotation that must not happen any more.
func (d deployed) spend(token string) deployed {
	if !d.spent(token) {
		all := append(strings.Fields(d.Spent), url.QueryEscape(token))
		d.Spent = strings.Join(all[max(0, len(all)-mostSpent):], " ")
	}
	return d
}

func (d deployed) spent(token string) bool {
	return slices.Contains(strings.Fields(d.Spent), url.QueryEscape(token))
}

// set is what the rotation of c makes of d.
func (d deployed) set(c rotate.Change) (deployed, error) {
	switch {
	case d.spent(c.Token):
		return d, fmt.Errorf("certificate: rotation %q has been undone: %w", c.Token, rotate.ErrUnfit)
	case d.Token == c.Token && d.is(c.To):
		return d, nil
	case d.Token != c.Token && !d.from(c):
		return d, fmt.Errorf("certificate: what is deployed is of rotation %q, not of %q, which this one follows: %w", d.Token, c.From.Version, rotate.ErrConflict)
	}
	return d.put(c.To, c.Token), nil
}

// undo is what taking back the rotation of c makes of d.
func (d deployed) undo(c rotate.Change) (deployed, error) {
	switch {
	case d.Token == c.Token:
		return d.put(c.From, c.From.Version).spend(c.Token), nil
	case d.from(c):
		return d.spend(c.Token), nil
	}
	return d, fmt.Errorf("certificate: what is deployed is of rotation %q, not of %q: %w", d.Token, c.Token, rotate.ErrConflict)
}
