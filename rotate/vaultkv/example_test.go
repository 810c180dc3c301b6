package vaultkv_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"sync"

	"github.com/hashicorp/vault/api"

	"github.com/rekey-go/rekey/internal/vaultserver"
	"github.com/rekey-go/rekey/rotate/vaultkv"
	"github.com/rekey-go/rekey/source"
)

var example struct {
	once  sync.Once
	vault *vaultserver.Server
}

// exampleClient returns a client of a throwaway Vault with the secret "app"; in
// life api.NewClient(nil) is enough.
func exampleClient() *api.Client {
	example.once.Do(func() {
		var err error
		ctx := context.Background()
		if example.vault, err = vaultserver.Start(ctx, &vaultserver.Options{Own: true, Log: os.Stderr}); err != nil {
			log.Fatal(err)
		}
		type object = map[string]any
		for _, step := range []struct {
			path string
			body object
		}{
			{"sys/mounts/secret", object{"type": "kv", "options": object{"version": "2"}}},
			{"secret/data/app", object{"data": object{"username": "app", "password": "s3cret", "host": "db.internal"}}},
		} {
			if _, err := example.vault.Do(ctx, "POST", step.path, step.body); err != nil {
				log.Fatal(err)
			}
		}
	})
	config := api.DefaultConfig()
	config.Address = example.vault.Addr()
	client, err := api.NewClient(config)
	if err != nil {
		log.Fatal(err)
	}
	client.SetToken(example.vault.Root().Token)
	return client
}

func closeExampleServer() int {
	if example.vault == nil {
		return 0
	}
	if err := example.vault.Close(); err != nil {
		log.Println(err)
		return 1
	}
	return 0
}

func ExampleNew() {
	ctx := context.Background()
	client := exampleClient()
	defer client.CloneConfig().HttpClient.CloseIdleConnections()

	store := vaultkv.New(client, "secret", "app", nil) // goes into rotate.Config
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
	state, err = store.Read(ctx)
	host, _ := state.Current.Credential.Field("host")
	fmt.Println(state.Current.Credential.Password.Reveal(), host.Reveal(), state.Previous.Token, err)
	// Output: n3xt db.internal 1 <nil>
}
