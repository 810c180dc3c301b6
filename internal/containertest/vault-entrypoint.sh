#!/bin/sh
# Entry point of vault:1.21-local: the part of the official image's contract
# that tests rely on. Without a command it serves in development mode: unsealed,
# in memory, and with the root token of VAULT_DEV_ROOT_TOKEN_ID.
set -eu

if [ "${1:-server}" != server ]; then
	exec vault "$@"
fi
[ "$#" -gt 0 ] && shift
exec vault server -dev-plugin-dir=/vault/plugins \
	-dev-root-token-id="${VAULT_DEV_ROOT_TOKEN_ID:-}" \
	-dev-listen-address="${VAULT_DEV_LISTEN_ADDRESS:-0.0.0.0:8200}" "$@"
