package pool_test

import (
	"io"
	"net"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5/pgproto3"
	"github.com/stretchr/testify/require"
)

// A fakeServer answers every login with one error and notes who came. It
// speaks no TLS.
type fakeServer struct {
	code     string
	listener net.Listener
	clients  sync.WaitGroup
	logins   record // user names
}

func newFakeServer(t *testing.T, code string) *fakeServer {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := &fakeServer{code: code, listener: l}
	s.clients.Go(s.serve)
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		s.clients.Wait()
	})
	return s
}

func (s *fakeServer) port() string {
	return strconv.Itoa(s.listener.Addr().(*net.TCPAddr).Port)
}

func (s *fakeServer) serve() {
	for {
		conn, err := s.listener.Accept()
		if err != nil {
			return
		}
		s.clients.Go(func() {
			defer conn.Close()
			s.answer(conn)
		})
	}
}

func (s *fakeServer) answer(conn net.Conn) {
	backend := pgproto3.NewBackend(conn, conn)
	for {
		message, err := backend.ReceiveStartupMessage()
		if err != nil {
			return
		}
		switch m := message.(type) {
		case *pgproto3.SSLRequest:
			if _, err := conn.Write([]byte("N")); err != nil {
				return
			}
		case *pgproto3.StartupMessage:
			s.logins.add(m.Parameters["user"])
			backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", SeverityUnlocalized: "FATAL", Code: s.code, Message: "not here"})
			_ = backend.Flush() // the client may have gone
			return
		default:
			return
		}
	}
}

// forward makes a unix socket that leads to address.
func forward(t *testing.T, path, address string) {
	t.Helper()
	l, err := net.Listen("unix", path)
	require.NoError(t, err)
	var pipes sync.WaitGroup
	pipe := func(to, from net.Conn) {
		defer to.Close()
		_, _ = io.Copy(to, from) // either side may end it
	}
	pipes.Go(func() {
		for {
			client, err := l.Accept()
			if err != nil {
				return
			}
			server, err := net.Dial("tcp", address)
			if err != nil {
				t.Error(err)
				return
			}
			pipes.Go(func() { pipe(server, client) })
			pipes.Go(func() { pipe(client, server) })
		}
	})
	t.Cleanup(func() {
		require.NoError(t, l.Close())
		pipes.Wait()
	})
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
}
