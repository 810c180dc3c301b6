#!/bin/sh
# How many users each role of the database engine has made that are still there,
# and for each of their leases when it was issued and when it ends.
#
#   VAULT_ADDR, VAULT_TOKEN  Vault, and a token that may do what policy.hcl says
set -eu
leases=sys/leases/lookup/database/creds

names() { # of what is below a path, if anything is
	vault list -format=json "$1" | sed -n 's/^ *"\(.*\)",*$/\1/p'
}

for role in $(names $leases); do
	ids=$(names "$leases/$role")
	echo "${role%/} $(echo "$ids" | wc -l)"
	for id in $ids; do
		vault write sys/leases/lookup lease_id="database/creds/$role$id" |
			awk '{ of[$1] = $2 } END { print "  " of["id"], "issued", of["issue_time"], "ends", of["expire_time"] }'
	done
done
