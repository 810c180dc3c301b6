# The function reaches the database and Secrets Manager, and nothing else.
resource "aws_security_group" "rotate" {
  name        = var.name
  description = "Rotation function"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_security_group_egress_rule" "database" {
  security_group_id            = aws_security_group.rotate.id
  referenced_security_group_id = var.database_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = var.database_port
  to_port                      = var.database_port
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  security_group_id            = var.database_security_group_id
  referenced_security_group_id = aws_security_group.rotate.id
  ip_protocol                  = "tcp"
  from_port                    = var.database_port
  to_port                      = var.database_port
}

resource "aws_vpc_security_group_egress_rule" "secretsmanager" {
  security_group_id            = aws_security_group.rotate.id
  referenced_security_group_id = local.endpoint_security_group_id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_vpc_security_group_ingress_rule" "secretsmanager" {
  security_group_id            = local.endpoint_security_group_id
  referenced_security_group_id = aws_security_group.rotate.id
  ip_protocol                  = "tcp"
  from_port                    = 443
  to_port                      = 443
}

resource "aws_security_group" "endpoint" {
  count       = var.create_endpoint ? 1 : 0
  name        = "${var.name}-endpoint"
  description = "Endpoint of Secrets Manager"
  vpc_id      = var.vpc_id
}

resource "aws_vpc_endpoint" "secretsmanager" {
  count               = var.create_endpoint ? 1 : 0
  vpc_id              = var.vpc_id
  vpc_endpoint_type   = "Interface"
  service_name        = "com.amazonaws.${data.aws_region.current.name}.secretsmanager"
  private_dns_enabled = true
  subnet_ids          = var.subnet_ids
  security_group_ids  = [local.endpoint_security_group_id]
}

locals {
  endpoint_security_group_id = var.create_endpoint ? aws_security_group.endpoint[0].id : var.endpoint_security_group_id
}
