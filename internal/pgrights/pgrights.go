// Package pgrights knows how PostgreSQL tells what a role may do.
package pgrights

import "strings"

// Query returns one line of text for each right of the session's user in its
// database, as it is after the login: with the role that ALTER ROLE … SET role
// gives it. Two roles that may do the same have the same lines, whether they
// own, inherit or were granted it. System catalogs are left out.
//
// What depends on the data, such as the rows that a policy lets through, is not
// in it; which policies apply is.
const Query = `
with named as (
	select n.oid, n.nspname from pg_namespace n
	where n.nspname <> 'information_schema' and n.nspname !~ '^pg_'
), relation as (
	select c.oid, c.relkind, c.relowner, c.relrowsecurity, format('%I.%I', n.nspname, c.relname) as name
	from pg_class c join named n on n.oid = c.relnamespace
)
select p || ' on database' from unnest(array['CONNECT', 'CREATE', 'TEMPORARY']) p
where has_database_privilege(current_database(), p)
union all
select p || ' on schema ' || quote_ident(nspname) from named, unnest(array['USAGE', 'CREATE']) p
where has_schema_privilege(oid, p)
union all
select p || ' on table ' || name from relation, unnest(array['SELECT', 'INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'REFERENCES', 'TRIGGER']) p
where relkind in ('r', 'p', 'v', 'm', 'f') and has_table_privilege(oid, p)
union all
select p || ' (' || quote_ident(a.attname) || ') on table ' || name
from relation r join pg_attribute a on a.attrelid = r.oid, unnest(array['SELECT', 'INSERT', 'UPDATE', 'REFERENCES']) p
where a.attacl is not null and a.attnum > 0 and not a.attisdropped and has_column_privilege(r.oid, a.attnum, p)
union all
select p || ' on sequence ' || name from relation, unnest(array['USAGE', 'SELECT', 'UPDATE']) p
where relkind = 'S' and has_sequence_privilege(oid, p)
union all
select 'OWNER of ' || name from relation
where relkind in ('r', 'p', 'v', 'm', 'f', 'S') and pg_has_role(relowner, 'USAGE')
union all
select 'EXECUTE on function ' || p.oid::regprocedure from pg_proc p join named n on n.oid = p.pronamespace
where has_function_privilege(p.oid, 'EXECUTE')
union all
select 'USAGE on type ' || t.oid::regtype from pg_type t join named n on n.oid = t.typnamespace
where t.typacl is not null and has_type_privilege(t.oid, 'USAGE')
union all
select 'USAGE on language ' || quote_ident(lanname) from pg_language where lanpltrusted and has_language_privilege(oid, 'USAGE')
union all
select 'USAGE on server ' || quote_ident(srvname) from pg_foreign_server where has_server_privilege(oid, 'USAGE')
union all
select 'policy ' || quote_ident(p.polname) || ' on table ' || r.name from pg_policy p join relation r on r.oid = p.polrelid
where r.relrowsecurity and p.polpermissive
	and exists (select from unnest(p.polroles) x where x = 0 or pg_has_role(x, 'USAGE'))
union all
select attribute from pg_roles, lateral (values
	('SUPERUSER', rolsuper), ('CREATEDB', rolcreatedb), ('CREATEROLE', rolcreaterole),
	('REPLICATION', rolreplication), ('BYPASSRLS', rolbypassrls)) as v(attribute, holds)
where rolname = current_user and holds
union all
select 'SET ROLE ' || quote_ident(g.rolname) from pg_roles g
where g.rolname not in (session_user, current_user) and pg_has_role(session_user, g.oid, 'MEMBER')`

// Lost returns the lines of from that are not in to, in order, and not those of
// columns where from has the right to the whole table; none: an empty slice.
func Lost(from, to []string) []string {
	had, has := set(from), set(to)
	lost := []string{}
	for _, line := range from {
		if !has[line] && !had[ofTable(line)] {
			lost = append(lost, line)
		}
	}
	return lost
}

func set(lines []string) map[string]bool {
	all := make(map[string]bool, len(lines))
	for _, line := range lines {
		all[line] = true
	}
	return all
}

// ofTable is the line of a right to a whole table for one to a column of it,
// and nothing for others.
func ofTable(line string) string {
	right, rest, ok := strings.Cut(line, " (")
	const end = ") on table "
	if at := strings.LastIndex(rest, end); ok && at >= 0 {
		return right + " on table " + rest[at+len(end):]
	}
	return ""
}
