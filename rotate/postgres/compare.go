package postgres

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/rekey-go/rekey/pool/verify"
	"github.com/rekey-go/rekey/rotate"
)

// compare looks for rights of c.From that c.To lacks: in the database that the
// application logs in to, whose session as c.To is conn, and in all others in
// which c.From has something of its own. What both have as members of the same
// roles, they have everywhere.
func (s *server) compare(ctx context.Context, conn *pgx.Conn, c rotate.Change) error {
	current, err := s.login(ctx, c.From, "")
	switch {
	case rejected(err):
		return nil // it has no rights any more
	case err != nil:
		return loginError(c.From.Username, err)
	}
	defer hangUp(ctx, current)
	lost, elsewhere, err := lostIn(ctx, current, conn)
	if err != nil {
		return fmt.Errorf("postgres: the rights of %q and %q: %w", c.From.Username, c.To.Username, err)
	}
	for _, database := range elsewhere {
		more, err := s.compareIn(ctx, database, c)
		if err != nil {
			return err
		}
		lost = append(lost, more...)
	}
	if len(lost) > 0 {
		return fmt.Errorf("postgres: user %q lacks what %q may do: %s: %w", c.To.Username, c.From.Username, strings.Join(lost, "; "), rotate.ErrUnfit)
	}
	return nil
}

// compareIn compares in another database of the cluster.
func (s *server) compareIn(ctx context.Context, database string, c rotate.Change) (lost []string, err error) {
	from, err := s.login(ctx, c.From, database)
	switch {
	case rejected(err):
		return nil, nil // it may not connect
	case err != nil:
		return nil, fmt.Errorf("database %q: %w", database, loginError(c.From.Username, err))
	}
	defer hangUp(ctx, from)
	to, err := s.login(ctx, c.To, database)
	switch {
	case rejected(err):
		return []string{fmt.Sprintf("connect to database %q", database)}, nil
	case err != nil:
		return nil, fmt.Errorf("database %q: %w", database, loginError(c.To.Username, err))
	}
	defer hangUp(ctx, to)
	lost, _, err = lostIn(ctx, from, to)
	if err != nil {
		return nil, fmt.Errorf("postgres: the rights of %q and %q in database %q: %w", c.From.Username, c.To.Username, database, err)
	}
	for i := range lost {
		lost[i] += fmt.Sprintf(" (database %q)", database)
	}
	return lost, nil
}

// lostIn compares the roles of two sessions in one database. elsewhere are the
// databases in which the role of from has something of its own.
func lostIn(ctx context.Context, from, to *pgx.Conn) (lost, elsewhere []string, err error) {
	old, err := verify.RoleOf(ctx, from)
	if err != nil {
		return nil, nil, err
	}
	role, err := verify.RoleOf(ctx, to)
	if err != nil {
		return nil, nil, err
	}
	if lost, err = verify.Lost(ctx, to, old, role); err != nil {
		return nil, nil, err
	}
	mode := pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}
	err = pgx.BeginTxFunc(ctx, to, mode, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set local search_path = pg_catalog, pg_temp"); err != nil {
			return err
		}
		query := strings.Replace(beyond, newer, map[bool]string{true: ownParameters}[atLeast15(to)], 1)
		more, err := column(ctx, tx, query, old.Current, role.Current, old.Session, role.Session)
		if err != nil {
			return err
		}
		for _, line := range more {
			if !slices.Contains(lost, line) {
				lost = append(lost, line)
			}
		}
		if old.Current != role.Current {
			elsewhere, err = column(ctx, tx, ownDatabases, old.Current)
		}
		return err
	})
	return lost, elsewhere, err
}

func column(ctx context.Context, tx pgx.Tx, query string, args ...any) ([]string, error) {
	rows, err := tx.Query(ctx, query, append([]any{oneTrip}, args...)...)
	if err != nil {
		return nil, err
	}
	return pgx.CollectRows(rows, pgx.RowTo[string])
}

const ownDatabases = `select distinct datname from pg_shdepend s join pg_roles r on r.oid = s.refobjid join pg_database d on d.oid = s.dbid
	where s.refclassid = 'pg_authid'::regclass and r.rolname = $1 and datname <> current_database() and datallowconn order by 1`

const ownParameters = `union all select 'parameter ' || parname, 10, paracl from pg_parameter_acl`

