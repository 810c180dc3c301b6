package wrapconn

import (
	"net"
	"sync"
	"syscall"
)

// A Socket is a connection to a server whose end is told, whoever ends it:
// drivers close theirs by themselves when a context ends.
type Socket struct {
	net.Conn
	mu     sync.Mutex
	ended  bool
	closed func()
}

// Watch returns conn with its end watched, for the driver, and as a Socket.
func Watch(conn net.Conn) (net.Conn, *Socket) {
	s := &Socket{Conn: conn}
	if raw, ok := conn.(syscall.Conn); ok { // by which drivers find dead connections
		return struct {
			*Socket
			syscall.Conn
		}{s, raw}, s
	}
	return s, s
}

// OnClose has closed called when the socket is closed, or now if it has been.
func (s *Socket) OnClose(closed func()) {
	s.mu.Lock()
	s.closed = closed
	ended := s.ended
	s.mu.Unlock()
	if ended {
		closed()
	}
}

// Sever closes the connection under its user, who then closes the socket.
func (s *Socket) Sever() error { return s.Conn.Close() }

// Close closes the socket and tells the first time.
func (s *Socket) Close() error {
	err := s.Conn.Close()
	s.mu.Lock()
	closed, ended := s.closed, s.ended
	s.ended = true
	s.mu.Unlock()
	if closed != nil && !ended {
		closed()
	}
	return err
}
