package vault

import (
	"bytes"
	"time"

	"github.com/rekey-go/rekey/source"
)

// Parse functions take an answer's body as Vault would send it to a request
// that began at began.

func ParseDynamic(body []byte, began time.Time, o *Options) (source.Credential, error) {
	d := Dynamic(nil, "database/creds/app", o).(*dynamic)
	got, err := parsed(d.read, body, began)
	if err != nil {
		return source.Credential{}, err
	}
	return d.parse(got)
}

func ParseStatic(body []byte, began time.Time, o *Options) (source.Credential, error) {
	s := Static(nil, "database/static-creds/app", o).(*static)
	got, err := parsed(s.read, body, began)
	if err != nil {
		return source.Credential{}, err
	}
	return s.parse(got)
}

func ParseKV(body []byte, began time.Time, o *Options) (source.Credential, error) {
	k := KV(nil, "secret", "app", o).(*kv)
	got, err := parsed(k.read, body, began)
	if err != nil {
		return source.Credential{}, err
	}
	return k.parse(got)
}

func parsed(r request, body []byte, began time.Time) (answer, error) {
	s, err := parseAnswer(r, bytes.NewReader(body))
	return answer{s, &token{}, began}, err
}

// A Token is what tests see of a token.
type Token struct {
	Issued, End, ParentEnd time.Time
	TTL                    time.Duration
	Renewable              bool
}

func (t Token) token() *token {
	return &token{issued: t.Issued, end: t.End, parentEnd: t.ParentEnd, ttl: t.TTL, renewable: t.Renewable}
}

func (t Token) AttendAt(canLogin bool, rnd float64) time.Time {
	return t.token().attendAt(canLogin, rnd)
}

func (t Token) Bound(end time.Time, reason string) (time.Time, string) {
	return t.token().bound(end, reason)
}

func ParseLookup(body []byte, began time.Time) (Token, error) {
	s, err := parseAnswer(lookupSelf, bytes.NewReader(body))
	if err != nil {
		return Token{}, err
	}
	t, err := fromLookup(lookupSelf, source.NewSecret("hvs.x"), s, began)
	if err != nil {
		return Token{}, err
	}
	return Token{t.issued, t.end, t.parentEnd, t.ttl, t.renewable}, nil
}

func ParseAuth(body []byte, began time.Time) (Token, error) {
	s, err := parseAnswer(loginOrRenewal, bytes.NewReader(body))
	if err != nil {
		return Token{}, err
	}
	t, err := fromAuth(loginOrRenewal, s, began)
	if err != nil {
		return Token{}, err
	}
	return Token{t.issued, t.end, t.parentEnd, t.ttl, t.renewable}, nil
}

func ParseRenewal(body []byte, asked time.Duration, began time.Time) (t Token, more bool, err error) {
	s, err := parseAnswer(loginOrRenewal, bytes.NewReader(body))
	if err != nil {
		return Token{}, false, err
	}
	next, more, err := (&token{ttl: asked}).renewedFrom(loginOrRenewal, s, began)
	if err != nil {
		return Token{}, false, err
	}
	return Token{next.issued, next.end, next.parentEnd, next.ttl, next.renewable}, more, nil
}

var RecheckAt = recheckAt

// Settled reports whether a token that is refused something would be asked about.
func Settled(s *Session) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return time.Since(s.answered) >= settledFor
}

func TokenOf(s *Session) string { return s.now().secret.Reveal() }
