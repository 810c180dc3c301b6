// Package lambda is a rotation function of AWS Secrets Manager: it does the steps
// of package rotate when Secrets Manager asks for them.
//
//	createSecret   create the next credential as AWSPENDING
//	setSecret      set it in the database
//	testSecret     log in with it, and compare its rights with the current one's
//	finishSecret   move AWSCURRENT
//
// [Handler] makes the function of a [Config]; [Postgres] reads from the secret
// which database it is for, in the form that Amazon RDS gives it:
//
//	{"engine": "postgres", "host": …, "port": 5432, "dbname": …, "username": …, "password": …, "masterarn": …}
//
// In a program of your own:
//
//	config, err := lambda.FromEnvironment(client, os.Getenv)
//	handler, err := lambda.Handler(config)
//	awslambda.Start(handler) // of aws-lambda-go
//
// cmd/rotate is the program, configured by [FromEnvironment], and terraform/
// deploys it.
//
// # Repeats
//
// Secrets Manager may call a step twice, at the same time too, or begin again
// with createSecret. Each step looks at what is there and does what is missing,
// and a lock in the database keeps a second invocation away, which fails with
// [rotate.ErrRunning] and is tried again. An invocation stops shortly before its
// time ends, and the next one goes on from there. If a function dies without
// closing its connections, the database needs up to half a minute to notice that
// and to give the lock back.
//
// A credential that turns out to be unfit is undone at once: AWSPENDING is taken
// away from its version, so that the next rotation is a new one.
//
// When a rotation is set up with RotateImmediately false, Secrets Manager calls
// testSecret alone, on a version without a value. Then the function looks whether
// the database can be reached, the one who changes it can log in, and AWSCURRENT
// is accepted.
//
// # Old users
//
// There is no step after finishSecret. What a rotation leaves behind, the user of
// a parallel role, is drained and removed by the next createSecret.
//
// # Policy
//
//	secretsmanager:DescribeSecret             the secret
//	secretsmanager:GetSecretValue             the secret, and that of masterarn
//	secretsmanager:PutSecretValue             the secret
//	secretsmanager:UpdateSecretVersionStage   the secret
//	kms:Decrypt, kms:GenerateDataKey          the key, unless it is aws/secretsmanager
package lambda
