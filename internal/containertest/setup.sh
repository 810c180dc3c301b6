#!/bin/sh
# Readies a Debian machine for the container tests, as root: installs Docker and
# debootstrap where they are missing, starts dockerd where none answers, and
# builds postgres:15-local where the official image cannot be pulled. What is
# there already is left alone, so it may run any number of times, in CI too.
set -eu

here=$(cd "$(dirname "$0")" && pwd)
log=${DOCKERD_LOG:-/var/log/rekey-dockerd.log}
image=${REKEY_TEST_POSTGRES_IMAGE:-postgres:17}

# ready: whether Docker answers and has an image, or can pull one.
ready() {
	docker info >/dev/null 2>&1 || return 1
	for i in "$image" postgres:15-local; do
		docker image inspect "$i" >/dev/null 2>&1 && echo "image $i is there" && return 0
	done
	docker pull -q "$image"
}

ready && exit 0
[ "$(id -u)" = 0 ] || { echo "setup.sh: needs a running Docker that has or can pull $image, or root to install and build one: sudo $0" >&2; exit 1; }

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

ready || "$here/image.sh"
