package verify

// The questions that Privileges asks about one grant, with catalogPath. Each
// answers rows of a right, its object and whether the role holds it, and none
// where there is no such object. The has_…_privilege functions take an OID, for
// which they answer null instead of failing when the object has just been
// dropped.

// relation finds a table or sequence by OID ($1), or by schema and name ($2),
// which needs no right to use the schema.
const relation = `
	with part as (select parse_ident($2) as p),
	o as (
		select c.oid, n.oid as schema, quote_ident(n.nspname) as space, format('%I.%I', n.nspname, c.relname) as name
		from pg_class c join pg_namespace n on n.oid = c.relnamespace cross join part
		where c.oid = $1::oid or cardinality(p) = 2 and n.nspname = p[1]::name and c.relname = p[2]::name),
	space as (
		select 'usage', 'schema ' || space, has_schema_privilege(schema, 'usage') from o)
	table space union all `

const tableRights = `
	select p, 'table ' || name, has_table_privilege(o.oid, p)
		or p in ('select', 'insert', 'update', 'references')
			and (select bool_and(has_column_privilege(o.oid, a.attnum, p))
				from pg_attribute a where a.attrelid = o.oid and a.attnum > 0 and not a.attisdropped)
	from o cross join unnest($3::text[]) as p`

const columnRights = `
	select p || ' (' || coalesce(quote_ident(a.attname), col) || ')', 'table ' || name,
		has_column_privilege(o.oid, a.attnum, p)
	from o cross join unnest($3::text[]) as p cross join unnest($4::text[]) as col
	left join pg_attribute a on a.attrelid = o.oid and a.attnum > 0 and not a.attisdropped
		and a.attname = (parse_ident(col))[1]::name`

const sequenceRights = `
	select p, 'sequence ' || name, has_sequence_privilege(o.oid, p) from o cross join unnest($3::text[]) as p`

// functionRights answers about the schema alone where that is in the way.
const functionRights = `
	select 'usage', 'schema ' || quote_ident(n.nspname), false
	from pg_namespace n, parse_ident($2, false) as p
	where $1::oid = 0 and cardinality(p) = 2 and n.nspname = p[1]::name and not has_schema_privilege(n.oid, 'usage')
	union all
	select p, case f.prokind when 'p' then 'procedure ' else 'function ' end
			|| format('%I.%I(%s)', n.nspname, f.proname, pg_get_function_identity_arguments(f.oid)),
		has_function_privilege(f.oid, p)
	from pg_proc f join pg_namespace n on n.oid = f.pronamespace cross join unnest($3::text[]) as p
	where f.oid = $1`

const schemaRights = `
	select p, 'schema ' || quote_ident(n.nspname), has_schema_privilege(n.oid, p)
	from pg_namespace n cross join unnest($2::text[]) as p
	where n.nspname = (parse_ident($1))[1]::name`

const databaseRights = `
	select p, 'database ' || quote_ident(d.datname), has_database_privilege(d.oid, p)
	from pg_database d cross join unnest($2::text[]) as p
	where d.datname = case $1::text when '' then current_database() else (parse_ident($1))[1]::name end`
