package faults_test

import (
	"bytes"
	"encoding/json"
	"testing"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// A proxy stands between the pools and the server. Rotations go past it.
type proxy struct {
	*toxiproxy.Proxy
	t *testing.T
}

func newProxy(t *testing.T, upstream string) *proxy {
	t.Helper()
	zerolog.SetGlobalLevel(zerolog.Disabled) // some toxics have a logger of their own
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := &proxy{toxiproxy.NewProxy(server, "postgres", "127.0.0.1:0", upstream), t}
	require.NoError(t, p.Start())
	t.Cleanup(p.Stop)
	return p
}

// add puts a toxic of a kind on the way in a direction, upstream or downstream.
func (p *proxy) add(kind, stream string, attributes map[string]any) {
	p.t.Helper()
	text, err := json.Marshal(map[string]any{
		"name": kind + "-" + stream, "type": kind, "stream": stream, "toxicity": 1.0, "attributes": attributes,
	})
	require.NoError(p.t, err)
	_, err = p.Toxics.AddToxicJson(bytes.NewReader(text))
	require.NoError(p.t, err)
}

func (p *proxy) remove(kind, stream string) {
	p.t.Helper()
	require.NoError(p.t, p.Toxics.RemoveToxic(p.t.Context(), kind+"-"+stream))
}
