package pool

import (
	"context"
	"errors"
	"fmt"
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
// caller of the raw pool sees it: pgconn goes through a list of hosts, and a
// second login stands at the end of that list.
type pgLogin struct {
	k     *keeper
	user  pgconn.Config // the hooks that were there before
	claim func(context.Context) (*Login, error)
	hosts []pgHost // pgconn's list without the second logins; nil where there are none

	mu       sync.Mutex
	attempts int
	current  *Login
	address  [2]string // network and address dialed last
	config   *pgconn.Config
	rejected *rejection
	done     atomic.Bool // logged in; from here on the hooks pass everything through
}

type pgHost struct {
	name      string
	addresses []string
}

// A rejection is what the database said to the first login.
type rejection struct {
	login *Login
	host  int // which entry of the list it was
	err   *pgconn.PgError
	code  string // err.Code as it was received
}

// secondLogin is the name under which the second login of a host is on
// pgconn's list. It is no address and is never dialed.
const secondLogin = "second login"

var (
	errNotRejected = errors.New("not needed, no login was rejected")
	errStopped     = errors.New("not tried after a rejected login")
)

// sessionKey is where a connection's Login is in its custom data.
const sessionKey = "github.com/rekey-go/rekey/pool"

func sessionOf(conn *pgx.Conn) *Login {
	l, _ := conn.PgConn().CustomData()[sessionKey].(*Login)
	return l
}

// install puts the hooks into cc, which must be a copy for one connection.
// Each attempt asks claim for its login. With again set, a rejected login is
// followed by a second one; without it, judging the error is up to the caller.
func (k *keeper) install(cc *pgx.ConnConfig, again bool, claim func(context.Context) (*Login, error)) {
	p := &pgLogin{k: k, user: cc.Config, claim: claim}
	if cc.ConnectTimeout <= 0 {
		cc.ConnectTimeout = 2 * time.Minute // as pgxpool has it
	}
	cc.Password = ""
	cc.DialFunc = p.dial
	cc.AfterNetConnect = p.afterNetConnect
	cc.AfterConnect = p.afterConnect
	cc.OnPgError = p.onPgError
	if !again {
		return
	}
	cc.LookupFunc = p.lookup
	p.hosts = append(p.hosts, pgHost{name: cc.Host})
	second := []*pgconn.FallbackConfig{{Host: secondLogin + " 0", Port: cc.Port, TLSConfig: cc.TLSConfig}}
	for i, f := range cc.Fallbacks {
		p.hosts = append(p.hosts, pgHost{name: f.Host})
		second = append(second, &pgconn.FallbackConfig{Host: fmt.Sprintf("%s %d", secondLogin, i+1), Port: f.Port, TLSConfig: f.TLSConfig})
	}
	cc.Fallbacks = append(cc.Fallbacks[:len(cc.Fallbacks):len(cc.Fallbacks)], second...)
}

// lookup resolves each host once, so that attempts can be told apart by their
// place on the list.
func (p *pgLogin) lookup(ctx context.Context, host string) ([]string, error) {
	if strings.HasPrefix(host, secondLogin) {
		return []string{host}, nil
	}
	for i := range p.hosts {
		if h := &p.hosts[i]; h.name == host && h.addresses != nil {
			return h.addresses, nil
		}
	}
	addresses, err := p.user.LookupFunc(ctx, host)
	for i := range p.hosts {
		if p.hosts[i].name == host {
			p.hosts[i].addresses = addresses
		}
	}
	return addresses, err
}

// hostOf returns the entry of the list that the n-th attempt belongs to. A
// unix socket is one address without a look-up.
func (p *pgLogin) hostOf(n int) int {
	for i, h := range p.hosts {
		size := len(h.addresses)
		if strings.HasPrefix(h.name, "/") || strings.HasPrefix(h.name, "@") {
			size = 1
		}
		if n < size {
			return i
		}
		n -= size
	}
	return -1
}

func (p *pgLogin) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if p.done.Load() { // to cancel a statement
		return p.user.DialFunc(ctx, network, address)
	}
	network, address, err := p.route(ctx, network, address)
	if err != nil {
		return nil, err
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
	p.mu.Lock()
	defer p.mu.Unlock()
	p.current, p.address = l, [2]string{network, address}
	return &socket{Conn: conn, closed: func() { p.wipe(); p.ended(l) }}, nil
}

// ended ends the login of a socket. Without second logins all attempts share
// one login, which the caller ends if none succeeds.
func (p *pgLogin) ended(l *Login) {
	if p.hosts != nil || p.done.Load() {
		l.Closed()
	}
}

// route says where to dial: for the second login where the first was rejected,
// once there is another credential to log in with.
func (p *pgLogin) route(ctx context.Context, network, address string) (string, string, error) {
	p.mu.Lock()
	p.attempts++
	r := p.rejected
	last := p.address
	p.mu.Unlock()
	if r != nil {
		r.err.Code = r.code
	}
	host, second := strings.CutPrefix(address, secondLogin+" ")
	switch {
	case !second && r != nil && r.code == invalidPassword:
		return "", "", errStopped // as pgconn would have without us
	case !second:
		return network, address, nil
	case r == nil || !strings.HasPrefix(host, fmt.Sprintf("%d:", r.host)):
		return "", "", errNotRejected
	}
	if r.code != invalidPassword {
		r.login.Rejected() // now that no other entry of the list has worked
	}
	if err := p.k.newer(ctx, r.login.snapshot.Generation); err != nil {
		return "", "", err
	}
	return last[0], last[1], nil
}

func (p *pgLogin) afterNetConnect(ctx context.Context, config *pgconn.Config, conn net.Conn) (net.Conn, error) {
	c := p.k.refresher.Current().Credential // where a user connects with the configuration of an open connection
	if !p.done.Load() {
		p.mu.Lock()
		c = p.current.Credential()
		p.config = config
		p.mu.Unlock()
	}
	if c.Username != "" {
		config.User = c.Username
	}
	config.Password = c.Password.Reveal()
	if p.user.AfterNetConnect == nil {
		return conn, nil
	}
	wrapped, err := p.user.AfterNetConnect(ctx, config, conn)
	if err != nil && wrapped == nil {
		wrapped = conn // pgconn closes what it gets
	}
	return wrapped, err
}

func (p *pgLogin) afterConnect(ctx context.Context, pc *pgconn.PgConn) error {
	if !p.done.Load() {
		p.wipe()
		p.mu.Lock()
		l := p.current
		p.mu.Unlock()
		pc.CustomData()[sessionKey] = l
		p.done.Store(true)
		if p.hosts != nil {
			l.Opened()
		}
	}
	if p.user.AfterConnect == nil {
		return nil
	}
	return p.user.AfterConnect(ctx, pc)
}

// wipe takes the password out of the configuration, where errors and
// conn.Config would carry it on.
func (p *pgLogin) wipe() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.config != nil && !p.done.Load() {
		p.config.Password = ""
	}
}

func (p *pgLogin) onPgError(pc *pgconn.PgConn, e *pgconn.PgError) bool {
	keep := !strings.EqualFold(e.Severity, "FATAL")
	if p.user.OnPgError != nil {
		keep = p.user.OnPgError(pc, e)
	}
	if p.done.Load() || p.hosts == nil || p.k.classify(e) != Rejected {
		return keep
	}
	p.mu.Lock()
	l, first := p.current, p.rejected == nil
	if first {
		p.rejected = &rejection{login: l, host: p.hostOf(p.attempts - 1), err: e, code: e.Code}
	}
	p.mu.Unlock()
	if !first || e.Code == invalidPassword {
		l.Rejected()
	}
	if first && e.Code == invalidPassword {
		// pgconn gives up its list at this code, so it gets to see the other
		// one until it comes to the next entry.
		e.Code = invalidAuthorization
	}
	return false
}
