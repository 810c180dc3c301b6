//go:build !unix

package vaultserver

import "context"

// lock does nothing: here two may build at a time, each a whole program.
func lock(context.Context, string) (unlock func(), err error) { return func() {}, nil }
