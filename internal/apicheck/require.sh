#!/bin/sh
# Has all modules of the repository require one version of each other:
#
#   require.sh v0.2.0
set -eu
case "${1:-}" in v[0-9]*.[0-9]*.[0-9]*) ;; *) echo "require.sh: which version? such as v0.2.0" >&2; exit 1 ;; esac
cd "$(git rev-parse --show-toplevel)"
for m in $(git ls-files go.mod '*/go.mod'); do
	for other in $(sed -nE 's,^(require )?[[:space:]]*(github.com/rekey-go/rekey[^ ]*) v[0-9].*,\2,p' "$m"); do
		(cd "$(dirname "$m")" && go mod edit -require="$other@$1")
	done
done
