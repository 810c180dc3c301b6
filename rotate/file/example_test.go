package file_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/rekey-go/rekey/rotate/file"
	"github.com/rekey-go/rekey/source"
)

func ExampleNew() {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "app.json")
	if err := os.WriteFile(path, []byte(`{"username": "app", "password": "s3cret", "host": "db.internal"}`), 0o600); err != nil {
		log.Fatal(err)
	}

	store := file.New(path, nil) // goes into rotate.Config
	state, err := store.Read(ctx)
	if err != nil {
		log.Fatal(err)
	}
	from, to := state.Current.Token, "0b1f3f0e-9d0c-4d53-8d43-6d2f5f8f7a11" // a rotator draws it
	next := source.Credential{Username: "app", Password: source.NewSecret("n3xt")}
	if err := store.Create(ctx, to, next); err != nil {
		log.Fatal(err)
	}
	// Here the database learns of it.
	if err := store.Promote(ctx, to, from); err != nil {
		log.Fatal(err)
	}
	content, err := os.ReadFile(path)
	fmt.Print(string(content))
	fmt.Println(err)
	// Output:
	// {
	//   "host": "db.internal",
	//   "password": "n3xt",
	//   "rekey_version": "0b1f3f0e-9d0c-4d53-8d43-6d2f5f8f7a11",
	//   "username": "app"
	// }
	// <nil>
}
