# Vault Agent writes the user into a file, for source/file:
#
#   vault agent -config=agent.hcl
#
# VAULT_ADDR says where Vault is. Paths are relative to where the agent runs.

auto_auth {
  method "approle" {
    config = {
      role_id_file_path                   = "role-id"
      secret_id_file_path                 = "secret-id"
      remove_secret_id_file_after_reading = false
    }
  }
}

template_config {
  exit_on_retry_failure = false # Vault may be away for longer than the retries last
}

template {
  destination          = "database.json"
  perms                = "0600"
  error_on_missing_key = true # else <no value> would be written, which source/file refuses
  contents             = <<-EOT
    {{ with secret "database/creds/app" -}}
    {"username": {{ .Data.username | toJSON }}, "password": {{ .Data.password | toJSON }}}
    {{- end }}
  EOT
}
