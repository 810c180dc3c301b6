-- The users that Vault has made and that are still there: for which of its roles,
-- when, until when they may log in, and who is connected as them since when, which
-- a member of pg_read_all_stats can see.
select u.rolname                                             as name,
       made[1]                                               as role,
       to_timestamp(made[2]::bigint)                         as issued,
       u.rolvaliduntil                                       as valid_until,
       count(s.pid)                                          as sessions,
       min(s.backend_start)                                  as oldest,
       coalesce(string_agg(distinct s.application_name, ', '), '') as applications
from pg_roles u
cross join regexp_match(u.rolname, '^(.+)-(\d{10})-\w{8}$') made -- username_template
left join pg_stat_activity s on s.usesysid = u.oid
where made is not null
group by u.rolname, made, u.rolvaliduntil
order by issued, name;
