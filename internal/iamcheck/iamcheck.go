// Package iamcheck judges the tokens of RDS IAM as RDS does, for tests: a
// [Checker] recomputes the signature, and a [Gate] puts it behind PAM, where
// PostgreSQL and MariaDB ask it at a login.
//
// It is written from the description of Signature Version 4 and shares no code
// with the signer of the SDK, so that one can be held against the other.
package iamcheck

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A Key is an access key that IAM knows.
type Key struct {
	Secret       string
	SessionToken string    // of temporary credentials; empty: they are lasting
	Expires      time.Time // of temporary credentials; zero: never
}

// A Checker judges tokens for one database.
type Checker struct {
	Endpoint string         // host:port, as the token must name it
	Region   string         // that the token must be signed for
	Keys     map[string]Key // by access key ID

	// Window is how long after its signature a token is good for a login. Zero:
	// as long as it says, at most 15 min.
	Window time.Duration

	// Since is when the oldest token was signed that is taken for good. Zero:
	// any is.
	Since time.Time
}

const (
	longestWindow = 15 * time.Minute
	longestSkew   = 5 * time.Minute // of a token that is signed in the future
	amzTime       = "20060102T150405Z"
	service       = "rds-db"
	algorithm     = "AWS4-HMAC-SHA256"
)

// Check returns nil if token lets user log in now, or else why it does not.
func (c *Checker) Check(user, token string, now time.Time) error {
	t, err := parse(token)
	if err != nil {
		return err
	}
	switch {
	case t.host != c.Endpoint:
		return fmt.Errorf("it is for %q, not for %q", t.host, c.Endpoint)
	case t.query.Get("Action") != "connect":
		return errors.New("it does not ask to connect")
	case t.query.Get("DBUser") != user:
		return fmt.Errorf("it is for user %q, not for %q", t.query.Get("DBUser"), user)
	case t.query.Get("X-Amz-Algorithm") != algorithm, t.query.Get("X-Amz-SignedHeaders") != "host":
		return errors.New("it is not signed as it should be")
	}
	if err := c.checkTime(t, now); err != nil {
		return err
	}
	return c.checkSignature(t, now)
}

// A token is a URL of which the scheme has been left out.
type token struct {
	host  string
	query url.Values
}

func parse(text string) (token, error) {
	bad := errors.New("it is not a token") // without the text
	rest, query, ok := strings.Cut(text, "?")
	if !ok {
		return token{}, bad
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return token{}, bad
	}
	for _, v := range values {
		if len(v) != 1 {
			return token{}, bad
		}
	}
	return token{strings.TrimSuffix(rest, "/"), values}, nil
}

func (c *Checker) checkTime(t token, now time.Time) error {
	signed, err := time.Parse(amzTime, t.query.Get("X-Amz-Date"))
	if err != nil {
		return errors.New("it has no date")
	}
	seconds, err := strconv.Atoi(t.query.Get("X-Amz-Expires"))
	window := time.Duration(seconds) * time.Second
	if err != nil || window <= 0 || window > longestWindow {
		return errors.New("it has no proper lifetime")
	}
	if c.Window > 0 {
		window = min(window, c.Window)
	}
	switch age := now.Sub(signed); {
	case age < -longestSkew:
		return errors.New("it is signed in the future")
	case age >= window, signed.Before(c.Since):
		return errors.New("it has expired")
	}
	return nil
}

func (c *Checker) checkSignature(t token, now time.Time) error {
	id, scope, _ := strings.Cut(t.query.Get("X-Amz-Credential"), "/")
	date := t.query.Get("X-Amz-Date")
	if want := strings.Join([]string{date[:8], c.Region, service, "aws4_request"}, "/"); scope != want {
		return fmt.Errorf("its scope is %q, not %q", scope, want)
	}
	key, known := c.Keys[id]
	switch {
	case !known:
		return fmt.Errorf("nobody has the access key %q", id)
	case t.query.Get("X-Amz-Security-Token") != key.SessionToken:
		return errors.New("its session token is not the one of the access key")
	case !key.Expires.IsZero() && !now.Before(key.Expires):
		return errors.New("the credentials that it is signed with have expired")
	}
	request := strings.Join([]string{"GET", "/", canonical(t.query), "host:" + t.host, "", "host", hexSum("")}, "\n")
	text := strings.Join([]string{algorithm, date, scope, hexSum(request)}, "\n")
	signing := []byte("AWS4" + key.Secret)
	for part := range strings.SplitSeq(scope, "/") {
		signing = sign(signing, part)
	}
	want := hex.EncodeToString(sign(signing, text))
	if subtle.ConstantTimeCompare([]byte(want), []byte(t.query.Get("X-Amz-Signature"))) != 1 {
		return errors.New("its signature is wrong")
	}
	return nil
}

// canonical writes all parameters but the signature as the signature has them.
func canonical(query url.Values) string {
	var pairs []string
	for name, values := range query {
		if name != "X-Amz-Signature" {
			pairs = append(pairs, escape(name)+"="+escape(values[0]))
		}
	}
	slices.Sort(pairs)
	return strings.Join(pairs, "&")
}

// escape leaves the unreserved characters of RFC 3986 as they are.
func escape(text string) string {
	const unreserved = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
	var b strings.Builder
	for i := range len(text) {
		if strings.IndexByte(unreserved, text[i]) >= 0 {
			b.WriteByte(text[i])
		} else {
			fmt.Fprintf(&b, "%%%02X", text[i])
		}
	}
	return b.String()
}

func hexSum(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func sign(key []byte, text string) []byte {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(text))
	return mac.Sum(nil)
}
