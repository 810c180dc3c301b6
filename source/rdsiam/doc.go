// Package rdsiam logs in to Amazon RDS and Aurora with IAM tokens as passwords.
//
// [New] returns a source that signs a token whenever it is asked. Signing is
// done here, without a request to AWS; only the parent credentials, with which
// it is signed, may need one.
//
//	cfg, err := config.LoadDefaultConfig(ctx) // github.com/aws/aws-sdk-go-v2/config: region and credentials
//	src := rdsiam.New(cfg, "db.abc123.eu-central-1.rds.amazonaws.com:5432", "app", nil)
//	db, err := pool.Open(ctx, "postgres://db.abc123.eu-central-1.rds.amazonaws.com/shop?sslmode=verify-full&sslrootcert=global-bundle.pem", src, nil)
//
// # What ends when
//
// A token is good for logins for 15 minutes, or until the parent credentials
// end, if they are temporary and that is earlier. The credential's Reason says
// which it was: "token" or "aws credentials". A session that has logged in goes
// on after that: EndsSessions is false. The refresher has the next token signed
// ahead of the end of this one, every 5 to 10 minutes, so that a pool always has
// one to log in with. The pool's connections stay as they are: they are the same
// user's, whatever token they have logged in with. pgxpool's MaxConnLifetime
// still replaces them at its own pace.
//
// Parent credentials that are about to end, though a cache still holds them, and
// those whose token the database rejects before its time, are asked for again
// past an [aws.CredentialsCache].
//
// # What AWS needs
//
// IAM database authentication must be enabled for the instance or cluster. The
// parent credentials need this policy, in which DbiResourceId is the resource
// ID of the instance, of the cluster (cluster-…) or of the proxy (prx-…), and not
// its name:
//
//	{
//	  "Version": "2012-10-17",
//	  "Statement": [{
//	    "Effect": "Allow",
//	    "Action": "rds-db:connect",
//	    "Resource": "arn:aws:rds-db:eu-central-1:123456789012:dbuser:DbiResourceId/app"
//	  }]
//	}
//
// and the database this user:
//
//	CREATE USER app; GRANT rds_iam TO app;                          -- PostgreSQL
//	CREATE USER app IDENTIFIED WITH AWSAuthenticationPlugin AS 'RDS' REQUIRE SSL; -- MySQL
//
// A user of PostgreSQL with rds_iam cannot use a password any more.
//
// The database rejects a token with SQLSTATE 28000 ("PAM authentication
// failed") or with error 1045, whatever is wrong with it: the policy, the user,
// an endpoint under another name, a clock that is off by minutes. Pools take
// both for a rejected login. A good token may be rejected too when there are too
// many new connections a second; AWS recommends fewer than 200.
//
// # Only over TLS
//
// The server gets the token as it is. Use sslmode=verify-full with AWS's bundle
// of authorities (sslrootcert) for PostgreSQL, and the dialer of
// [github.com/rekey-go/rekey/pool/mysql.NewForTokens] for MySQL and MariaDB, which refuses
// anything less. The endpoint that is signed is the one of RDS; if you connect
// through another name or a tunnel, the token still needs the real one.
package rdsiam
