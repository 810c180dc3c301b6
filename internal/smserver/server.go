package smserver

import (
	"net"
	"net/http"
	"sync"
	"time"
)

// A Server serves a handler, a Store or something in front of one, on a port of
// 127.0.0.1.
type Server struct {
	// URL is the endpoint for the SDK, without a slash at the end.
	URL string

	http http.Server
	done sync.WaitGroup // the accepting goroutine and the connections'
}

// Start starts a server. Close ends it.
func Start(h http.Handler) (*Server, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &Server{URL: "http://" + l.Addr().String()}
	s.http = http.Server{Handler: h, ReadHeaderTimeout: time.Minute, ConnState: func(_ net.Conn, is http.ConnState) {
		switch is {
		case http.StateNew:
			s.done.Add(1)
		case http.StateClosed:
			s.done.Done()
		}
	}}
	s.done.Go(func() { _ = s.http.Serve(l) }) // ends with ErrServerClosed
	return s, nil
}

// Close ends the server and its connections, and waits for the handlers, whose
// contexts end. It may be called more than once.
func (s *Server) Close() {
	_ = s.http.Close() // nobody to tell
	s.done.Wait()
}
