package crashtest_test

import (
	"context"
	"crypto/rand"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/internal/pgserver"
	"github.com/rekey-go/rekey/pool/verify"
	"github.com/rekey-go/rekey/rotate"
	"github.com/rekey-go/rekey/rotate/postgres"
	"github.com/rekey-go/rekey/source"
)

// pg is the server of all cases, which logs every statement.
var pg struct {
	once   sync.Once
	server *pgserver.Server
	err    error

	mu   sync.Mutex // one reader of the log at a time
	read int64      // bytes of the log
}

// rotatorRole logs in without a password, which saves time.
const rotatorRole = "rotator"

func pgServer(t *testing.T) *pgserver.Server {
	pg.once.Do(func() {
		ctx := context.Background()
		pg.server, pg.err = pgserver.Start(ctx, &pgserver.Options{Own: true, HBA: []string{"host all " + rotatorRole + " 127.0.0.1/32 trust"}, Settings: map[string]string{
			"logging_collector": "on", "log_statement": "all", "log_rotation_size": "0", "max_connections": "200",
		}})
		if pg.err == nil {
			pg.err = pg.server.Exec(ctx, "create role "+rotatorRole+" login createrole in role pg_read_all_stats")
		}
	})
	require.NoError(t, pg.err)
	return pg.server
}

func closePostgres() error {
	if pg.server == nil {
		return nil
	}
	return pg.server.Close()
}

// pgUsers are a group that owns a table, and one of its members, or both.
type pgUsers struct {
	server *pgserver.Server
	at     place
	cred   source.Credential
}

func makeOne(t *testing.T) users  { return makePostgres(t, false) }
func makeBoth(t *testing.T) users { return makePostgres(t, true) }

func makePostgres(t *testing.T, both bool) users {
	s, id := pgServer(t), strings.ToLower(rand.Text()[:10])
	host, port := s.Addr()
	u := &pgUsers{s, place{
		"addr": net.JoinHostPort(host, strconv.Itoa(int(port))), "group": "group_" + id, "one": "one_" + id, "two": "two_" + id, "table": "orders_" + id,
	}, source.Credential{Username: "one_" + id, Password: source.NewSecret(canary + id)}}
	verifier, err := postgres.Verifier(u.cred.Password, nil)
	require.NoError(t, err)
	other := ""
	if both {
		other = `; create role $two login in role $group connection limit 7;
		alter role $two set role to $group; alter role $two set statement_timeout to '61s';
		grant $two to $rotator with admin option`
	}
	require.NoError(t, s.Exec(t.Context(), strings.NewReplacer("$group", u.at["group"], "$one", u.at["one"], "$two", u.at["two"], "$table", u.at["table"],
		"$verifier", verifier.Reveal(), "$rotator", rotatorRole).Replace(`
		create role $group nologin;
		create table $table (id bigserial primary key, item text); alter table $table owner to $group;
		create role $one login in role $group connection limit 7 password '$verifier';
		alter role $one set role to $group; alter role $one set statement_timeout to '61s';
		grant $group, $one to $rotator with admin option`+other)))
	t.Cleanup(func() {
		require.NoError(t, s.Do(context.Background(), func(conn *pgx.Conn) error {
			members, err := u.members(context.Background(), conn)
			for _, m := range members {
				if err == nil {
					_, err = conn.Exec(context.Background(), "drop role "+pgserver.QuoteIdent(m.name))
				}
			}
			if err == nil {
				_, err = conn.Exec(context.Background(), "drop table "+u.at["table"]+"; drop role "+u.at["group"])
			}
			return err
		}))
	})
	return u
}

func (u *pgUsers) place() place             { return u.at }
func (u *pgUsers) first() source.Credential { return u.cred }

// A member is a user of the group as the catalog has it.
type member struct {
	name, verifier, rights string
	login                  bool
}

