package main

import (
	"bytes"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestDemo(t *testing.T) {
	var out bytes.Buffer
	s, err := runDemo(t.Context(), &out)
	t.Log(out.String())
	require.NoError(t, err)
	require.Positive(t, s.Statements)
	require.Zero(t, s.Failed)
	require.Positive(t, s.Rollback)
	for _, says := range []string{
		"orders: rehearsed", "billing: rehearsed", "orders: waits for approval", "billing: rotated", "approved by bob",
		"orders: rolled back", "rollback ok by alice: a demonstration", "2 secrets, ",
	} {
		require.Contains(t, out.String(), says)
	}
}
