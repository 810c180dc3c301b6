package postgres

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/jackc/pgx/v5"
)

// holdings are what a user owns and was granted itself, as opposed to what it
// has as a member of a group. They are written as the statements that take them
// away, or hand them over to the group. In one database they are all that
// pg_shdepend knows of, so that the user can be dropped afterwards.
type holdings struct {
	user, group string
	local       bool // without what belongs to no database
}

// dependent lists the databases with something that is owned by a role or
// granted to it, the one of conn first; what belongs to no database is found
// there.
func dependent(ctx context.Context, conn *pgx.Conn, role string) ([]string, error) {
	rows, err := conn.Query(ctx, `select coalesce(d.datname, pg_catalog.current_database()) from pg_catalog.pg_shdepend s
		join pg_catalog.pg_roles r on r.oid = s.refobjid left join pg_catalog.pg_database d on d.oid = s.dbid
		where s.refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass and r.rolname = $1
		group by 1 order by coalesce(d.datname, pg_catalog.current_database()) <> pg_catalog.current_database(), 1`, oneTrip, role)
	var names []string
	if err == nil {
		names, err = pgx.CollectRows(rows, pgx.RowTo[string])
	}
	if err != nil {
		return nil, fmt.Errorf("postgres: what depends on role %q: %w", role, err)
	}
	return names, nil
}

// taken are the statements that take everything from the user: what it owns
// becomes the group's, and what it was granted is revoked. DROP OWNED would drop
// what a session of the user makes meanwhile.
func (h holdings) taken(ctx context.Context, conn *pgx.Conn) (statements []string, err error) {
	return h.collect(ctx, conn, h.owned, h.revokes, h.defaults, h.policies, h.mappings)
}

// A part finds holdings of one kind.
type part func(ctx context.Context, conn *pgx.Conn) (statements []string, err error)

// collect runs in a transaction, for which it makes names mean the system's own
// objects; all others are written with their schemas.
func (h holdings) collect(ctx context.Context, conn *pgx.Conn, parts ...part) (all []string, err error) {
	if err := run(ctx, conn, "set local search_path = pg_catalog, pg_temp"); err != nil {
		return nil, err
	}
	for _, part := range parts {
		statements, err := part(ctx, conn)
		if err != nil {
			return nil, err
		}
		all = append(all, statements...)
	}
	return all, nil
}

// list runs a query that returns statements. Its parameters are the names of
// user and group; %I in format quotes.
func (h holdings) list(ctx context.Context, conn *pgx.Conn, query string) ([]string, error) {
	rows, err := conn.Query(ctx, query, oneTrip, h.user, h.group)
	if err != nil {
		return nil, fmt.Errorf("what role %q has: %w", h.user, err)
	}
	statements, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return nil, fmt.Errorf("what role %q has: %w", h.user, err)
	}
	return statements, nil
}

const roles = `with u as (select oid from pg_roles where rolname = $1), g as (select oid from pg_roles where rolname = $2)`

func (h holdings) owned(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	return h.list(ctx, conn, roles+` select format('REASSIGN OWNED BY %I TO %I', $1, $2) where exists (
		select from pg_shdepend, u where refclassid = 'pg_authid'::regclass and refobjid = u.oid and deptype = 'o'
			and classid not in ('pg_default_acl'::regclass, 'pg_user_mapping'::regclass)
			and dbid in (`+map[bool]string{false: "0, "}[h.local]+`(select oid from pg_database where datname = current_database())))`)
}

// objects are all that can be granted, with the privileges on them. What the
// user itself owns goes with its owner.
const objects = roles + `, objects (rank, kind, name, item, owner, acl) as (
	select 1, 'DATABASE', quote_ident(datname), '', datdba, datacl from pg_database
	union all select 2, 'SCHEMA', quote_ident(nspname), '', nspowner, nspacl from pg_namespace
	union all select 3, case relkind when 'S' then 'SEQUENCE' else 'TABLE' end, c.oid::regclass::text, '', relowner, relacl
		from pg_class c where relkind in ('r', 'p', 'v', 'm', 'f', 'S')
	union all select 3, 'TABLE', c.oid::regclass::text, format(' (%I)', attname), relowner, attacl
		from pg_class c join pg_attribute on attrelid = c.oid where attacl is not null and not attisdropped
	union all select 4, 'ROUTINE', oid::regprocedure::text, '', proowner, proacl from pg_proc where prokind <> 'a'
	union all select 4, 'ROUTINE', format('%s(%s)', oid::regproc, pg_get_function_identity_arguments(oid)), '', proowner, proacl
		from pg_proc where prokind = 'a'
	union all select 5, 'TYPE', oid::regtype::text, '', typowner, typacl from pg_type
	union all select 5, 'LANGUAGE', quote_ident(lanname), '', lanowner, lanacl from pg_language
	union all select 6, 'LARGE OBJECT', oid::text, '', lomowner, lomacl from pg_largeobject_metadata
	union all select 6, 'FOREIGN DATA WRAPPER', quote_ident(fdwname), '', fdwowner, fdwacl from pg_foreign_data_wrapper
	union all select 6, 'FOREIGN SERVER', quote_ident(srvname), '', srvowner, srvacl from pg_foreign_server
	union all select 7, 'TABLESPACE', quote_ident(spcname), '', spcowner, spcacl from pg_tablespace
	-- and what newer servers have
	),
granted as (
	select rank, kind, name, a.is_grantable as again, string_agg(a.privilege_type || item, ', ' order by item, a.privilege_type) as rights,
		-- Where others may grant, too, the server might take one of them for who grants and revokes.
		case when bool_or(exists (select from aclexplode(acl) o where o.is_grantable and o.grantee <> owner)) and kind <> 'PARAMETER'
			then format('SET LOCAL ROLE %s; %%s; RESET ROLE', replace(quote_ident(pg_get_userbyid(owner)), '%', '%%')) else '%s' end as form
	from u, objects, aclexplode(acl) a where a.grantee = u.oid and owner <> u.oid group by 1, 2, 3, 4, owner)`

