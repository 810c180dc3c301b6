package tlsconfig_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/refresh/tlsconfig"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/file"
	"github.com/rekey-go/rekey/source/keypair"
)

// A deployment is one side with its credential file.
type deployment struct {
	path    string
	written uint64
	side
}

func deploy(t *testing.T, path string, c source.Credential) *deployment {
	t.Helper()
	d := &deployment{path: path}
	d.write(t, c)
	quiet := slog.New(slog.DiscardHandler)
	var err error
	d.r, err = refresh.New(t.Context(), tlsconfig.Source(file.JSON(path, &file.Options{Poll: 20 * time.Millisecond, Logger: quiet})), &refresh.Options{Logger: quiet})
	require.NoError(t, err)
	t.Cleanup(d.r.Close)
	d.cert, err = tlsconfig.NewCertificate(t.Context(), d.r, nil)
	require.NoError(t, err)
	d.roots, err = tlsconfig.NewRoots(t.Context(), d.r)
	require.NoError(t, err)
	return d
}

// write replaces the file.
func (d *deployment) write(t *testing.T, c source.Credential) {
	t.Helper()
	chain, _ := c.Field(keypair.ChainField)
	roots, _ := c.Field(tlsconfig.RootsField)
	text, err := json.Marshal(map[string]string{
		"username": c.Username, "password": c.Password.Reveal(),
		keypair.ChainField: chain.Reveal(), tlsconfig.RootsField: roots.Reveal(),
	})
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(d.path+".new", text, 0o600))
	require.NoError(t, os.Rename(d.path+".new", d.path))
	d.written++
}

// rotate writes a new certificate and waits until it is adopted.
func (d *deployment) rotate(t *testing.T, issuer *authority, roots ...*authority) {
	t.Helper()
	d.write(t, issuer.pair(time.Hour, roots...))
	require.Eventually(t, func() bool { return d.r.Current().Generation == d.written }, 30*time.Second, time.Millisecond)
}

// Servers and clients, who verify each other, change certificates and authorities while
// requests go on, with and without connections that are kept.
func TestStorm(t *testing.T) {
	dir := t.TempDir()
	old := newAuthority("authority 0", nextYear)
	server := deploy(t, filepath.Join(dir, "server.json"), old.pair(time.Hour, old))
	client := deploy(t, filepath.Join(dir, "client.json"), old.pair(time.Hour, old))
	url := "https://" + named(serve(t, tlsconfig.Server(nil, server.cert, server.roots)))

	var sent [8]atomic.Int64
	ctx, cancel := context.WithCancel(context.Background())
	var workers sync.WaitGroup
	for w := range sent {
		transport := &http.Transport{
			TLSClientConfig:   tlsconfig.Client(nil, client.cert, client.roots),
			DisableKeepAlives: w%4 != 0, ForceAttemptHTTP2: w%2 == 0,
		}
		workers.Go(func() {
			defer transport.CloseIdleConnections()
			for ctx.Err() == nil {
				resp, err := (&http.Client{Transport: transport}).Get(url)
				if err != nil {
					t.Error(err)
					continue
				}
				_ = resp.Body.Close()
				sent[w].Add(1)
			}
		})
	}
	goOn := func() {
		t.Helper()
		var then [len(sent)]int64
		for w := range sent {
			then[w] = sent[w].Load()
		}
		require.Eventually(t, func() bool {
			for w := range sent {
				if sent[w].Load() <= then[w]+1 {
					return false
				}
			}
			return true
		}, 60*time.Second, time.Millisecond)
	}
	for n := range 4 {
		next := newAuthority(fmt.Sprint("authority ", n+1), nextYear)
		for _, roots := range [][]*authority{{old}, {old, next}} {
			server.rotate(t, old, roots...)
			client.rotate(t, old, roots...)
			goOn()
		}
		server.rotate(t, next, old, next)
		goOn()
		client.rotate(t, next, old, next)
		goOn()
		server.rotate(t, next, next)
		client.rotate(t, next, next)
		goOn()
		old = next
	}
	cancel()
	workers.Wait()
	var all int64
	for w := range sent {
		all += sent[w].Load()
	}
	t.Logf("%d rotations, of them 4 of the authority, %d requests", server.written+client.written-2, all)
}
