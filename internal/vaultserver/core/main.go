// Command core is a small Vault server for tests: the real core and HTTP API
// with the database and key-value engines, AppRole and userpass, on storage in
// files. Like the vault program it starts sealed, or not initialised yet. It
// lives in a module of its own because Vault brings more than a thousand
// packages.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/hashicorp/go-hclog"
	kv "github.com/hashicorp/vault-plugin-secrets-kv"
	"github.com/hashicorp/vault/builtin/credential/approle"
	"github.com/hashicorp/vault/builtin/credential/userpass"
	"github.com/hashicorp/vault/builtin/logical/database"
	vaulthttp "github.com/hashicorp/vault/http"
	"github.com/hashicorp/vault/internalshared/configutil"
	"github.com/hashicorp/vault/sdk/logical"
	"github.com/hashicorp/vault/sdk/physical/file"
	"github.com/hashicorp/vault/vault"
)

func main() {
	listen := flag.String("listen", "127.0.0.1:8200", "`address` to serve HTTP on")
	storage := flag.String("storage", "", "`directory` of the storage; made if missing, kept at the end")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx, *listen, *storage); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// serve runs until the context ends.
func serve(ctx context.Context, listen, storage string) error {
	if storage == "" {
		return errors.New("-storage is missing")
	}
	log := hclog.New(&hclog.LoggerOptions{Name: "vault", Level: hclog.Info})
	physical, err := file.NewFileBackend(map[string]string{"path": storage}, log)
	if err != nil {
		return err
	}
	core, err := vault.NewCore(&vault.CoreConfig{
		Physical:     physical,
		StorageType:  "file",
		DisableMlock: true,
		Logger:       log,
		LogicalBackends: map[string]logical.Factory{
			"database": database.Factory, "kv": kv.Factory,
		},
		CredentialBackends: map[string]logical.Factory{
			"approle": approle.Factory, "userpass": userpass.Factory,
		},
		BuiltinRegistry: registry{},
	})
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", listen)
	if err != nil {
		return errors.Join(err, core.Shutdown())
	}
	server := &http.Server{
		Handler: vaulthttp.Handler.Handler(&vault.HandlerProperties{
			Core: core, ListenerConfig: &configutil.Listener{},
		}),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.StandardLogger(nil),
	}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	select {
	case err = <-served:
	case <-ctx.Done():
		if err = server.Close(); err == nil {
			err = <-served
		}
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return errors.Join(err, core.ShutdownWait())
}