const newer = "-- and what newer servers have"

// parameters can be granted from PostgreSQL 15 on.
const parameters = `union all select 7, 'PARAMETER',
	(select string_agg(quote_ident(p), '.' order by n) from unnest(string_to_array(parname, '.')) with ordinality as x (p, n)),
	'', 10, paracl from pg_parameter_acl`

// ofVersion is the query objects as the server of conn understands it.
func ofVersion(conn *pgx.Conn) string {
	if atLeast15(conn) {
		return strings.Replace(objects, newer, parameters, 1)
	}
	return objects
}

func atLeast15(conn *pgx.Conn) bool {
	number := conn.PgConn().ParameterStatus("server_version") // such as 15.2 (Debian …) or 19beta1
	if i := strings.IndexFunc(number, func(r rune) bool { return r < '0' || r > '9' }); i >= 0 {
		number = number[:i]
	}
	major, _ := strconv.Atoi(number) // no number: 0
	return major >= 15
}

func (h holdings) grants(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	return h.list(ctx, conn, ofVersion(conn)+` select format(form, format('GRANT %s ON %s %s TO %I%s', rights, kind, name, $2, case when again then ' WITH GRANT OPTION' else '' end))
		from granted `+h.where()+` order by rank, kind, name, again`)
}

func (h holdings) revokes(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	return h.list(ctx, conn, ofVersion(conn)+` select format(form, format('REVOKE %s ON %s %s FROM %I', rights, kind, name, $1)) from granted `+h.where()+` order by rank, kind, name, again`)
}

// where leaves out databases, tablespaces and parameters.
func (h holdings) where() string {
	if h.local {
		return "where rank not in (1, 7)"
	}
	return ""
}

// preset are default privileges, as what differs from the server's own: of
// objects that the user makes, and of those that others make for the user.
const preset = roles + `, preset as (
	select d.*, case when n.oid is null then '' else format(' IN SCHEMA %I', nspname) end as place,
		case defaclobjtype when 'r' then 'TABLES' when 'S' then 'SEQUENCES' when 'f' then 'FUNCTIONS' when 'T' then 'TYPES' when 'n' then 'SCHEMAS' else 'LARGE OBJECTS' end as kind
	from pg_default_acl d left join pg_namespace n on n.oid = d.defaclnamespace),
theirs as (select p.defaclrole, place, kind, a.* from preset p, aclexplode(defaclacl) a),
ours as (select p.defaclrole, place, kind, a.* from preset p, aclexplode(acldefault(case defaclobjtype when 'S' then 's' else defaclobjtype end, defaclrole)) a
	where defaclnamespace = 0),
differ as (
	select true as more, * from (select * from theirs except select * from ours) x
	union all select false, * from (select * from ours except select * from theirs) x),
named as (
	select d.*, rolname as maker, case grantee when 0 then 'PUBLIC' else quote_ident(pg_get_userbyid(grantee)) end as whom
	from differ d join pg_roles r on r.oid = defaclrole)`

// sharedDefaults are those of the user, made the group's.
func (h holdings) sharedDefaults(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	return h.list(ctx, conn, preset+` select format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s %s %s ON %s %s %s%s', case when defaclrole = u.oid then $2 else maker end, place,
			case when more then 'GRANT' else 'REVOKE' end, privilege_type, kind, case when more then 'TO' else 'FROM' end,
			case grantee when u.oid then quote_ident($2) else whom end, case when more and is_grantable then ' WITH GRANT OPTION' else '' end)
		from named, u where defaclrole = u.oid and grantee <> coalesce((select oid from g), 0) or grantee = u.oid order by 1`)
}

// defaults takes them from the user.
func (h holdings) defaults(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	return h.list(ctx, conn, preset+` select format('ALTER DEFAULT PRIVILEGES FOR ROLE %I%s %s %s ON %s %s %s', maker, place,
			case when more then 'REVOKE' else 'GRANT' end, privilege_type, kind, case when more then 'FROM' else 'TO' end, whom)
		from named, u where defaclrole = u.oid or grantee = u.oid order by 1`)
}

// policy names the others of a policy for the user.
const policy = roles + `, policy as (
	select polname, polrelid::regclass as place, (select string_agg(quote_ident(pg_get_userbyid(r)), ', ' order by 1)
		from unnest(polroles) r where r <> u.oid and r <> coalesce((select oid from g), 0)) as others, (select oid from g) = any(polroles) as shared
	from pg_policy, u where u.oid = any(polroles))`

func (h holdings) sharedPolicies(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	return h.list(ctx, conn, policy+` select format('ALTER POLICY %I ON %s TO %s', polname, place, concat_ws(', ', quote_ident($2), others)) from policy order by 1`)
}

// policies are for the others only; one for nobody else is dropped.
func (h holdings) policies(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	return h.list(ctx, conn, policy+` select case when others is null and not shared then format('DROP POLICY %I ON %s', polname, place)
			else format('ALTER POLICY %I ON %s TO %s', polname, place, concat_ws(', ', case when shared then quote_ident($2) end, others)) end from policy order by 1`)
}

func (h holdings) mappings(ctx context.Context, conn *pgx.Conn) ([]string, error) {
	return h.list(ctx, conn, roles+` select format('DROP USER MAPPING FOR %I SERVER %I', $1, srvname) from pg_user_mappings, u where umuser = u.oid order by 1`)
}
