# Vault Proxy, or Vault Agent, puts its own token into requests, for source/vault:
#
#   vault proxy -config=proxy.hcl
#   vault agent -config=proxy.hcl
#
# VAULT_ADDR says where Vault is. Paths are relative to where the proxy runs.

auto_auth {
  method "approle" {
    config = {
      role_id_file_path                   = "role-id"
      secret_id_file_path                 = "secret-id"
      remove_secret_id_file_after_reading = false
    }
  }
}

api_proxy {
  use_auto_auth_token = "force" # whatever the application sends
}

# No cache: each read must make a new user.

listener "unix" {
  address     = "vault.sock"
  tls_disable = true
}
