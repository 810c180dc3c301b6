package keys

import (
	"net/url"
	"strings"
)

// A label says what rotations have done with a key.
type label struct {
	state state
	token string // the rotation that made the key; empty: people have
	after string // the ID of the key that was current before
}

type state string

const (
	foreign state = ""      // no rotation has to do with it
	drawn   state = "drawn" // not set yet
	set     state = "set"
	off     state = "off" // disabled, to be removed
)

const (
	prefix = "rekey"
	none   = "-" // in place of a token or an ID
)

// parseLabel returns the zero label for what no rotation has written.
func parseLabel(text string) label {
	parts := strings.Split(text, " ")
	if len(parts) != 4 || parts[0] != prefix {
		return label{}
	}
	token, tokenOK := unescape(parts[2])
	after, afterOK := unescape(parts[3])
	switch s := state(parts[1]); {
	case !tokenOK || !afterOK:
	case s == drawn, s == set, s == off:
		return label{s, token, after}
	}
	return label{}
}

func (l label) String() string {
	return strings.Join([]string{prefix, string(l.state), escape(l.token), escape(l.after)}, " ")
}

// escape is that of URLs with "=" in place of "%", which tags do not take.
func escape(text string) string {
	switch text {
	case "":
		return none
	case none:
		return "=2D"
	}
	return strings.ReplaceAll(url.QueryEscape(text), "%", "=")
}

func unescape(text string) (string, bool) {
	if text == none {
		return "", true
	}
	got, err := url.QueryUnescape(strings.ReplaceAll(text, "=", "%"))
	return got, err == nil && escape(got) == text
}
