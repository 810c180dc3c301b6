package vaultserver

import (
	"context"
	"log"
	"path/filepath"
	"runtime"

	"github.com/rekey-go/rekey/internal/buildonce"
)

// build returns the program of the nested module beside this file.
func build(ctx context.Context, log *log.Logger) (string, error) {
	_, file, _, _ := runtime.Caller(0)
	return buildonce.Program{
		Name: "vault", Title: "Vault", Dir: filepath.Join(filepath.Dir(file), "core"),
		Flags: []string{buildonce.Quick},
	}.Path(ctx, log)
}
