//go:build !unix

package moto

import "context"

// lock does nothing: one test binary at a time, then.
func lock(context.Context, string) (unlock func(), err error) { return func() {}, nil }
