package vaultserver

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// Client speaks to one Vault with one token. The zero token asks without one.
// It keeps no connections, so nothing is left to close.
type Client struct {
	Addr  string // http://host:port
	Token string
}

// Response is what Vault answers. Fields that an answer lacks are zero.
type Response struct {
	LeaseID       string         `json:"lease_id"`
	LeaseDuration int            `json:"lease_duration"` // seconds
	Renewable     bool           `json:"renewable"`
	Data          map[string]any `json:"data"`
	Warnings      []string       `json:"warnings"`
	Auth          *Auth          `json:"auth"`

	Status int    `json:"-"` // HTTP
	Body   []byte `json:"-"` // for what the fields above do not show
}

// Auth is the part of an answer that holds a token.
type Auth struct {
	ClientToken   string   `json:"client_token"`
	Accessor      string   `json:"accessor"`
	Policies      []string `json:"policies"`
	LeaseDuration int      `json:"lease_duration"` // seconds
	Renewable     bool     `json:"renewable"`
}

// Error is an answer with a status of 400 and above.
type Error struct {
	Method, Path string
	Status       int
	Messages     []string
}

func (e *Error) Error() string {
	return fmt.Sprintf("vault: %s %s: %d %s", e.Method, e.Path, e.Status, strings.Join(e.Messages, "; "))
}

// Do sends a request to /v1/path, with in as JSON unless it is nil. An answer
// of 400 and above is an *Error. LIST is a method as any other.
func (c *Client) Do(ctx context.Context, method, path string, in any) (*Response, error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return nil, fmt.Errorf("vault: %s %s: %w", method, path, err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.Addr+"/v1/"+path, body)
	if err != nil {
		return nil, err
	}
	if c.Token != "" {
		req.Header.Set("X-Vault-Token", c.Token)
	}
	req.Header.Set("X-Vault-Request", "true")
	req.Close = true
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close() //nolint:errcheck // it was read to its end
	out := &Response{Status: res.StatusCode}
	if out.Body, err = io.ReadAll(res.Body); err != nil {
		return nil, err
	}
	if res.StatusCode >= http.StatusBadRequest {
		return nil, failure(method, path, out)
	}
	if len(out.Body) == 0 {
		return out, nil
	}
	if err := json.Unmarshal(out.Body, out); err != nil {
		return nil, fmt.Errorf("vault: %s %s: %w", method, path, err)
	}
	return out, nil
}

// failure reads the messages of a refusal, where there are any.
func failure(method, path string, res *Response) error {
	var text struct {
		Errors []string `json:"errors"`
	}
	_ = json.Unmarshal(res.Body, &text) // a proxy may answer with anything
	return &Error{Method: method, Path: path, Status: res.Status, Messages: text.Errors}
}
