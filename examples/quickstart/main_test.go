package main

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestQuickstartDrawsItsRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "run.svg")
	failed, err := run(t.Context(), flags{rotations: 2, length: 3 * time.Second, workers: 4, conns: 2, plot: path})
	require.NoError(t, err)
	require.Zero(t, failed)
	svg, err := os.ReadFile(path)
	require.NoError(t, err)
	require.NoError(t, xml.Unmarshal(svg, new(any)))
	require.Contains(t, string(svg), " 0 failed, through 2 rotations")
	require.Contains(t, string(svg), "4 clients on 2 connections")
	require.Equal(t, 1, strings.Count(string(svg), `class="password"`))
	require.Equal(t, 1, strings.Count(string(svg), `class="user"`))
	require.GreaterOrEqual(t, strings.Count(string(svg), `id="generation-`), 2)
}

func TestQuickstartRefusesAPictureThatCannotBeWritten(t *testing.T) {
	_, err := run(t.Context(), flags{length: 100 * time.Millisecond, workers: 1, conns: 1, plot: filepath.Join(t.TempDir(), "no", "such.svg")})
	require.ErrorIs(t, err, os.ErrNotExist)
}
