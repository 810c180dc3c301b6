// Package pgrights knows how to ask PostgreSQL what roles may do.
package pgrights

// CatalogPath makes names mean the system's own objects for the rest of the
// transaction, whatever the session's search_path and what is in it.
const CatalogPath = "set local search_path = pg_catalog, pg_temp"

// Who returns the names and OIDs of the role whose rights count and of the one
// that logged in. It runs under CatalogPath.
const Who = `select c.rolname, c.oid, s.rolname, s.oid from pg_roles c, pg_roles s
	where c.rolname = current_user and s.rolname = session_user`

// Lost compares two roles: $1 and $2 are the OIDs of whose rights count,
// old and new, $3 and $4 of who logged in. It returns at most $5 lines, sorted,
// each with the number of all lines.
//
// Two things keep it from failing while others drop objects: the functions are
// given OIDs, for which they answer null when there is no such object any more,
// and a null is never a loss. The case keeps each function to its own kind of
// object, for which a mere and would not do.
// It runs under CatalogPath.
const Lost = `
with who as (
	select $1::oid as old, $2::oid as new, $3::oid as oldlogin, $4::oid as newlogin,
		current_setting('server_version_num')::int as version),
spaces as (
	select oid, nspname, nspowner, nspacl, nspname in ('pg_catalog', 'information_schema') as system
	from pg_namespace where nspname !~ '^pg_(toast|temp)'),
divided as (
	select distinct attrelid as oid from pg_attribute where attacl is not null and not attisdropped),
objects (rank, kind, oid, name, owner, system, divided) as (
	select 1, 'database', oid, 'database ' || quote_ident(datname), datdba, false, false
	from pg_database where datname = current_database()
	union all
	select 2, 'schema', oid, 'schema ' || quote_ident(nspname), nspowner, system, false
	from spaces where not system or nspacl is not null
	union all
	select case c.relkind when 'S' then 4 else 3 end, case c.relkind when 'S' then 'sequence' else 'table' end,
		c.oid, format('%s %I.%I', case c.relkind when 'S' then 'sequence' else 'table' end, s.nspname, c.relname),
		c.relowner, s.system, d.oid is not null
	from pg_class c join spaces s on s.oid = c.relnamespace left join divided d on d.oid = c.oid
	where c.relkind in ('r', 'p', 'v', 'm', 'f', 'S')
		and (not s.system or c.relacl is not null or d.oid is not null)
	union all
	select 5, 'function', f.oid, format('function %I.%I(%s)', s.nspname, f.proname, pg_get_function_identity_arguments(f.oid)),
		f.proowner, s.system, false
	from pg_proc f join spaces s on s.oid = f.pronamespace where not s.system or f.proacl is not null),
privileges (kind, n, name, bycolumn) as (
	values ('database', 1, 'create', false), ('database', 2, 'temporary', false), ('database', 3, 'connect', false),
		('schema', 1, 'usage', false), ('schema', 2, 'create', false),
		('table', 1, 'select', true), ('table', 2, 'insert', true), ('table', 3, 'update', true),
		('table', 4, 'delete', false), ('table', 5, 'truncate', false), ('table', 6, 'references', true),
		('table', 7, 'trigger', false),
		('sequence', 1, 'usage', false), ('sequence', 2, 'select', false), ('sequence', 3, 'update', false),
		('function', 1, 'execute', false)
	union all select 'table', 8, 'maintain', false from who where version >= 170000),
lost (rank, object, n, "right") as (
	select 0, null, a.n, a.name
	from who, pg_roles o, pg_roles r, pg_roles ol, pg_roles rl, lateral (values
		(1, 'superuser', o.rolsuper, r.rolsuper),
		(2, 'bypassrls', o.rolsuper or o.rolbypassrls, r.rolsuper or r.rolbypassrls),
		(3, 'createrole', o.rolsuper or o.rolcreaterole, r.rolsuper or r.rolcreaterole),
		(4, 'createdb', o.rolsuper or o.rolcreatedb, r.rolsuper or r.rolcreatedb),
		(5, 'replication', ol.rolsuper or ol.rolreplication, rl.rolsuper or rl.rolreplication)) as a (n, name, had, has)
	where o.oid = old and r.oid = new and ol.oid = oldlogin and rl.oid = newlogin and had and not has
	union all
	-- A system role stands for rights of its own, others for nothing but SET
	-- ROLE beyond the rights that are listed here one by one.
	select 0, null, 6, 'membership in ' || quote_ident(m.rolname)
	from who, pg_roles m, pg_roles o
	where m.rolname ~ '^pg_' and o.oid = old and not o.rolsuper and pg_has_role(old, m.oid, 'usage') and not pg_has_role(new, m.oid, 'usage')
	union all
	select 6, null, 1, 'set role ' || quote_ident(m.rolname)
	from who, pg_roles m, pg_roles o, lateral (values (case when version >= 160000 then 'set' else 'member' end)) as t (how)
	where m.rolname !~ '^pg_' and m.oid not in (old, oldlogin) and o.oid = oldlogin and not o.rolsuper
		and pg_has_role(oldlogin, m.oid, how) and not pg_has_role(newlogin, m.oid, how)
	union all
	select rank, name, 0, 'ownership'
	from who, objects
	where not system and pg_has_role(old, owner, 'usage') and not pg_has_role(new, owner, 'usage')
	union all
	select case when o.system then 7 else o.rank end, o.name, p.n, p.name
	from who cross join objects o join privileges p using (kind)
	where not (o.divided and p.bycolumn) and case kind
		when 'database' then case p.name when 'connect'
			then has_database_privilege(oldlogin, o.oid, p.name) and not has_database_privilege(newlogin, o.oid, p.name)
			else has_database_privilege(old, o.oid, p.name) and not has_database_privilege(new, o.oid, p.name) end
		when 'schema' then has_schema_privilege(old, o.oid, p.name) and not has_schema_privilege(new, o.oid, p.name)
		when 'table' then has_table_privilege(old, o.oid, p.name) and not has_table_privilege(new, o.oid, p.name)
		when 'sequence' then has_sequence_privilege(old, o.oid, p.name) and not has_sequence_privilege(new, o.oid, p.name)
		when 'function' then has_function_privilege(old, o.oid, p.name) and not has_function_privilege(new, o.oid, p.name)
		end
	union all
	-- Where something is granted by column, a right on each of them is as good
	-- as one on the table.
	select case when o.system then 7 else o.rank end, o.name, p.n, case when count(*) filter (where c.lost) = count(*) then p.name
		else p.name || ' (' || string_agg(quote_ident(a.attname), ', ' order by a.attnum) filter (where c.lost) || ')' end
	from who cross join objects o join privileges p using (kind)
	join pg_attribute a on a.attrelid = o.oid and a.attnum > 0 and not a.attisdropped
	cross join lateral (select has_column_privilege(old, o.oid, a.attnum, p.name)
		and not has_column_privilege(new, o.oid, a.attnum, p.name) as lost) as c
	where o.divided and p.bycolumn
	group by o.oid, o.system, o.rank, o.name, p.n, p.name
	having count(*) filter (where c.lost) > 0)
select string_agg("right", ', ' order by n) || coalesce(' on ' || object, ''), count(*) over ()
from lost
group by rank, object, case when object is null then "right" end
order by rank, object, min(n), 1
limit $5`
