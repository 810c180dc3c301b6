package pool

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/jackc/pgx/v5/pgconn"
)

// pgHosts puts second logins into one connect of pgconn. pgconn goes through a
// list of hosts, and a second login for each stands at the end of that list:
// it is made where the database rejected the first, to the same address in the
// same way, once there is another credential to log in with.
type pgHosts struct {
	list []pgHost // without the second logins

	mu       sync.Mutex
	attempts int   // of the first round
	at       int   // the entry that is being tried; -1: not known
	again    bool  // for the second time
	stopped  bool  // no further entry of the first round is tried
	failure  error // why there is no other credential
	masked   *pgconn.PgError
	code     string // masked.Code as it was received
}

type pgHost struct {
	name      string
	tls       bool
	looked    bool
	addresses []string
	err       error
	rejection *rejection
}

// A rejection is what became of the first login at a host.
type rejection struct {
	*pgSocket
	verdict Verdict
	told    bool // the refresher knows, or need not
}

// secondLogin begins the name under which the second login of a host is on
// pgconn's list, with its number after it. It is no address and is never
// dialed.
const secondLogin = "second login "

var (
	errNotRejected = errors.New("not needed, no login was rejected here")
	errStopped     = errors.New("not tried after a rejected login")
)

// withSecondLogins extends the list of config.
func withSecondLogins(config *pgconn.Config) *pgHosts {
	first := append([]*pgconn.FallbackConfig{{Host: config.Host, Port: config.Port, TLSConfig: config.TLSConfig}}, config.Fallbacks...)
	h := &pgHosts{at: -1}
	all := config.Fallbacks[:len(config.Fallbacks):len(config.Fallbacks)]
	for i, f := range first {
		h.list = append(h.list, pgHost{name: f.Host, tls: f.TLSConfig != nil})
		all = append(all, &pgconn.FallbackConfig{Host: secondLogin + strconv.Itoa(i), Port: f.Port, TLSConfig: f.TLSConfig})
	}
	config.Fallbacks = all
	return h
}

// lookup resolves each host once, so that attempts can be told apart by their
// place on the list.
func (h *pgHosts) lookup(ctx context.Context, name string, resolve func(context.Context, string) ([]string, error)) ([]string, error) {
	for i := range h.list {
		if e := &h.list[i]; e.name == name && e.looked {
			return e.addresses, e.err
		}
	}
	addresses, err := resolve(ctx, name)
	if err != nil {
		addresses = nil
	}
	for i := range h.list {
		if e := &h.list[i]; e.name == name {
			e.looked, e.addresses, e.err = true, addresses, err
		}
	}
	return addresses, err
}

// hostOf returns the entry of the list that the n-th attempt of the first round
// belongs to, -1 if there is none. A unix socket is one address without a
// look-up.
func (h *pgHosts) hostOf(n int) int {
	for i := range h.list {
		size := len(h.list[i].addresses)
		if network, _ := pgconn.NetworkAddress(h.list[i].name, 0); network == "unix" {
			size = 1
		}
		if n < size {
			return i
		}
		n -= size
	}
	return -1
}

// route says where an attempt dials.
func (h *pgHosts) route(ctx context.Context, k *keeper, network, address string) (string, string, error) {
	h.mu.Lock()
	if h.masked != nil {
		h.masked.Code, h.masked = h.code, nil
	}
	entry, second := strings.CutPrefix(address, secondLogin)
	if !second {
		h.at, h.again = h.hostOf(h.attempts), false
		h.attempts++
		stopped := h.stopped
		h.mu.Unlock()
		if stopped {
			return "", "", errStopped
		}
		return network, address, nil
	}
	entry, _, _ = strings.Cut(entry, ":")
	i, err := strconv.Atoi(entry)
	if err != nil {
		h.mu.Unlock()
		return "", "", fmt.Errorf("host %q: %w", address, err)
	}
	h.at, h.again = i, true
	r := h.list[i].rejection
	h.mu.Unlock()
	switch {
	case r == nil:
		return "", "", errNotRejected
	case h.failure != nil:
		return "", "", h.failure
	case !r.told:
		r.login.Rejected() // now that no other entry of the list has worked
	}
	if h.failure = k.another(ctx, r.login, r.verdict); h.failure != nil {
		return "", "", h.failure
	}
	return r.network, r.address, nil
}

// rejected notes that the login of s was, or may have been, rejected with e.
func (h *pgHosts) rejected(s *pgSocket, e *pgconn.PgError, v Verdict) {
	h.mu.Lock()
	ends := endsList(e.Code)
	// While other entries may still work, nothing is wrong with the credential.
	tell := ends || h.again || h.hostOf(h.attempts) < 0
	// Never may a second login go in the clear where the first did not.
	if !h.again && h.at >= 0 && h.list[h.at].tls == s.tls {
		h.list[h.at].rejection = &rejection{s, v, tell || v == Doubtful}
		if ends {
			// pgconn gives up its list at this code, so it gets to see another
			// one until it comes to the next entry; it reads the same in the
			// text that pgconn makes of it meanwhile.
			h.stopped = true
			h.masked, h.code, e.Code = e, e.Code, e.Code+" "
		}
	}
	h.mu.Unlock()
	if tell && v == Rejected {
		s.login.Rejected()
	}
}

// endsList reports whether pgconn tries no further host after code.
func endsList(code string) bool {
	return code == invalidPassword || code == unknownDatabase || code == insufficientRights
}
