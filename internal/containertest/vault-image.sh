#!/bin/sh
# Builds the image vault:1.21-local, for machines that reach a Go module proxy
# but no image registry: Vault's own program, which is that of examples/vault,
# and its plugin for PostgreSQL, on the system of the PostgreSQL image. It serves
# and takes commands as the official image does. Needs Go and a running Docker;
# takes half a minute where "make vault" has compiled Vault before, and else
# several more.
#
#   vault-image.sh          build the image unless it is there
#   vault-image.sh --force  build it again
set -eu

tag=vault:1.21-local
here=$(cd "$(dirname "$0")" && pwd)

if [ "${1:-}" != --force ] && docker image inspect "$tag" >/dev/null 2>&1; then
	echo "image $tag is there"
	exit 0
fi
for base in postgres:15-local "${REKEY_TEST_POSTGRES_IMAGE:-postgres:17}" none; do
	docker image inspect "$base" >/dev/null 2>&1 && break
done
[ "$base" != none ] || { echo "vault-image.sh: no PostgreSQL image to build on; run: $here/setup.sh" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

echo "building $tag on $base; the log is printed only if it fails"
# build PACKAGE FILE: compiles a program with the flags of the Makefile, so that
# what it has compiled is used again.
build() {
	go -C "$here/../../examples/vault/agent" build -tags minimal -buildvcs=false -ldflags='-s -w' -gcflags='all=-l -dwarf=false' -o "$work/$2" "$1" >"$work/log" 2>&1 ||
		{ cat "$work/log" >&2; exit 1; }
}
build . vault
build github.com/hashicorp/vault/plugins/database/postgresql/postgresql-database-plugin postgresql-database-plugin
cp "$here/vault-entrypoint.sh" "$work/docker-entrypoint.sh"
chmod 0755 "$work"/*
cat >"$work/Dockerfile" <<-DOCKERFILE
	FROM $base
	COPY vault docker-entrypoint.sh /usr/local/bin/
	COPY postgresql-database-plugin /vault/plugins/
	ENTRYPOINT ["docker-entrypoint.sh"]
	CMD ["server", "-dev"]
	STOPSIGNAL SIGTERM
	EXPOSE 8200
DOCKERFILE
if ! docker build -q -t "$tag" "$work" >"$work/log" 2>&1; then
	cat "$work/log" >&2
	exit 1
fi
echo "image $tag is built"
