//go:build !linux

package pgserver

import (
	"context"
	"errors"
	"log"
)

func installPackage(context.Context, *log.Logger) error {
	return errors.New("installing one by itself is done on Debian and Ubuntu only")
}
