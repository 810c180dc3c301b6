#!/bin/sh
# Run once, by an administrator of Vault, after postgres.sql.
#
#   VAULT_ADDR, VAULT_TOKEN  Vault, and who sets it up
#   DATABASE                 db.internal:5432/app?sslmode=verify-full
#   PASSWORD                 that of the user vault, of no use to anyone afterwards
set -eu
cd "$(dirname "$0")"

vault secrets enable database
printf %s "$PASSWORD" | vault write database/config/app \
	plugin_name=postgresql-database-plugin \
	connection_url="postgres://{{username}}:{{password}}@$DATABASE" \
	username=vault \
	password=- \
	password_authentication=scram-sha-256 \
	username_template='{{.RoleName}}-{{unix_time}}-{{random 8}}' \
	allowed_roles=app
vault write -force database/rotate-root/app

vault write database/roles/app \
	db_name=app \
	default_ttl="${TTL:-1h}" \
	max_ttl="${MAX_TTL:-24h}" \
	creation_statements=@creation.sql \
	renew_statements=@renew.sql \
	revocation_statements=@revocation.sql

vault policy write app policy.hcl
vault auth enable approle
vault write auth/approle/role/app \
	token_policies=app \
	token_no_default_policy=true \
	token_ttl="${TTL:-1h}" \
	token_max_ttl="${MAX_TTL:-24h}"
