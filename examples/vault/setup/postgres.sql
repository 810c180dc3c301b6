-- Run once, by a superuser of the database server.

-- The application is this role: it owns the objects and has the rights. Nobody
-- logs in as it. The users that Vault makes are its members and own nothing.
create role app_owner nologin;
create database app owner app_owner;
revoke connect on database app from public;
grant connect on database app to app_owner;

-- Vault works as this user: it makes users, puts them into app_owner, and cuts
-- off those who are still connected when their lease is over. Set any password,
-- which Vault changes at once.
create role vault login createrole;
grant app_owner to vault with admin option;
grant pg_signal_backend to vault;
