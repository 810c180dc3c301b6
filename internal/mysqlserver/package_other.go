//go:build !linux

package mysqlserver

import (
	"context"
	"errors"
	"log"
)

func installPackage(context.Context, *log.Logger) error {
	return errors.New("packages are installed on Debian and Ubuntu only")
}

func unpacked(context.Context, *log.Logger) (program, error) {
	return program{}, errors.New("packages are unpacked on Linux only")
}
