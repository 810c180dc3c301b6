#!/bin/sh
# Builds the image postgres:15-local from Debian packages, for machines that
# reach a Debian mirror but no image registry. It answers to POSTGRES_USER,
# POSTGRES_PASSWORD, POSTGRES_DB and /docker-entrypoint-initdb.d as the official
# image does. Needs root, debootstrap and a running Docker; takes about a minute.
#
#   postgres-image.sh          build the image unless it is there
#   postgres-image.sh --force  build it again
set -eu

tag=postgres:15-local
here=$(cd "$(dirname "$0")" && pwd)

if [ "${1:-}" != --force ] && docker image inspect "$tag" >/dev/null 2>&1; then
	echo "image $tag is there"
	exit 0
fi
command -v debootstrap >/dev/null || { echo "postgres-image.sh: debootstrap is missing; run as root: $here/setup.sh" >&2; exit 1; }
[ "$(id -u)" = 0 ] || { echo "postgres-image.sh: debootstrap needs root; run: sudo $0" >&2; exit 1; }

# PostgreSQL 15 is the version of Debian bookworm, whatever runs here.
suite=bookworm
# The mirror this machine uses already; debootstrap's default where there is none.
mirror=
if [ "$(. /etc/os-release && echo "$ID")" = debian ]; then
	mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' | grep -v security | head -n 1)
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

echo "building $tag from Debian $suite; the log is printed only if it fails"
if ! debootstrap --variant=minbase --include=postgresql-15,tini "$suite" "$work/root" $mirror >"$work/log" 2>&1; then
	tail -n 40 "$work/log" >&2
	echo "postgres-image.sh: debootstrap failed; does this machine reach a Debian mirror?" >&2
	exit 1
fi
rm -rf "$work"/root/var/cache/apt/archives/*.deb "$work"/root/var/lib/apt/lists/*
rm -rf "$work"/root/etc/postgresql/15 "$work"/root/var/lib/postgresql/15
install -m 0755 "$here/postgres-entrypoint.sh" "$work/root/usr/local/bin/docker-entrypoint.sh"
install -d "$work/root/docker-entrypoint-initdb.d"

tar -C "$work/root" --one-file-system -c . | docker import - "$tag-root" >/dev/null
cat >"$work/Dockerfile" <<-DOCKERFILE
	FROM $tag-root
	ENV PATH=/usr/lib/postgresql/15/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	ENV PGDATA=/var/lib/postgresql/data LANG=C.UTF-8
	ENTRYPOINT ["tini", "-g", "--", "docker-entrypoint.sh"]
	CMD ["postgres"]
	STOPSIGNAL SIGINT
	EXPOSE 5432
DOCKERFILE
if ! docker build -q -t "$tag" - <"$work/Dockerfile" >"$work/log" 2>&1; then
	cat "$work/log" >&2
	exit 1
fi
docker rmi "$tag-root" >/dev/null
echo "image $tag is built"
