// Package documenttest has documents whose reading and writing can be made to
// fail. Import it from tests only.
package documenttest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/rekey-go/rekey/rotate/document"
)

// A Server serves a document over HTTP, with conditional writes as object stores
// have them.
type Server struct {
	URL string

	mu   sync.Mutex
	seen bytes.Buffer
}

// Serve serves a document until the test ends.
func Serve(t *testing.T, d document.Store) *Server {
	t.Helper()
	s := new(Server)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.mu.Lock()
		fmt.Fprintf(&s.seen, "%s %s %s\n", r.Method, r.Header.Get("If-Match"), body)
		s.mu.Unlock()
		if r.Method == http.MethodPut {
			if err := d.Write(r.Context(), body, r.Header.Get("If-Match")); err != nil {
				http.Error(w, err.Error(), http.StatusPreconditionFailed)
			}
			return
		}
		content, version, err := d.Read(r.Context())
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("ETag", version)
		_, _ = w.Write(content)
	}))
	t.Cleanup(server.Close)
	s.URL = server.URL
	return s
}

// Seen returns all that was asked.
func (s *Server) Seen() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.seen.String()
}

// Over returns the document as seen through a client.
func (s *Server) Over(c *http.Client) document.Store { return remote{s.URL, c} }

type remote struct {
	url    string
	client *http.Client
}

func (r remote) Read(ctx context.Context) ([]byte, string, error) {
	code, header, body, err := r.do(ctx, http.MethodGet, nil, "")
	if err == nil && code != http.StatusOK {
		err = errors.New(http.StatusText(code))
	}
	return body, header.Get("ETag"), err
}

func (r remote) Write(ctx context.Context, content []byte, version string) error {
	code, _, _, err := r.do(ctx, http.MethodPut, content, version)
	if err == nil && code != http.StatusOK {
		err = document.ErrChanged
	}
	return err
}

func (r remote) do(ctx context.Context, method string, content []byte, version string) (int, http.Header, []byte, error) {
	request, err := http.NewRequestWithContext(ctx, method, r.url, bytes.NewReader(content))
	if err != nil {
		return 0, nil, nil, err
	}
	request.Header.Set("If-Match", version)
	answer, err := r.client.Do(request)
	if err != nil {
		return 0, nil, nil, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	return answer.StatusCode, answer.Header, body, err
}
