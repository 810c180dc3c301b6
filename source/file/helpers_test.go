package file_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/rekey-go/rekey/internal/mount"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/file"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const canary = "CANARY-x7Qz"

func quiet() *slog.Logger { return slog.New(slog.DiscardHandler) }

func write(t testing.TB, path, content string) string {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(content), 0o600))
	return path
}

// replace writes a new file and renames it over path.
func replace(t testing.TB, path, content string) {
	t.Helper()
	write(t, path+".tmp", content)
	require.NoError(t, os.Rename(path+".tmp", path))
}

// A volume is a directory that is updated like Kubernetes does it.
type volume struct{ dir string }

// swap makes files the content of the volume in one instant.
func (v volume) swap(files map[string]string) error {
	return mount.Volume{Dir: v.dir}.Write(files)
}

func login(username, password string) map[string]string {
	return map[string]string{"username": username, "password": password}
}

func jsonOf(username, password string) string {
	text, err := json.Marshal(login(username, password))
	if err != nil {
		panic(err)
	}
	return string(text)
}

var dotenvEscapes = strings.NewReplacer(`\`, `\\`, `"`, `\"`, "\n", `\n`, "\r", `\r`, "\t", `\t`, "$", `\$`, "`", "\\`")

func dotenvOf(username, password string) string {
	return fmt.Sprintf("PGUSER=\"%s\"\nPGPASSWORD=\"%s\"\n", dotenvEscapes.Replace(username), dotenvEscapes.Replace(password))
}

var pgpassEscapes = strings.NewReplacer(`\`, `\\`, ":", `\:`)

func pgpassOf(username, password string) string {
	return "db:5432:app:" + pgpassEscapes.Replace(username) + ":" + pgpassEscapes.Replace(password) + "\n"
}

// parseLines is a custom format: user name and password on a line each.
func parseLines(data []byte) (source.Credential, error) {
	username, password, ok := strings.Cut(strings.TrimSuffix(string(data), "\n"), "\n")
	if !ok {
		return source.Credential{}, fmt.Errorf("expected two lines")
	}
	return source.Credential{Username: username, Password: source.NewSecret(password)}, nil
}

// A format is one kind of file with the means to write it.
type format struct {
	name  string
	open  func(path string, opts *file.Options) *file.Source
	write func(username, password string) string
}

var formats = []format{
	{"JSON", file.JSON, jsonOf},
	{"Dotenv", file.Dotenv, dotenvOf},
	{"Pgpass", func(path string, opts *file.Options) *file.Source {
		return file.Pgpass(path, file.Match{Host: "db"}, opts)
	}, pgpassOf},
	{"Custom", func(path string, opts *file.Options) *file.Source {
		return file.Custom(path, parseLines, opts)
	}, func(username, password string) string { return username + "\n" + password + "\n" }},
}

// read returns what src answers now.
func read(t testing.TB, src source.Source) source.Credential {
	t.Helper()
	c, err := src.Credential(context.Background())
	require.NoError(t, err)
	return c
}

// An observer counts the calls of a watch.
type observer struct {
	calls chan struct{}
	mu    sync.Mutex
	n     int
}

func observe(t testing.TB, src source.Watcher) *observer {
	o := &observer{calls: make(chan struct{}, 1)}
	stop := src.Watch(func() {
		o.mu.Lock()
		o.n++
		o.mu.Unlock()
		select {
		case o.calls <- struct{}{}:
		default:
		}
	})
	t.Cleanup(stop)
	return o
}

func (o *observer) count() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.n
}

// await waits for a call after which src answers with password.
func (o *observer) await(t testing.TB, src source.Source, password string) {
	t.Helper()
	o.until(t, func() bool {
		c, err := src.Credential(context.Background())
		return err == nil && c.Password.Reveal() == password
	})
}

// awaitError waits for a call after which src answers with an error.
func (o *observer) awaitError(t testing.TB, src source.Source) {
	t.Helper()
	o.until(t, func() bool {
		_, err := src.Credential(context.Background())
		return err != nil
	})
}

func (o *observer) until(t testing.TB, good func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	for {
		select {
		case <-o.calls:
			if good() {
				return
			}
		case <-deadline:
			t.Fatal("the change was not reported")
		}
	}
}
