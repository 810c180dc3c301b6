#!/bin/sh
# Readies a Debian machine for the container tests, as root: installs Docker and
# debootstrap where they are missing, starts dockerd where none answers, and
# builds the images of PostgreSQL and Vault whose official ones cannot be pulled.
# What is there already is left alone, so it may run any number of times, in CI
# too.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
log=${DOCKERD_LOG:-/var/log/rekey-dockerd.log}

# have OFFICIAL LOCAL: whether there is an image, or one can be pulled.
have() {
	for i in "$1" "$2"; do
		docker image inspect "$i" >/dev/null 2>&1 && echo "image $i is there" && return 0
	done
	docker pull -q "$1"
}
postgres() { have "${REKEY_TEST_POSTGRES_IMAGE:-postgres:17}" postgres:15-local; }
vault() { have "${REKEY_TEST_VAULT_IMAGE:-hashicorp/vault:1.21}" vault:1.21-local || "$here/vault-image.sh"; }

if docker info >/dev/null 2>&1 && postgres; then
	vault
	exit
fi
[ "$(id -u)" = 0 ] || { echo "setup.sh: needs a running Docker that has or can pull the image of PostgreSQL, or root to install and build one: sudo $0" >&2; exit 1; }

missing=
command -v dockerd >/dev/null || docker info >/dev/null 2>&1 || missing="docker.io iptables"
command -v debootstrap >/dev/null || missing="$missing debootstrap"
if [ -n "$missing" ]; then
	command -v apt-get >/dev/null || { echo "setup.sh: install these first: $missing" >&2; exit 1; }
	echo "installing:$(printf ' %s' $missing)"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q >/dev/null
	apt-get install -q -y --no-install-recommends $missing >/dev/null
fi

# start FLAGS...: runs dockerd in the background; false if it has not answered
# within 30 s or has ended before.
start() {
	echo "starting dockerd $*; its log is $log"
	setsid dockerd "$@" >>"$log" 2>&1 </dev/null &
	pid=$!
	for _ in $(seq 60); do
		docker info >/dev/null 2>&1 && return 0
		kill -0 "$pid" 2>/dev/null || break
		sleep 0.5
	done
	kill "$pid" 2>/dev/null || true
	wait "$pid" 2>/dev/null || true
	return 1
}

# Inside a container the kernel may refuse overlay mounts or netfilter, so the
# plain daemon comes first and the modest ones after it.
docker info >/dev/null 2>&1 ||
	start ||
	start --storage-driver=vfs ||
	start --storage-driver=vfs --iptables=false --ip6tables=false ||
	{ tail -n 20 "$log" >&2; echo "setup.sh: dockerd does not start; the reason is in $log" >&2; exit 1; }

postgres || "$here/postgres-image.sh"
vault
