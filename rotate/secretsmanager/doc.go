// Package secretsmanager keeps the versions of a secret in AWS Secrets Manager,
// by the labels that it has for that: AWSCURRENT, AWSPENDING and AWSPREVIOUS.
//
//	cfg, err := config.LoadDefaultConfig(ctx) // of aws-sdk-go-v2/config: region and credentials
//	store := secretsmanager.New(sdk.NewFromConfig(cfg), "prod/orders", nil) // sdk: its service/secretsmanager
//	r, err := rotate.New(&rotate.Config{Store: store, Target: target})
//
// As a rotation function that Secrets Manager calls by itself, see package
// rotate/lambda.
//
// A rotation's token is the ID of its version. The secret is a JSON object with
// user name and password, as Amazon RDS writes it; a new version keeps all other
// keys (engine, host, port, dbname, masterarn) of the current one.
//
// # Compare and swap
//
// A label moves only if the request names the version that it leaves. So
// promote happens once, and not at all when somebody else has moved AWSCURRENT;
// AWSPREVIOUS follows by itself. PutSecretValue, on the other hand, takes
// AWSPENDING from any version without a question. Therefore a new version is
// first put under the label "rekey-draft", and AWSPENDING is moved then: of two
// rotations that begin at once, one is refused.
//
// AWSPENDING is taken from a version that has become current; rotations of AWS's
// own may leave it there. Where it lies on the current or the previous version,
// or on one without a value, nothing counts as pending.
//
// Requests look first and move then, and nothing makes moving AWSCURRENT depend
// on AWSPENDING: a version that another process discards in between is still
// promoted. [rotate.Config.Lock] keeps rotators from that.
//
// # Policy
//
//	secretsmanager:DescribeSecret             the secret
//	secretsmanager:GetSecretValue             the secret
//	secretsmanager:PutSecretValue             the secret
//	secretsmanager:UpdateSecretVersionStage   the secret
//	secretsmanager:ListSecretVersionIds       the secret, for the history only
//	kms:Decrypt, kms:GenerateDataKey          the key, unless it is aws/secretsmanager
//
// # The client
//
// Region, endpoint, credentials and retries are those of the client that is
// passed in. A request that is repeated because its answer was lost finds its
// own work done.
package secretsmanager