func (u *pgUsers) members(ctx context.Context, conn *pgx.Conn) ([]member, error) {
	rows, err := conn.Query(ctx, `select u.rolname, coalesce(a.rolpassword, ''), u.rolcanlogin,
		concat_ws(' ', u.rolconnlimit, u.rolsuper, u.rolcreaterole, u.rolcreatedb, u.rolbypassrls, u.rolinherit, u.rolvaliduntil,
			(select array_agg(s order by s) from unnest(u.rolconfig) s),
			(select array_agg(m.roleid::regrole::text order by 1) from pg_auth_members m where m.member = u.oid),
			(select count(*) from pg_shdepend d where d.refobjid = u.oid and d.deptype <> 'i' and d.classid <> 'pg_auth_members'::regclass))
		from pg_roles u join pg_authid a on a.oid = u.oid
		where u.rolname <> $2 and exists (select from pg_auth_members m where m.member = u.oid and m.roleid = $1::text::regrole)
		order by u.oid`, u.at["group"], rotatorRole)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (m member, err error) {
		err = row.Scan(&m.name, &m.verifier, &m.login, &m.rights)
		return m, err
	})
}

func (u *pgUsers) accounts(t *testing.T, passwords []string) (all []account) {
	var members []member
	require.NoError(t, u.server.Do(t.Context(), func(conn *pgx.Conn) (err error) {
		members, err = u.members(t.Context(), conn)
		return err
	}))
	for _, m := range members {
		a := account{name: m.name, rights: m.rights}
		for _, password := range passwords {
			if !m.login || m.verifier == "" || a.passwords != nil {
				continue
			}
			ok, err := postgres.Matches(source.NewSecret(m.verifier), source.NewSecret(password))
			require.NoError(t, err)
			if ok {
				a.passwords = []string{password}
			}
		}
		all = append(all, a)
	}
	return all
}

// seen is the server's log.
func (u *pgUsers) seen(t *testing.T) (text string) {
	pg.mu.Lock()
	defer pg.mu.Unlock()
	require.NoError(t, u.server.Do(t.Context(), func(conn *pgx.Conn) error {
		const most = 1 << 24
		err := conn.QueryRow(t.Context(), "select pg_read_file(pg_current_logfile(), $1, $2)", pg.read, most).Scan(&text)
		pg.read += int64(len(text))
		return err
	}))
	return text
}

func (u *pgUsers) session(t *testing.T, c source.Credential) (end func()) {
	config, err := pgx.ParseConfig("postgres://" + u.at["addr"] + "/postgres?sslmode=disable")
	require.NoError(t, err)
	config.User, config.Password = c.Username, c.Password.Reveal()
	conn, err := pgx.ConnectConfig(t.Context(), config)
	require.NoError(t, err)
	return func() { require.NoError(t, conn.Close(context.Background())) }
}

func postgresTarget(open func(*postgres.Config, place) (rotate.Target, error)) func(place, *injector, bool) (rotate.Target, error) {
	return func(p place, in *injector, unfit bool) (rotate.Target, error) {
		c, err := postgresConfig(p, in)
		if err != nil {
			return nil, err
		}
		if unfit {
			c.Verify = verify.Statements("select rolpassword from pg_authid")
		}
		return open(c, p)
	}
}

func postgresLock(p place) (lock, error) {
	c, err := postgresConfig(p, nil)
	return postgres.Lock(c, p["group"]), err
}

func postgresConfig(p place, in *injector) (*postgres.Config, error) {
	login, err := pgx.ParseConfig("postgres://" + p["addr"] + "/postgres?sslmode=disable")
	if err != nil {
		return nil, err
	}
	login.DialFunc = dial(in, pgAsks)
	return &postgres.Config{
		Admin: func(ctx context.Context) (*pgx.Conn, error) {
			admin := login.Copy()
			admin.User = rotatorRole
			return pgx.ConnectConfig(ctx, admin)
		},
		Login: login, Verify: verify.Privileges(verify.On(p["table"], "select", "insert")),
	}, nil
}

// pgAsks counts a login once, though it takes several messages.
func pgAsks(b []byte) bool { return b[0] != 'p' && b[0] != 'X' }
