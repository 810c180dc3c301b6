package faults

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"

	toxiproxy "github.com/Shopify/toxiproxy/v2"
	"github.com/rs/zerolog"
)

// A Proxy stands between clients and a server. Stop and Start cut the way to it.
type Proxy struct{ *toxiproxy.Proxy }

// NewProxy starts a proxy in front of host:port. Listen is its own address, also
// after Stop and Start.
func NewProxy(name, upstream string) (Proxy, error) {
	zerolog.SetGlobalLevel(zerolog.Disabled) // some toxics have a logger of their own
	server := toxiproxy.NewServer(toxiproxy.NewMetricsContainer(nil), zerolog.Nop())
	p := Proxy{toxiproxy.NewProxy(server, name, "127.0.0.1:0", upstream)}
	return p, p.Start()
}

// Add puts a toxic of a kind on the way from the server, with its attributes.
func (p Proxy) Add(kind string, attributes map[string]any) error {
	text, err := json.Marshal(map[string]any{
		"name": kind, "type": kind, "stream": "downstream", "toxicity": 1.0, "attributes": attributes,
	})
	if err == nil {
		_, err = p.Toxics.AddToxicJson(bytes.NewReader(text))
	}
	if err != nil {
		return fmt.Errorf("faults: %s: %w", kind, err)
	}
	return nil
}

// Remove takes away what Add has put there.
func (p Proxy) Remove(kind string) error {
	if err := p.Toxics.RemoveToxic(context.Background(), kind); err != nil {
		return fmt.Errorf("faults: %s: %w", kind, err)
	}
	return nil
}

// A Toxic is a disturbance of the network.
type Toxic struct {
	Name, Kind string
	Attributes map[string]any
	Breaks     bool // sessions; a slow network does not
}

// Toxics are the disturbances of the network but for the cut, which is Stop and
// Start.
var Toxics = []Toxic{
	{Name: "latency", Kind: "latency", Attributes: map[string]any{"latency": 200}},
	{Name: "bandwidth", Kind: "bandwidth", Attributes: map[string]any{"rate": 20}},
	{Name: "reset", Kind: "reset_peer", Attributes: map[string]any{"timeout": 0}, Breaks: true},
	{Name: "black hole", Kind: "timeout", Attributes: map[string]any{"timeout": 0}, Breaks: true},
}
