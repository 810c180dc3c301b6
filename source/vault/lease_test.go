package vault_test

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/vaultserver/vaulttest"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
	"github.com/rekey-go/rekey/source/vault"
)

// kind requires an error of a kind.
func kind(t testing.TB, err error, want vault.Kind) {
	t.Helper()
	require.NotNil(t, typed(t, err, want))
}

// typed requires an error of a kind and returns it.
func typed(t testing.TB, err error, want vault.Kind) *vault.Error {
	t.Helper()
	var e *vault.Error
	require.ErrorAs(t, err, &e)
	require.Equal(t, want, e.Kind, "%v", err)
	return e
}

// A ledger is a source that writes down what the renewals of its leases bring.
type ledger struct {
	source.Source
	mu     sync.Mutex
	grants map[string][]string // by user: which bounds, in turn
}

func (l *ledger) Credential(ctx context.Context) (source.Credential, error) {
	c, err := l.Source.Credential(ctx)
	if err == nil {
		c.Lease = entry{c.Lease, l, c.Username}
	}
	return c, err
}

// cut is a user whose lease was cut at its maximum, if any.
func (l *ledger) cut() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	for user, grants := range l.grants {
		if slices.Contains(grants, "max_ttl") {
			return user
		}
	}
	return ""
}

// An entry is a lease in a ledger.
type entry struct {
	source.Lease
	ledger *ledger
	user   string
}

func (e entry) Renew(ctx context.Context) (source.Credential, error) {
	c, err := e.Lease.Renew(ctx)
	if err == nil {
		c.Lease = e
		e.ledger.mu.Lock()
		defer e.ledger.mu.Unlock()
		e.ledger.grants[e.user] = append(e.ledger.grants[e.user], c.Reason)
	}
	return c, err
}

func TestF04RenewalsThatShrinkTowardsTheMaximum(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{TTL: 9 * time.Second, MaxTTL: 10 * time.Second})
	l := &ledger{Source: vault.Dynamic(b.limited(may(path)), path, nil), grants: make(map[string][]string)}
	r := b.refresher(l, &refresh.Options{PreferRenew: true})
	var cut string
	eventually(t, func() bool { cut = l.cut(); return cut != "" }, "renewed")
	eventually(t, func() bool { return r.Current().Username != cut }, "replaced")
	r.Close()
	require.Positive(t, r.Health().Renewals)
	for user, grants := range l.grants {
		if at := slices.Index(grants, "max_ttl"); at >= 0 {
			require.Len(t, grants[at:], 1, "%s is not renewed after the first cut: %v", user, grants)
		}
	}
}

func TestF05ARenewalThatSaysNothing(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{TTL: 9 * time.Second, MaxTTL: time.Minute})
	src := vault.Dynamic(b.limited(may(path)), path, nil)
	c := get(t, src)
	for _, f := range []vaulttest.Fault{
		{Status: http.StatusNoContent, Body: " "},
		{Body: "{}"},
		{Body: `{"lease_id":"x","lease_duration":0}`},
		{Body: `{"lease_id":"x","lease_duration":-5}`},
	} {
		f.Path, f.Times = "sys/leases/renew", 1
		b.proxy.Break(f)
		renewed, err := c.Lease.Renew(t.Context())
		require.NoError(t, err)
		require.Zero(t, renewed.Expires, "unknown, and so taken for nothing")
	}
	b.proxy.Break(vaulttest.Fault{Path: "sys/leases/renew", Body: "{}"})
	r := b.refresher(src, &refresh.Options{PreferRenew: true})
	eventually(t, func() bool { return r.Current().Generation >= 2 }, "replaced")
	require.Contains(t, r.Health().LastError, "no new end")
}

func TestF06TimeCountsFromTheStartOfTheRequest(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{TTL: time.Minute, MaxTTL: time.Hour})
	src := vault.Dynamic(b.limited(may(path)), path, nil)
	b.proxy.Break(vaulttest.Fault{Path: path, Delay: time.Second})
	b.proxy.Break(vaulttest.Fault{Path: "sys/leases/renew", Delay: time.Second})
	begun := time.Now()
	c := get(t, src)
	require.WithinRange(t, c.Issued, begun, time.Now().Add(-time.Second))
	require.Equal(t, time.Minute, c.Expires.Sub(c.Issued))
	begun = time.Now()
	c, err := c.Lease.Renew(t.Context())
	require.NoError(t, err)
	require.WithinRange(t, c.Issued, begun, time.Now().Add(-time.Second))
	require.Equal(t, time.Minute, c.Expires.Sub(c.Issued), "from now, not from the old end")
}

func TestF08RenewalIsNotAllowed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{TTL: 9 * time.Second, MaxTTL: time.Minute})
	token := vaulttest.NewToken(t, b.Server, vaulttest.Token{Policy: may(path), NoDefault: true})
	r := b.refresher(vault.Dynamic(b.client(token), path, nil), &refresh.Options{PreferRenew: true})
	eventually(t, func() bool { return r.Current().Generation >= 2 }, "a fresh one instead")
	require.Less(t, len(b.proxy.Requests("sys/leases/renew")), int(r.Current().Generation)+1, "one each, and no loop")
	require.Contains(t, r.Health().LastError, `"update" on "sys/leases/renew"`)
	require.Equal(t, refresh.Fresh, r.Health().State)
}

