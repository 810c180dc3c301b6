package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/examples/orders"
	"github.com/rekey-go/rekey/internal/mount"
	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/pooltest"
)

// The program itself, beside somebody who renders its file and signals it, also
// while it starts and ends: it serves on, and leaves when it is told to.
func TestProgramIsSignalled(t *testing.T) {
	srv := pooltest.Postgres(t)
	srv.Exec(t, orders.Schema)
	program := filepath.Join(t.TempDir(), "shop")
	out, err := exec.CommandContext(t.Context(), "go", "build", "-o", program, ".").CombinedOutput()
	require.NoError(t, err, "%s", out)

	path := filepath.Join(t.TempDir(), "db.json")
	render := func() {
		c, err := srv.Store().Credential(t.Context())
		require.NoError(t, err)
		text, err := json.Marshal(map[string]string{"username": c.Username, "password": c.Password.Reveal(), "rekey_version": c.Version})
		require.NoError(t, err)
		require.NoError(t, mount.Render(path, string(text)))
	}
	cmd := exec.CommandContext(t.Context(), program, "-database="+srv.DSN()+"&pool_max_conns=4", "-json="+path, "-sighup", "-listen=127.0.0.1:0")
	stderr, err := cmd.StderrPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	log := bufio.NewReader(stderr)
	line, err := log.ReadString('\n')
	require.NoError(t, err)
	require.Contains(t, line, "starting")
	signals := make(chan struct{})
	signalled := make(chan int)
	go func() { // from now on, all the time
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			select {
			case <-tick.C:
				_ = cmd.Process.Signal(syscall.SIGHUP) // until it has ended
			case <-signals:
				signalled <- n
				return
			}
		}
	}()
	render() // was not there at the start
	address := ""
	for address == "" {
		line, err := log.ReadString('\n')
		require.NoError(t, err, "the service has ended: %s", line)
		if found := regexp.MustCompile(`address=(\S+)`).FindStringSubmatch(line); found != nil {
			address = "http://" + found[1]
		}
	}
	rest := make(chan string)
	go func() {
		text, _ := io.ReadAll(log)
		rest <- string(text)
	}()
	t.Cleanup(srv.Store().Watch(render))

	client := &http.Client{}
	defer client.CloseIdleConnections()
	load := pooltest.StartLoad(t, 4, func(ctx context.Context) error {
		req, err := http.NewRequestWithContext(ctx, http.MethodPost, address+"/orders?item=tea", nil)
		if err != nil {
			return err
		}
		res, err := client.Do(req)
		if err != nil {
			return err
		}
		defer res.Body.Close() //nolint:errcheck // read to its end
		text, err := io.ReadAll(res.Body)
		if err == nil && res.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s: %s", res.Status, text)
		}
		return err
	})
	for range 3 {
		srv.Rotate(t, asked(address))
	}
	load.NoFailures(t)
	res, err := client.Get(address + "/orders")
	require.NoError(t, err)
	text, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, 10, strings.Count(string(text), `"item":"tea"`))
	res, err = client.Post(address+"/orders?item=gold", "", nil)
	require.NoError(t, err)
	require.NoError(t, res.Body.Close())
	require.Equal(t, http.StatusConflict, res.StatusCode)

	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	said := <-rest
	require.NoError(t, cmd.Wait(), said)
	close(signals)
	require.Greater(t, <-signalled, 10)
	require.NotContains(t, said, "level=ERROR")
	require.NotContains(t, said, "password=")
}

// asked is a service that says over HTTP how its pool is.
type asked string

func (a asked) Health() pool.Health {
	var report struct{ Pools []pool.Health }
	res, err := http.Get(string(a) + "/readyz")
	if err != nil {
		return pool.Health{}
	}
	defer res.Body.Close() //nolint:errcheck // read to its end
	if json.NewDecoder(res.Body).Decode(&report) != nil || len(report.Pools) != 1 {
		return pool.Health{}
	}
	return report.Pools[0]
}
