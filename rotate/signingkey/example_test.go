package signingkey_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"time"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/document"
	"github.com/rekey-go/rekey/rotate/file"
	"github.com/rekey-go/rekey/rotate/signingkey"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/jwk"
)

// The key that signs tokens is replaced: the next one is published before it signs,
// and the old one as long as its tokens are valid.
func ExampleNew() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)

	// The first key, made by hand: in the file that the signer reads, and published.
	private, err := jwk.Generate(jwk.EdDSA)
	if err != nil {
		log.Fatal(err)
	}
	secret, err := json.Marshal(map[string]string{"username": "key_0", "password": private.Reveal()})
	if err != nil {
		log.Fatal(err)
	}
	path := filepath.Join(dir, "signing.json")
	if err := os.WriteFile(path, secret, 0o600); err != nil {
		log.Fatal(err)
	}
	published := document.File(filepath.Join(dir, "published.json"), 0o644)
	if err := signingkey.Publish(ctx, published, source.Credential{Username: "key_0", Password: private}); err != nil {
		log.Fatal(err)
	}
	server := httptest.NewServer(signingkey.Handler(published, 0)) // at /.well-known/jwks.json
	defer server.Close()

	target, err := signingkey.New(&signingkey.Config{
		Document: published, URL: server.URL, Algorithm: jwk.EdDSA,
		Propagation: 100 * time.Millisecond, // in life, what caches keep and a margin: 15 minutes
		Lifetime:    200 * time.Millisecond, // in life, that of tokens: an hour
	})
	if err != nil {
		log.Fatal(err)
	}
	r, err := rotate.New(&rotate.Config{
		Store: file.New(path, nil), Target: target,
		Poll:         10 * time.Millisecond,
		StepTimeout:  20 * time.Minute, // longer than Propagation
		DrainTimeout: 2 * time.Hour,    // longer than Lifetime
	})
	if err != nil {
		log.Fatal(err)
	}
	begun := time.Now()
	result, err := r.Rotate(ctx)
	fmt.Println(result.Retired, err, time.Since(begun) > 300*time.Millisecond)
	// Output: [key_0] <nil> true
}

// What is published is served to whoever verifies.
func ExampleHandler() {
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	private, err := jwk.Generate(jwk.EdDSA)
	if err != nil {
		log.Fatal(err)
	}
	published := document.File(filepath.Join(dir, "published.json"), 0o644)
	if err := signingkey.Publish(context.Background(), published, source.Credential{Username: "key_0", Password: private}); err != nil {
		log.Fatal(err)
	}

	answer := httptest.NewRecorder()
	signingkey.Handler(published, 5*time.Minute).ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/.well-known/jwks.json", nil))
	keys, err := jwk.ParseSet(answer.Body.Bytes())
	fmt.Println(len(keys), keys["key_0"] != nil, answer.Header().Get("Cache-Control"), err)
	// Output: 1 true public, max-age=300 <nil>
}
