package keys_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/file"
	"github.com/rekey-go/rekey/rotate/generate"
	"github.com/rekey-go/rekey/rotate/keys"
	"github.com/rekey-go/rekey/source"
)

// The key of an API is replaced: the next one is accepted beside it before the
// file names it, and the old one goes at the end.
func ExampleNew() {
	api := newService()
	api.keys["key_0"] = &entry{Key: keys.Key{ID: "key_0", Active: true}, Hash: hash("s3cret")}
	server := httptest.NewServer(api)
	defer server.Close()

	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "orders.json") // what the consumers read
	if err := os.WriteFile(path, []byte(`{"username": "key_0", "password": "s3cret"}`), 0o600); err != nil {
		log.Fatal(err)
	}

	target, err := keys.New(&keys.Config{Keeper: registrar{&keeper{server.URL, http.DefaultClient}}})
	if err != nil {
		log.Fatal(err)
	}
	r, err := rotate.New(&rotate.Config{
		Store: file.New(path, nil), Target: target,
		Generate: func() (source.Secret, error) { return generate.APIKey("orders") },
		// Grace: time for consumers to notice, while disabling can be taken back.
		Audit: func(e rotate.Event) {
			if e.Outcome == rotate.OutcomeOK {
				fmt.Println(e.Step)
			}
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	result, err := r.Rotate(context.Background())
	fmt.Println(result.Retired, err)
	fmt.Println(len(api.keys), api.keys[result.User].Active)
	// Output:
	// create
	// set
	// verify
	// promote
	// drain
	// disable
	// drain
	// remove
	// [key_0] <nil>
	// 1 true
}
