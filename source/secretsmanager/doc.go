// Package secretsmanager takes database credentials from AWS Secrets Manager.
//
// [New] reads the version of a secret that carries the label AWSCURRENT: a JSON
// object as Amazon RDS writes it, or as anybody else does who keeps user name
// and password in it. The other keys (host, port, dbname, engine, masterarn)
// become fields of the credential. The credential's Version is the ID of the
// secret's version.
//
//	cfg, err := config.LoadDefaultConfig(ctx) // of aws-sdk-go-v2/config: region and credentials
//	src := secretsmanager.New(sdk.NewFromConfig(cfg), "prod/orders", nil) // sdk: its service/secretsmanager
//	db, err := pool.Open(ctx, "postgres://db.internal/app?sslmode=verify-full", src, nil)
//
// # What it costs
//
// The refresher looks every five minutes, shortened by up to a fifth of jitter:
// at most 15 requests an hour. A look is a DescribeSecret; the value is read
// when AWSCURRENT is on another version than before. With [Options.Cache] a
// look goes to a cache that the process has anyway.
//
// While the database rejects AWSCURRENT, it is looked at every 30 seconds at the
// latest: some 250 requests an hour, or three times as many if the database
// accepts neither of the versions that [Options.Bridge] adds.
//
// When the database rejects a login, the refresher asks at once and past every
// cache, in one GetSecretValue for all who wait. The forced refresh of the
// cache in aws-secretsmanager-caching-go is not used for that: it sleeps for
// 2.5 to 5 seconds, takes no lock, and tells nobody whether it worked.
//
// # The gap of a rotation
//
// A rotation of a single user changes the password in the database first and
// AWSCURRENT some time later, up to a minute or two. Meanwhile new logins fail
// for whoever reads AWSCURRENT alone; open connections do not notice. With
// [Options.Bridge], AWSPENDING and then AWSPREVIOUS are tried when the database
// rejects AWSCURRENT, and what it accepts serves until AWSCURRENT works again.
//
// # Policy
//
//	secretsmanager:GetSecretValue   the secret
//	secretsmanager:DescribeSecret   the secret; else the value is read at each look
//	secretsmanager:ListSecrets      for RotationHealths only; it cannot be limited to a secret
//	kms:Decrypt                     the key, unless it is aws/secretsmanager
//
// # The client
//
// Region, endpoint, credentials and HTTP client are those of the client that
// is passed in. Its retries are off in the requests of a [Source]: pauses belong
// to the refresher, which knows how urgent it is. Nor does it log the body of an
// answer with a value, whatever its ClientLogMode.
package secretsmanager
