package pool

import (
	"context"
	"crypto/tls"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// A pgLogin makes one connection of pgx log in with a generation's credential,
// by hooks in that connection's own configuration:
//
//   - DialFunc claims a generation and wraps the socket, below TLS so that
//     channel binding still sees its TLS connection;
//   - AfterNetConnect puts user name and password into the configuration, just
//     before they are sent;
//   - AfterConnect wipes the password again and stamps the connection;
//   - OnPgError sees a rejection, whoever is still waiting.
//
// A rejected login is repeated inside the same connect, so that not even a
// caller of the raw pool sees it: see [pgHosts].
type pgLogin struct {
	k     *keeper
	user  pgconn.Config // the hooks that were there before
	claim func(context.Context) (*Login, error)
	hosts *pgHosts // nil: a rejection is up to the caller
	name  string   // application_name

	mu      sync.Mutex
	current *pgSocket   // whose login is on its way
	done    atomic.Bool // logged in; from here on the hooks pass everything through
}

// sessionKey is where a connection's Login is in its custom data.
const sessionKey = "github.com/rekey-go/rekey/pool"

// sessionOf finds the login of a connection. The way over the socket is the
// short one, unless the user's hooks have wrapped it.
func sessionOf(conn *pgx.Conn) *Login {
	if s := socketOf(conn.PgConn().Conn()); s != nil && s.login != nil {
		return s.login
	}
	l, _ := conn.PgConn().CustomData()[sessionKey].(*Login)
	return l
}

// install puts the hooks into cc, which must be a copy for one connection.
// Each attempt asks claim for its login. With again set, a rejected login is
// followed by a second one; without it, judging the error is up to the caller.
func (k *keeper) install(cc *pgx.ConnConfig, again bool, claim func(context.Context) (*Login, error)) {
	p := &pgLogin{k: k, user: cc.Config, claim: claim, name: cc.RuntimeParams["application_name"]}
	if cc.ConnectTimeout <= 0 {
		cc.ConnectTimeout = 2 * time.Minute // as pgxpool has it
	}
	cc.Password = ""
	cc.DialFunc = p.dial
	cc.AfterNetConnect = p.afterNetConnect
	cc.AfterConnect = p.afterConnect
	cc.OnPgError = p.onPgError
	if again {
		cc.LookupFunc = p.lookup
		p.hosts = withSecondLogins(&cc.Config)
	}
}

func (p *pgLogin) lookup(ctx context.Context, host string) ([]string, error) {
	second := strings.HasPrefix(host, secondLogin)
	switch {
	case p.done.Load() && second:
		return nil, nil
	case p.done.Load():
		return p.user.LookupFunc(ctx, host)
	case second:
		return []string{host}, nil
	}
	return p.hosts.lookup(ctx, host, p.user.LookupFunc)
}

func (p *pgLogin) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if p.done.Load() { // to cancel a statement, or by a user with this configuration
		conn, err := p.user.DialFunc(ctx, network, address)
		if err != nil {
			return nil, err
		}
		return &pgSocket{Conn: conn}, nil
	}
	if p.hosts != nil {
		var err error
		if network, address, err = p.hosts.route(ctx, p.k, network, address); err != nil {
			return nil, err
		}
	}
	l, err := p.claim(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := p.user.DialFunc(ctx, network, address)
	if err != nil {
		p.ended(l)
		return nil, err
	}
	l.OnOverstay(conn.Close)
	return &pgSocket{Conn: conn, login: l, network: network, address: address, closed: func() { p.ended(l) }}, nil
}

// ended ends the login of a socket. Without second logins all attempts share
// one login, which the caller ends if none succeeds.
func (p *pgLogin) ended(l *Login) {
	if p.hosts != nil || p.done.Load() {
		l.Closed()
	}
}

func (p *pgLogin) afterNetConnect(ctx context.Context, config *pgconn.Config, conn net.Conn) (net.Conn, error) {
	c := p.k.refresher.Current().Credential
	s := socketOf(conn)
	if s == nil {
		s = new(pgSocket) // dialed by a user with this configuration
	}
	s.config = config
	_, s.tls = conn.(*tls.Conn)
	if s.login != nil {
		c = s.login.Credential()
		if p.k.opts.VersionTag {
			config.RuntimeParams["application_name"] = s.login.ApplicationName(p.name)
		}
		p.mu.Lock()
		p.current = s
		p.mu.Unlock()
	}
	if c.Username != "" {
		config.User = c.Username
	}
	config.Password = c.Password.Reveal()
	switch {
	case p.user.AfterNetConnect == nil:
		return conn, nil
	case s.tls || s.Conn == nil:
		wrapped, err := p.user.AfterNetConnect(ctx, config, conn)
		if err != nil && wrapped == nil {
			wrapped = conn // pgconn closes what it gets
		}
		return wrapped, err
	}
	// The user gets to see the connection that was dialed.
	wrapped, err := p.user.AfterNetConnect(ctx, config, s.Conn)
	if wrapped != nil {
		s.Conn = wrapped
	}
	return s, err
}

func (p *pgLogin) afterConnect(ctx context.Context, pc *pgconn.PgConn) error {
	s := socketOf(pc.Conn())
	if !p.done.Load() {
		p.mu.Lock()
		s = p.current
		p.mu.Unlock()
		pc.CustomData()[sessionKey] = s.login
		p.done.Store(true)
		if p.hosts != nil {
			s.login.Opened()
		}
	}
	if s != nil {
		if p.hosts != nil && s.config != nil {
			s.config.Fallbacks = p.user.Fallbacks // without the second logins
		}
		s.wipe()
	}
	if p.user.AfterConnect == nil {
		return nil
	}
	return p.user.AfterConnect(ctx, pc)
}

func (p *pgLogin) onPgError(pc *pgconn.PgConn, e *pgconn.PgError) bool {
	keep := !strings.EqualFold(e.Severity, "FATAL")
	if p.user.OnPgError != nil {
		keep = p.user.OnPgError(pc, e)
	}
	if p.done.Load() {
		l, ok := pc.CustomData()[sessionKey].(*Login)
		switch {
		case ok && lacksRights(e):
			l.Denied(e)
		case ok && p.k.classify(e) == Doubtful: // a pooler that cannot log in itself says so now
			l.hold.Doubt()
		}
		return keep
	}
	verdict := p.k.classify(e)
	if p.hosts == nil || verdict == Unrelated {
		return keep
	}
	p.mu.Lock()
	s := p.current
	p.mu.Unlock()
	p.hosts.rejected(s, e, verdict)
	return false
}

// A pgSocket is the socket of one login, below TLS.
type pgSocket struct {
	net.Conn
	login            *Login // nil: one that is not the pool's
	network, address string
	tls              bool
	config           *pgconn.Config // holds the password while the login is on its way
	closed           func()
}

// socketOf finds the socket under a connection, if nobody has wrapped it.
func socketOf(conn net.Conn) *pgSocket {
	if t, ok := conn.(*tls.Conn); ok {
		conn = t.NetConn()
	}
	s, _ := conn.(*pgSocket)
	return s
}

// wipe takes the password out of the configuration, where errors and
// conn.Config would carry it on.
func (s *pgSocket) wipe() {
	if s.config != nil {
		s.config.Password = ""
		s.config = nil
	}
}

// Close ends the login too.
func (s *pgSocket) Close() error {
	err := s.Conn.Close()
	s.wipe()
	if s.closed != nil {
		s.closed()
	}
	return err
}
