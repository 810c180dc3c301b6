#!/bin/sh
# Entry point of postgres:15-local: the part of the official image's contract
# that tests rely on. The first start initialises the data directory, serves
# only a Unix socket while the init scripts run, then stops and starts for
# good, so "database system is ready to accept connections" is logged twice.
set -eu

if [ "$(id -u)" = 0 ]; then
	mkdir -p "$PGDATA" /run/postgresql
	chown -R postgres:postgres "$PGDATA" /run/postgresql
	chmod 700 "$PGDATA"
	exec setpriv --reuid=postgres --regid=postgres --init-groups "$0" "$@"
fi

# Plain flags are flags for the server, as in "docker run postgres -c fsync=off".
case "${1:-}" in -*) set -- postgres "$@" ;; esac
if [ "${1:-postgres}" != postgres ]; then
	exec "$@"
fi

user=${POSTGRES_USER:-postgres}
database=${POSTGRES_DB:-$user}

if [ ! -s "$PGDATA/PG_VERSION" ]; then
	if [ -z "${POSTGRES_PASSWORD:-}" ]; then
		echo "POSTGRES_PASSWORD is empty; set it with -e POSTGRES_PASSWORD=..." >&2
		exit 1
	fi
	umask 077
	printf '%s\n' "$POSTGRES_PASSWORD" >"$PGDATA.password"
	initdb -D "$PGDATA" -U "$user" --pwfile="$PGDATA.password" \
		--auth-local=scram-sha-256 --auth-host=scram-sha-256 --encoding=UTF8 --locale=C.UTF-8
	rm "$PGDATA.password"
	echo "host all all all scram-sha-256" >>"$PGDATA/pg_hba.conf"

	export PGPASSWORD="$POSTGRES_PASSWORD" PGHOST=/run/postgresql PGUSER="$user"
	pg_ctl -D "$PGDATA" -w -o "-c listen_addresses='' -c unix_socket_directories=/run/postgresql" start
	if [ "$database" != postgres ]; then
		psql -v ON_ERROR_STOP=1 -v name="$database" -d postgres -c '\set QUIET on' -f - <<-'SQL'
			CREATE DATABASE :"name";
		SQL
	fi
	for f in /docker-entrypoint-initdb.d/*; do
		case "$f" in
		*.sh) echo "running $f"; . "$f" ;;
		*.sql) echo "running $f"; psql -v ON_ERROR_STOP=1 -d "$database" -f "$f" ;;
		*.sql.gz) echo "running $f"; gunzip -c "$f" | psql -v ON_ERROR_STOP=1 -d "$database" ;;
		esac
	done
	pg_ctl -D "$PGDATA" -w -m fast stop
	unset PGPASSWORD PGHOST PGUSER
fi

[ "$#" -gt 0 ] && shift
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/run/postgresql "$@"
