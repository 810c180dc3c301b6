data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  function_arn = "arn:${data.aws_partition.current.partition}:lambda:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:function:${var.name}"
}

resource "aws_lambda_function" "rotate" {
  function_name    = var.name
  role             = aws_iam_role.rotate.arn
  filename         = var.package
  source_code_hash = filebase64sha256(var.package)
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  architectures    = [var.architecture]
  memory_size      = 128
  timeout          = var.timeout

  environment {
    variables = {
      REKEY_SECRETS       = var.secret_arn
      REKEY_STRATEGY      = var.strategy
      REKEY_USERS         = join(",", var.users)
      REKEY_GROUP         = var.group
      REKEY_CA_FILE       = "/var/task/global-bundle.pem"
      REKEY_DRAIN_TIMEOUT = "${var.timeout - 60}s"
    }
  }

  vpc_config {
    subnet_ids         = var.subnet_ids
    security_group_ids = [aws_security_group.rotate.id]
  }

  depends_on = [aws_cloudwatch_log_group.rotate, aws_iam_role_policy.rotate]
}

resource "aws_cloudwatch_log_group" "rotate" {
  name              = "/aws/lambda/${var.name}"
  retention_in_days = 365
}

# Nobody but Secrets Manager of this account calls the function.
resource "aws_lambda_permission" "secretsmanager" {
  statement_id   = "SecretsManager"
  action         = "lambda:InvokeFunction"
  function_name  = aws_lambda_function.rotate.function_name
  principal      = "secretsmanager.amazonaws.com"
  source_account = data.aws_caller_identity.current.account_id
}

# Setting this up rotates the secret at once, which shows that it works.
resource "aws_secretsmanager_secret_rotation" "rotate" {
  secret_id           = var.secret_arn
  rotation_lambda_arn = aws_lambda_function.rotate.arn

  rotation_rules {
    schedule_expression = var.schedule_expression
    duration            = var.duration
  }

  depends_on = [
    aws_lambda_permission.secretsmanager,
    aws_vpc_endpoint.secretsmanager,
    aws_vpc_security_group_egress_rule.database,
    aws_vpc_security_group_egress_rule.secretsmanager,
    aws_vpc_security_group_ingress_rule.database,
    aws_vpc_security_group_ingress_rule.secretsmanager,
  ]
}