// beyond compares what [verify.Lost] does not: other kinds of objects, row-level
// security, limits and settings. $1 and $2 are whose rights count, old and new,
// $3 and $4 who logged in.
const beyond = `with who as (
	select f.oid as f, t.oid as t, fl.oid as fl, tl.oid as tl, f.rolsuper or fl.rolsuper as super
	from pg_roles f, pg_roles t, pg_roles fl, pg_roles tl where f.rolname = $1 and t.rolname = $2 and fl.rolname = $3 and tl.rolname = $4),
objects (name, owner, acl) as (
	select 'type ' || oid::regtype, typowner, typacl from pg_type where typacl is not null
	union all select 'language ' || quote_ident(lanname), lanowner, lanacl from pg_language where lanacl is not null
	union all select 'large object ' || oid, lomowner, coalesce(lomacl, acldefault('L', lomowner)) from pg_largeobject_metadata
	union all select 'foreign-data wrapper ' || quote_ident(fdwname), fdwowner, coalesce(fdwacl, acldefault('F', fdwowner)) from pg_foreign_data_wrapper
	union all select 'server ' || quote_ident(srvname), srvowner, coalesce(srvacl, acldefault('S', srvowner)) from pg_foreign_server
	union all select 'tablespace ' || quote_ident(spcname), spcowner, coalesce(spcacl, acldefault('t', spcowner)) from pg_tablespace
	union all select 'database ' || quote_ident(datname), datdba, coalesce(datacl, acldefault('d', datdba)) from pg_database
		where datname <> current_database() and datallowconn
	-- and what newer servers have
	),
rights as (
	select name, lower(privilege_type) as privilege, bool_or(grantee = 0 or pg_has_role(case privilege_type when 'CONNECT' then fl else f end, grantee, 'usage')) as had,
		bool_or(grantee = 0 or pg_has_role(case privilege_type when 'CONNECT' then tl else t end, grantee, 'usage')) as has
	from who, objects, aclexplode(acl) group by 1, 2),
settings as (
	select setrole, coalesce(' in database ' || quote_ident(datname), '') as place, s as text
	from pg_db_role_setting left join pg_database d on d.oid = setdatabase, unnest(setconfig) s where s not like 'role=%'),
lost (line) as (
	select privilege || ' on ' || name from rights, who where had and not has and not super
	union all
	select 'ownership on ' || coalesce(pg_describe_object(classid, objid, 0), 'an object') from who, pg_shdepend
	where refclassid = 'pg_authid'::regclass and deptype = 'o' and dbid in (0, (select oid from pg_database where datname = current_database()))
		and classid not in ('pg_class'::regclass, 'pg_namespace'::regclass, 'pg_proc'::regclass, 'pg_default_acl'::regclass)
		and pg_has_role(f, refobjid, 'usage') and not pg_has_role(t, refobjid, 'usage') and not super
	union all
	select 'policy ' || quote_ident(polname) || ' on table ' || polrelid::regclass from who, pg_policy
	where exists (select from unnest(polroles) r where r <> 0 and pg_has_role(f, r, 'usage'))
		and not exists (select from unnest(polroles) r where r = 0 or pg_has_role(t, r, 'usage')) and not super
	union all
	select 'mapping to server ' || quote_ident(srvname) from who, pg_user_mappings m
	where m.umuser = f and not exists (select from pg_user_mappings o where o.srvid = m.srvid and o.umuser in (0, t))
	union all
	select 'membership in ' || quote_ident(m.rolname) from who, pg_roles m
	where m.rolname ~ '^pg_' and pg_has_role(fl, m.oid, 'member') and not pg_has_role(tl, m.oid, 'member') and not super
	union all
	select 'more than ' || n.rolconnlimit || ' sessions' from who, pg_roles o, pg_roles n where o.oid = fl and n.oid = tl
		and n.rolconnlimit >= 0 and (o.rolconnlimit < 0 or o.rolconnlimit > n.rolconnlimit)
	union all
	select 'log in after ' || n.rolvaliduntil from who, pg_roles o, pg_roles n where o.oid = fl and n.oid = tl
		and n.rolvaliduntil < coalesce(o.rolvaliduntil, 'infinity')
	union all
	select 'setting ' || split_part(text, '=', 1) || place from settings, who where setrole = fl
		and not exists (select from settings s where s.setrole = tl and s.place = settings.place and s.text = settings.text))
select distinct line from lost order by 1 limit 100`
