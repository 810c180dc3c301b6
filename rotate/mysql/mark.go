package mysql

import (
	"encoding/json"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf16"
)

// A mark is what a rotation writes down about a user: into its attribute
// (MySQL), or into the table rotation (MariaDB).
type mark struct {
	Token  string    `json:"token"`  // the rotation that changed the user last; empty: it was undone
	At     time.Time `json:"at"`     // when, by the server's clock; zero: there is no mark
	After  string    `json:"after"`  // the version that was current before
	Old    bool      `json:"old"`    // the password of that version is accepted as well
	Spent  []string  `json:"spent"`  // rotations that must not happen here any more, latest last
	Last   uint64    `json:"last"`   // the youngest session before the change
	Gone   uint64    `json:"gone"`   // the youngest one before the older password was discarded
	Server string    `json:"server"` // on which it was
	Start  int64     `json:"start"`  // when that was started, in its Unix time, which numbers sessions anew; zero: not known
}

// mostSpent bounds the spent rotations that a mark keeps.
const mostSpent = 8

// set is the mark that follows m when rotation token, which began at version
// after, changes the user. Two rotations that began at one version exclude each
// other: the earlier one has been given up.
func (m mark) set(token, after string) mark {
	if m.Token != "" && m.Token != token && m.After == after && after != "" {
		m = m.spend(m.Token)
	}
	m.Token, m.After, m.Gone = token, after, 0
	return m
}

// spend adds a rotation that must not happen any more.
func (m mark) spend(token string) mark {
	if !slices.Contains(m.Spent, token) {
		m.Spent = append(slices.Clone(m.Spent), token)
		m.Spent = m.Spent[max(0, len(m.Spent)-mostSpent):]
	}
	return m
}

// same reports whether two marks say the same, whenever.
func (m mark) same(n mark) bool {
	return !m.At.IsZero() && m.Token == n.Token && m.After == n.After && m.Old == n.Old && slices.Equal(m.Spent, n.Spent)
}

// parseMark reads a mark. What is none is a zero mark: somebody has been there.
func parseMark(text []byte) mark {
	var m mark
	if json.Unmarshal(text, &m) != nil || m.At.IsZero() {
		return mark{}
	}
	return m
}

// text writes a mark in ASCII, so that no character set can change it.
func (m mark) text() string {
	text, err := json.Marshal(m)
	if err != nil { // a year that has no four digits
		m.At = time.Time{}
		text, _ = json.Marshal(m)
	}
	var b strings.Builder
	for _, c := range string(text) {
		if c < 0x80 {
			b.WriteRune(c)
			continue
		}
		for _, unit := range utf16.Encode([]rune{c}) {
			b.WriteString(`\u` + strconv.FormatUint(uint64(unit)|0x10000, 16)[1:])
		}
	}
	return b.String()
}
