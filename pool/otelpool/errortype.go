package otelpool

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
)

// errorType puts err into one of few classes. Never its text: that may say more
// than a metric should.
func errorType(err error) string {
	for _, known := range []struct {
		err  error
		name string
	}{
		{pool.ErrDisowned, "disowned"},
		{refresh.ErrRejected, "rejected"},
		{refresh.ErrExpired, "expired"},
		{refresh.ErrClosed, "closed"},
		{context.DeadlineExceeded, "timeout"},
		{os.ErrDeadlineExceeded, "timeout"},
		{context.Canceled, "canceled"},
	} {
		if errors.Is(err, known.err) {
			return known.name
		}
	}
	var coded interface{ ErrorCode() string } // of the AWS SDK
	code := sqlState(err)
	if code == "" && errors.As(err, &coded) && word(coded.ErrorCode()) {
		code = coded.ErrorCode()
	}
	if code != "" {
		return code
	}
	switch name := fmt.Sprintf("%T", innermost(err)); name {
	case "*errors.errorString", "*errors.joinError", "*fmt.wrapError", "*fmt.wrapErrors":
		return "_OTHER"
	default:
		return name
	}
}

// sqlState returns the code that the database gave, or "".
func sqlState(err error) string {
	var coded interface{ SQLState() string } // of pgx and lib/pq
	if errors.As(err, &coded) && len(coded.SQLState()) == 5 && word(coded.SQLState()) {
		return coded.SQLState()
	}
	return ""
}

// word reports whether s can be a code: short, and of letters, digits, dots and
// underscores only.
func word(s string) bool {
	for _, c := range s {
		letter := c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !letter && (c < '0' || c > '9') && c != '.' && c != '_' {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// innermost follows err to its cause, the first where there are several.
func innermost(err error) error {
	for {
		var cause error
		switch wrapped := err.(type) { //nolint:errorlint // it walks the chain itself
		case interface{ Unwrap() error }:
			cause = wrapped.Unwrap()
		case interface{ Unwrap() []error }:
			if causes := wrapped.Unwrap(); len(causes) > 0 {
				cause = causes[0]
			}
		}
		if cause == nil {
			return err
		}
		err = cause
	}
}
