-- One statement: Vault knows it by the END in capitals, and does not cut it at its semicolons.
do $$
begin
  if exists (select from pg_roles where rolname = '{{name}}') then
    perform pg_terminate_backend(pid, 5000) from pg_stat_activity where usename = '{{name}}';
    grant "{{name}}" to current_user;
    reassign owned by "{{name}}" to app_owner;
    drop owned by "{{name}}";
    drop role "{{name}}";
  end if;
END $$;
