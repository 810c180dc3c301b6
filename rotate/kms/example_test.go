package kms_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/document"
	"github.com/rekey-go/rekey/rotate/file"
	"github.com/rekey-go/rekey/rotate/kms"
)

// The key that encrypts records is replaced. The records are encrypted anew before
// the old key goes.
func ExampleNew() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	service := kms.Ring(document.File(filepath.Join(dir, "ring.json"), 0o600))

	// The first key, and a file that names it for the application.
	first, err := kms.NewKey(ctx, service)
	if err != nil {
		log.Fatal(err)
	}
	secret, err := json.Marshal(map[string]string{"username": first.Username, "password": first.Password.Reveal()})
	if err != nil {
		log.Fatal(err)
	}
	path := filepath.Join(dir, "key.json")
	if err := os.WriteFile(path, secret, 0o600); err != nil {
		log.Fatal(err)
	}
	store := file.New(path, nil)

	// A record names the key that it is encrypted under.
	type record struct {
		key  string
		text []byte
	}
	text, err := service.Encrypt(ctx, first.Username, []byte("a customer's address"))
	if err != nil {
		log.Fatal(err)
	}
	records := []record{{first.Username, text}}

	target, err := kms.New(&kms.Config{
		Service: service,
		InUse: func(ctx context.Context, old string) (left int, err error) {
			now, err := store.Read(ctx)
			if err != nil {
				return 0, err
			}
			for i, r := range records {
				if r.key != old {
					continue
				}
				plain, err := service.Decrypt(ctx, old, r.text)
				if err != nil {
					return 0, err
				}
				r.key = now.Current.Credential.Username
				if r.text, err = service.Encrypt(ctx, r.key, plain); err != nil {
					return 0, err
				}
				records[i] = r
				left++ // until the next look finds none
			}
			return left, nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	r, err := rotate.New(&rotate.Config{Store: store, Target: target, Poll: time.Millisecond})
	if err != nil {
		log.Fatal(err)
	}
	result, err := r.Rotate(ctx)
	fmt.Println(len(result.Retired), err)
	plain, err := service.Decrypt(ctx, result.User, records[0].text)
	fmt.Println(string(plain), err)
	// Output:
	// 1 <nil>
	// a customer's address <nil>
}

// An application that encrypts much asks the service for its data key once.
func ExampleDataKey() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	service := kms.Ring(document.File(filepath.Join(dir, "ring.json"), 0o600))
	credential, err := kms.NewKey(ctx, service)
	if err != nil {
		log.Fatal(err)
	}

	key, err := kms.DataKey(ctx, service, credential) // for AES-256
	fmt.Println(len(key), err)
	// Output: 32 <nil>
}
