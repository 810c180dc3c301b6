package otelpool

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// coded is an error of the AWS SDK.
type coded string

func (c coded) Error() string     { return "api error " + string(c) }
func (c coded) ErrorCode() string { return string(c) }

func TestErrorType(t *testing.T) {
	pg := &pgconn.PgError{Code: "28P01", Message: "no"}
	for _, c := range []struct {
		err  error
		want string
	}{
		{errors.New("secret"), "_OTHER"},
		{fmt.Errorf("a: %w", errors.New("secret")), "_OTHER"},
		{errors.Join(errors.New("a"), errors.New("b")), "_OTHER"},
		{fmt.Errorf("login: %w (%w)", pg, refresh.ErrRejected), "rejected"},
		{fmt.Errorf("probe: %w", pool.ErrDisowned), "disowned"},
		{refresh.ErrExpired, "expired"},
		{refresh.ErrClosed, "closed"},
		{pg, "28P01"},
		{fmt.Errorf("a: %w", context.DeadlineExceeded), "timeout"},
		{&net.OpError{Err: os.ErrDeadlineExceeded}, "timeout"},
		{context.Canceled, "canceled"},
		{source.Permanent(fmt.Errorf("a: %w", coded("ResourceNotFoundException"))), "ResourceNotFoundException"},
		{coded("what a secret!"), "otelpool.coded"},
		{coded(""), "otelpool.coded"},
		{fmt.Errorf("dial: %w", &net.OpError{Op: "dial", Err: &net.DNSError{Err: "no such host"}}), "*net.DNSError"},
		{fmt.Errorf("%w (%w)", &net.DNSError{}, errors.New("b")), "*net.DNSError"},
		{&pgconn.PgError{Code: "pass word"}, "*pgconn.PgError"},
	} {
		require.Equal(t, c.want, errorType(c.err), "%v", c.err)
	}
	require.Equal(t, "28P01", sqlState(fmt.Errorf("login: %w (%w)", pg, refresh.ErrRejected)))
	require.Empty(t, sqlState(errors.New("a")))
}
