package keys_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/rekey-go/rekey/rotate/keys"
	"github.com/rekey-go/rekey/source"
)

// A service is an API that is called with keys and has an API to manage them. It
// keeps hashes of them only.
type service struct {
	mux *http.ServeMux

	mu   sync.Mutex
	keys map[string]*entry
	log  strings.Builder
}

type entry struct {
	keys.Key
	Hash string // SHA-256 of the secret
	Weak bool   // it may not place orders
}

func newService() *service {
	s := &service{mux: http.NewServeMux(), keys: make(map[string]*entry)}
	s.handle("GET /keys", s.list)
	s.handle("POST /keys", s.register)
	s.handle("POST /draw", s.draw)
	s.handle("PATCH /keys/{id}", s.patch)
	s.handle("DELETE /keys/{id}", s.remove)
	s.handle("GET /orders", s.orders)
	return s
}

// handle logs what everybody in front of a server sees.
func (s *service) handle(pattern string, f func(*http.Request, []byte) (int, any)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		s.mu.Lock()
		code, answer := f(r, body)
		fmt.Fprintf(&s.log, "%s %s %s %d\n", r.Method, r.URL, body, code)
		s.mu.Unlock()
		w.WriteHeader(code)
		_ = json.NewEncoder(w).Encode(answer)
	})
}

func (s *service) ServeHTTP(w http.ResponseWriter, r *http.Request) { s.mux.ServeHTTP(w, r) }

func (s *service) list(*http.Request, []byte) (int, any) {
	all := []keys.Key{}
	for _, k := range s.keys {
		all = append(all, k.Key)
	}
	return http.StatusOK, all
}

func (s *service) register(_ *http.Request, body []byte) (int, any) {
	var k entry
	if json.Unmarshal(body, &k) != nil {
		return http.StatusBadRequest, nil
	}
	if s.keys[k.ID] != nil {
		return http.StatusConflict, nil
	}
	k.Active, k.Created = true, time.Now()
	s.keys[k.ID] = &k
	return http.StatusCreated, nil
}

func (s *service) draw(_ *http.Request, body []byte) (int, any) {
	var k entry
	if json.Unmarshal(body, &k) != nil {
		return http.StatusBadRequest, nil
	}
	id, secret := "drawn_"+strings.ToLower(rand.Text()), rand.Text()
	k.ID, k.Hash, k.Active, k.Created = id, hash(secret), false, time.Now()
	s.keys[id] = &k
	return http.StatusCreated, map[string]string{"id": id, "secret": secret}
}

func (s *service) patch(r *http.Request, body []byte) (int, any) {
	k := s.keys[r.PathValue("id")]
	if k == nil {
		return http.StatusNotFound, nil
	}
	if json.Unmarshal(body, k) != nil {
		return http.StatusBadRequest, nil
	}
	return http.StatusOK, nil
}

func (s *service) remove(r *http.Request, _ []byte) (int, any) {
	delete(s.keys, r.PathValue("id"))
	return http.StatusOK, nil
}

// orders is what the keys are for.
func (s *service) orders(r *http.Request, _ []byte) (int, any) {
	id, secret, _ := r.BasicAuth()
	k := s.keys[id]
	switch {
	case k == nil || !k.Active || k.Hash != hash(secret):
		return http.StatusUnauthorized, nil
	case k.Weak:
		return http.StatusForbidden, nil
	}
	return http.StatusOK, nil
}

func hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// A keeper is what a user writes for such a service.
type keeper struct {
	url    string
	client *http.Client
}

func (k *keeper) List(ctx context.Context) (all []keys.Key, err error) {
	_, err = k.call(ctx, http.MethodGet, "/keys", nil, &all)
	return all, err
}

func (k *keeper) Label(ctx context.Context, id, label string) error {
	_, err := k.call(ctx, http.MethodPatch, "/keys/"+id, map[string]any{"Label": label}, nil)
	return err
}

func (k *keeper) Activate(ctx context.Context, id string) error {
	_, err := k.call(ctx, http.MethodPatch, "/keys/"+id, map[string]any{"Active": true}, nil)
	return err
}

func (k *keeper) Deactivate(ctx context.Context, id string) error {
	_, err := k.call(ctx, http.MethodPatch, "/keys/"+id, map[string]any{"Active": false}, nil)
	return err
}

func (k *keeper) Delete(ctx context.Context, id string) error {
	_, err := k.call(ctx, http.MethodDelete, "/keys/"+id, nil, nil)
	return err
}

func (k *keeper) Check(ctx context.Context, key source.Credential) (bool, error) {
	code, err := k.orders(ctx, key)
	return code != http.StatusUnauthorized && err == nil, err
}

// orders uses a key.
func (k *keeper) orders(ctx context.Context, key source.Credential) (code int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url+"/orders", nil)
	if err != nil {
		return 0, err
	}
	r.SetBasicAuth(key.Username, key.Password.Reveal())
	answer, err := k.client.Do(r)
	if err != nil {
		return 0, err
	}
	return answer.StatusCode, answer.Body.Close()
}

// call asks the API that manages keys.
func (k *keeper) call(ctx context.Context, method, path string, body, answer any) (code int, err error) {
	text, err := json.Marshal(body)
	if err != nil {
		return 0, err
	}
	r, err := http.NewRequestWithContext(ctx, method, k.url+path, bytes.NewReader(text))
	if err != nil {
		return 0, err
	}
	got, err := k.client.Do(r)
	if err != nil {
		return 0, err
	}
	defer got.Body.Close()
	switch {
	case got.StatusCode == http.StatusNotFound:
		return got.StatusCode, keys.ErrNotFound
	case got.StatusCode == http.StatusConflict:
		return got.StatusCode, keys.ErrExists
	case got.StatusCode >= http.StatusBadRequest:
		return got.StatusCode, errors.New(got.Status)
	case answer != nil:
		return got.StatusCode, json.NewDecoder(got.Body).Decode(answer)
	}
	return got.StatusCode, nil
}

// A registrar draws the keys here and has the service keep a hash.
type registrar struct{ *keeper }

func (r registrar) Register(ctx context.Context, key source.Credential, label string) error {
	_, err := r.call(ctx, http.MethodPost, "/keys", map[string]any{"ID": key.Username, "Hash": hash(key.Password.Reveal()), "Label": label}, nil)
	return err
}

// A drawer has the service draw the keys.
type drawer struct{ *keeper }

func (d drawer) Draw(ctx context.Context, label string) (c source.Credential, err error) {
	var drawn struct {
		ID     string
		Secret source.Secret
	}
	_, err = d.call(ctx, http.MethodPost, "/draw", map[string]any{"Label": label}, &drawn)
	c.Username, c.Password = drawn.ID, drawn.Secret
	return c, err
}