func TestF09RevocationIsRefusedOrHangs(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{})
	open := func(rules string) *refresh.Refresher {
		r, err := refresh.New(t.Context(), vault.Dynamic(b.limited(rules), path, nil), quiet(t, nil))
		require.NoError(t, err)
		return r
	}
	r := open(vaulttest.Rule(path, "read"))
	err := r.Shutdown(t.Context())
	e := typed(t, err, vault.Permission)
	require.Equal(t, "update", e.Capability)
	require.Equal(t, "sys/leases/revoke", e.Path)
	require.ErrorContains(t, err, r.Current().Username)

	r = open(may(path))
	b.proxy.Break(vaulttest.Fault{Path: "sys/leases/revoke", Delay: time.Minute})
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	begun := time.Now()
	require.ErrorIs(t, r.Shutdown(ctx), context.DeadlineExceeded)
	require.Less(t, time.Since(begun), 20*time.Second, "less than the time-out of a revocation")
	b.proxy.Clear()
	require.NoError(t, r.Shutdown(t.Context()), "called again, it revokes")
	require.Len(t, b.Leases("app"), 1, "that of the first")
}

func TestRevocationOfWhatIsGoneIsNoError(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{})
	c := get(t, vault.Dynamic(b.limited(may(path)), path, nil))
	require.NoError(t, c.Lease.Revoke(t.Context()))
	require.NoError(t, c.Lease.Revoke(t.Context()))
	require.Empty(t, b.Users())
	_, err := c.Lease.Renew(t.Context())
	kind(t, err, vault.Ended)
	require.True(t, source.IsPermanent(err))
}

func TestF03AReplacedLeaseIsNeverRenewed(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{TTL: 9 * time.Second, MaxTTL: time.Minute})
	r := b.refresher(vault.Dynamic(b.limited(may(path)), path, nil), &refresh.Options{PreferRenew: true})
	for i := range 2 {
		require.NoError(t, r.Refresh(t.Context()))
		eventually(t, func() bool { return r.Health().Renewals > i }, "the new one is renewed")
	}
	for _, request := range b.proxy.Requests("sys/leases/renew") {
		require.Contains(t, []int{http.StatusOK, 0}, request.Status, "not refused; one may be under way")
	}
	require.Len(t, b.Leases("app"), 1)
}

func TestAUserThatOwnsSomethingIsNotDropped(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{})
	c := get(t, vault.Dynamic(b.limited(may(path)), path, nil))
	admin := b.DB.Admin()
	defer admin.Close(t.Context())
	_, err := admin.Exec(t.Context(), "alter table orders owner to "+pgx.Identifier{c.Username}.Sanitize())
	require.NoError(t, err)
	err = c.Lease.Revoke(t.Context())
	kind(t, err, vault.Unavailable)
	require.False(t, source.IsPermanent(err), "it is tried again")
	require.ErrorContains(t, err, "2BP01")
	require.Len(t, b.Users(), 1)

	_, err = admin.Exec(t.Context(), "alter table orders owner to "+pgx.Identifier{b.DB.Group}.Sanitize())
	require.NoError(t, err)
	require.NoError(t, c.Lease.Revoke(t.Context()))
	require.Empty(t, b.Users())
}

// gate is a consumer that accepts users as it is told.
type gate struct{ refuse func(refresh.Snapshot) error }

func (g gate) Verify(_ context.Context, s refresh.Snapshot) error { return g.refuse(s) }
func (gate) Changed()                                             {}

func TestF10RejectedCredentialsAreRevoked(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{})
	r := b.refresher(vault.Dynamic(b.limited(may(path)), path, nil), nil)
	good := r.Current()
	_, err := r.Attach(t.Context(), gate{func(s refresh.Snapshot) error {
		if s.Generation == good.Generation {
			return nil
		}
		return fmt.Errorf("no rights: %w", refresh.ErrRejected)
	}})
	require.NoError(t, err)
	for range 4 {
		require.ErrorIs(t, r.Refresh(t.Context()), refresh.ErrRejected)
		require.LessOrEqual(t, len(b.Leases("app")), 2)
	}
	eventually(t, func() bool { return len(b.Leases("app")) == 1 }, "all but the good one are revoked")
	require.Equal(t, []string{good.Username}, b.Users())
}

func TestAnswersThatCannotBeUsedLeaveNoUser(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	path := b.Role("app", vaulttest.Role{})
	client := b.limited(may(path))
	var field *source.FieldError
	_, err := vault.Dynamic(client, path, &vault.Options{PasswordField: "rsa_private_key"}).Credential(t.Context())
	require.ErrorAs(t, err, &field)
	require.Equal(t, "rsa_private_key", field.Field)
	_, err = vault.Static(client, path, nil).Credential(t.Context())
	require.ErrorAs(t, err, &field)
	require.Equal(t, "lease_id", field.Field)
	require.Empty(t, b.Users(), "revoked at once")

	fixed := b.StaticRole("fixed", vaulttest.Static{Period: time.Hour})
	_, err = vault.Dynamic(b.limited(may(fixed)), fixed, nil).Credential(t.Context())
	require.ErrorAs(t, err, &field)
	require.ErrorContains(t, err, "vault.Static")
}
