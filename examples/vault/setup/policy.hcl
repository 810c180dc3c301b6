# a user of the database
path "database/creds/app" {
  capabilities = ["read"]
}

# drop the user as soon as nobody uses it any more
path "sys/leases/revoke" {
  capabilities = ["update"]
}

# keep the user while no new one can be made
path "sys/leases/renew" {
  capabilities = ["update"]
}

# keep the token
path "auth/token/renew-self" {
  capabilities = ["update"]
}

# tell a token that has ended from one that may not do something
path "auth/token/lookup-self" {
  capabilities = ["read"]
}

# leave no token behind
path "auth/token/revoke-self" {
  capabilities = ["update"]
}
