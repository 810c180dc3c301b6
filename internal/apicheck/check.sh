#!/bin/sh
# Compares what modules export with the last release: its tag, or in clones without
# tags the commit that made it ("release v1.2.3"). Fails on a change that breaks
# callers. Before v1 such a change may come with a minor version, and is let through
# if the changelog says so under [Unreleased], in a line that begins "- **Breaking**".
#
#   check.sh MODULE...    folders of modules, from the root of the repository
set -eu

apidiff="go run golang.org/x/exp/cmd/apidiff@v0.0.0-20261014143641-f0251eb4aa3e"

cd "$(git rev-parse --show-toplevel)"
base=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null ||
	git log -1 --format=%H --extended-regexp --grep '^release v[0-9]+\.[0-9]+\.[0-9]+$')
if [ -z "$base" ] && [ "$(git rev-parse --is-shallow-repository)" = true ]; then
	echo "check.sh: not compared: this clone has no history; git fetch --unshallow --tags"
	exit 0
fi
[ -n "$base" ] || { echo "check.sh: no release to compare with: neither a tag nor a commit \"release v…\"" >&2; exit 1; }
version=$(git log -1 --format=%s "$base" | sed -n 's/^release //p')
[ -n "$version" ] || version=$base

work=$(mktemp -d)
trap 'git worktree remove --force "$work/old" 2>/dev/null; rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM
git worktree add -q --detach "$work/old" "$base"

broken=0
for m in "$@"; do
	path=$(cd "$m" && go list -m)
	[ -f "$work/old/$m/go.mod" ] || { echo "$path: new since $version"; continue; }
	(cd "$work/old/$m" && $apidiff -m -w "$work/old.api" "$path") 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
	(cd "$m" && $apidiff -m -incompatible "$work/old.api" "$path") >"$work/diff" 2>"$work/log" || { cat "$work/log" >&2; exit 1; }
	# Examples are programs and may change at will.
	grep -v '^- ./examples/' "$work/diff" >"$work/breaks" || true
	if [ -s "$work/breaks" ]; then
		echo "$path: what was in $version and is not any more:"
		cat "$work/breaks"
		broken=1
	else
		echo "$path: compatible with $version"
	fi
done
[ "$broken" = 1 ] || exit 0

unreleased=$(sed -n '/^## \[Unreleased\]/,/^## \[[0-9]/p' CHANGELOG.md)
case "$version" in
v0.*) echo "$unreleased" | grep -q '^- \*\*Breaking\*\*' && echo "the changelog says so" && exit 0 ;;
esac
echo "check.sh: that breaks callers. Keep what was there, deprecated; or, before v1, say so in the changelog: - **Breaking**: …" >&2
exit 1
