# list the leases of the database engine, which only root may do otherwise
path "sys/leases/lookup/database/creds/*" {
  capabilities = ["list", "sudo"]
}

# see when one was issued and when it ends
path "sys/leases/lookup" {
  capabilities = ["update"]
}
