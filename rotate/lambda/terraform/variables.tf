variable "name" {
  description = "What the function, its role, log group and security group are called."
  type        = string
  default     = "rekey-rotate"
}

variable "package" {
  description = "The zip file with bootstrap and global-bundle.pem."
  type        = string
  default     = "function.zip"
}

variable "architecture" {
  description = "Of bootstrap: arm64 or x86_64."
  type        = string
  default     = "arm64"
}

variable "secret_arn" {
  description = "The secret that is rotated."
  type        = string
}

variable "master_secret_arn" {
  description = "The secret in its masterarn; null for a single user that changes its own password."
  type        = string
  default     = null
}

variable "kms_key_arns" {
  description = "Keys of your own that encrypt these secrets; none for aws/secretsmanager."
  type        = list(string)
  default     = []
}

variable "strategy" {
  description = "single, alternating or parallel."
  type        = string
  validation {
    condition     = contains(["single", "alternating", "parallel"], var.strategy)
    error_message = "The strategy is single, alternating or parallel."
  }
}

variable "users" {
  description = "Alternating: the two users; empty for app and app_clone."
  type        = list(string)
  default     = []
}

variable "group" {
  description = "Parallel: the role that owns everything."
  type        = string
  default     = ""
}

variable "schedule_expression" {
  description = "When to rotate, in UTC."
  type        = string
  default     = "cron(0 3 1 * ? *)"
}

variable "duration" {
  description = "How long the window for a rotation is open."
  type        = string
  default     = "2h"
}

variable "timeout" {
  description = "Seconds for one step. The wait for old sessions ends a minute before."
  type        = number
  default     = 300
  validation {
    condition     = var.timeout > 60 && var.timeout <= 900
    error_message = "The timeout is more than 60 and at most 900 seconds."
  }
}

variable "vpc_id" {
  description = "The VPC of the database."
  type        = string
}

variable "subnet_ids" {
  description = "Private subnets from which the database is reached."
  type        = list(string)
}

variable "database_security_group_id" {
  description = "The security group of the database."
  type        = string
}

variable "database_port" {
  description = "The port of the database."
  type        = number
  default     = 5432
}

variable "create_endpoint" {
  description = "Whether the VPC still needs an endpoint for Secrets Manager. Then all of the VPC goes through it: let others in, too."
  type        = bool
  default     = true
}

variable "endpoint_security_group_id" {
  description = "Where create_endpoint is false: the security group of the endpoint that is there."
  type        = string
  default     = null
}
