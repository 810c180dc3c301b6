// Package otelpool reports pools to OpenTelemetry: instruments that follow
// [pool.Health], and spans and durations of what happens in the background.
//
//	tel, err := otelpool.New(nil)                       // the global providers
//	db, err := pool.Open(ctx, dsn, src, &pool.Options{
//		Trace:   tel.Trace,
//		Refresh: &refresh.Options{Name: "orders"},
//	})
//	stop, err := tel.Register(db)
//
// Instruments of [Telemetry.Register], read when a reader collects:
//
//	name                                  type           unit          meaning
//	rekey.pool.status                     UpDownCounter  1             1 for the state of the pool, 0 for the others (rekey.pool.state)
//	rekey.credential.expiry               Gauge          s             time until the credential's end, negative after it; none where it has no end
//	rekey.credential.lifetime             Gauge          s             from issue to end, as granted last; none where it has no end
//	rekey.credential.generation           Gauge          {generation}  number of the current credential; rises with each adopted
//	rekey.refresh.consecutive_failures    Gauge          {failure}     attempts to refresh that failed in a row
//	rekey.login.consecutive_rejections    Gauge          {rejection}   logins that the database rejected in a row with the current credential
//	rekey.logins                          Counter        {login}       logins by outcome (rekey.login.outcome)
//	rekey.connection.count                UpDownCounter  {connection}  open connections by the generation they logged in with (rekey.generation.role)
//	rekey.connection.overstaying          UpDownCounter  {connection}  those whose generation has reached its deadline
//	rekey.connection.retired              Counter        {connection}  closed after their generation had been replaced
//	rekey.connection.disowned             Counter        {connection}  found to be of a user that has been dropped
//	rekey.connection.severed              Counter        {connection}  closed under their user, see pool.Options.Overstay
//	rekey.statement.denied                Counter        {statement}   failed for lack of rights
//	rekey.credential.taken_back           Counter        {credential}  taken back because their user had lost rights
//	rekey.lease.live                      UpDownCounter  {lease}       leases not known to have ended
//	rekey.lease.renewals                  Counter        {renewal}     leases extended in place
//	rekey.lease.unrevoked                 Counter        {lease}       revocations that the store refused
//
// Instruments of [Telemetry.Trace], written when an operation ends:
//
//	rekey.operation.duration              Histogram      s             fetch, verify, renew and revoke (rekey.operation, error.type)
//	rekey.rollover.duration               Histogram      s             from the adoption of a generation until no older connection is left (error.type)
//
// Attributes:
//
//	rekey.credential.name           refresh.Options.Name; on everything
//	db.client.connection.pool.name  the name given by Named; else absent
//	rekey.pool.state                fresh, degraded, expired, disowned, closed
//	rekey.login.outcome             success, rejected
//	rekey.generation.role           current, replaced
//	rekey.generation.number         on connection.count, with Options.Generations
//	rekey.operation                 fetch, verify, renew, revoke
//	error.type                      rejected, expired, closed, disowned, timeout, canceled, an SQLSTATE, the
//	                                store's error code, a Go type, or _OTHER; absent on success
//
// The spans are rekey.fetch, rekey.verify, rekey.renew, rekey.revoke and
// rekey.rollover. They carry rekey.credential.name, rekey.generation.number
// where known, and on failure an error status with error.type and, from a
// database, db.response.status_code; the error's text is in the log alone. With
// [Options.Identify] they carry rekey.credential.user and
// rekey.credential.version too.
//
// In Prometheus the names have underscores and suffixes, which is the default
// of its exporters, as in rekey_credential_expiry_seconds and
// rekey_logins_total. A dashboard for
// Grafana is in grafana/dashboard.json, alert rules in prometheus/alerts.yaml.
// They alert when refreshing fails, long before anything expires.
package otelpool
