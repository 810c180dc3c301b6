package otelpool

import (
	"errors"

	"go.opentelemetry.io/otel/metric"
)

// instruments are those that are read from a pool's health.
type instruments struct {
	status      metric.Int64ObservableUpDownCounter
	expiry      metric.Float64ObservableGauge
	lifetime    metric.Float64ObservableGauge
	generation  metric.Int64ObservableGauge
	failures    metric.Int64ObservableGauge
	rejections  metric.Int64ObservableGauge
	logins      metric.Int64ObservableCounter
	connections metric.Int64ObservableUpDownCounter
	overstaying metric.Int64ObservableUpDownCounter
	retired     metric.Int64ObservableCounter
	leases      metric.Int64ObservableUpDownCounter
	renewals    metric.Int64ObservableCounter
	unrevoked   metric.Int64ObservableCounter
	takenBack   metric.Int64ObservableCounter
	denied      metric.Int64ObservableCounter
	disowned    metric.Int64ObservableCounter
	severed     metric.Int64ObservableCounter
}

func newInstruments(m metric.Meter) (*instruments, error) {
	var failed error
	gauge := func(name, unit, description string) metric.Int64ObservableGauge {
		i, err := m.Int64ObservableGauge(name, metric.WithUnit(unit), metric.WithDescription(description))
		failed = errors.Join(failed, err)
		return i
	}
	seconds := func(name, description string) metric.Float64ObservableGauge {
		i, err := m.Float64ObservableGauge(name, metric.WithUnit("s"), metric.WithDescription(description))
		failed = errors.Join(failed, err)
		return i
	}
	counter := func(name, unit, description string) metric.Int64ObservableCounter {
		i, err := m.Int64ObservableCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		failed = errors.Join(failed, err)
		return i
	}
	level := func(name, unit, description string) metric.Int64ObservableUpDownCounter {
		i, err := m.Int64ObservableUpDownCounter(name, metric.WithUnit(unit), metric.WithDescription(description))
		failed = errors.Join(failed, err)
		return i
	}
	i := &instruments{
		status:      level("rekey.pool.status", "1", "1 for the state that the pool is in, 0 for the others."),
		expiry:      seconds("rekey.credential.expiry", "Time until the credential ends."),
		lifetime:    seconds("rekey.credential.lifetime", "Time for which the credential was granted."),
		generation:  gauge("rekey.credential.generation", "{generation}", "Number of the current credential since the start."),
		failures:    gauge("rekey.refresh.consecutive_failures", "{failure}", "Attempts to refresh the credential that failed in a row."),
		rejections:  gauge("rekey.login.consecutive_rejections", "{rejection}", "Logins that the database rejected in a row."),
		logins:      counter("rekey.logins", "{login}", "Logins by outcome."),
		connections: level("rekey.connection.count", "{connection}", "Open connections by the generation they logged in with."),
		overstaying: level("rekey.connection.overstaying", "{connection}", "Open connections that have outlived their credential."),
		retired:     counter("rekey.connection.retired", "{connection}", "Connections closed after their credential had been replaced."),
		leases:      level("rekey.lease.live", "{lease}", "Leases not known to have ended."),
		renewals:    counter("rekey.lease.renewals", "{renewal}", "Leases extended in place."),
		unrevoked:   counter("rekey.lease.unrevoked", "{lease}", "Leases whose revocation the store refused."),
		takenBack:   counter("rekey.credential.taken_back", "{credential}", "Credentials taken back because their user had lost rights."),
		denied:      counter("rekey.statement.denied", "{statement}", "Statements that failed for lack of rights."),
		disowned:    counter("rekey.connection.disowned", "{connection}", "Connections whose user was found to be dropped."),
		severed:     counter("rekey.connection.severed", "{connection}", "Connections closed under their user."),
	}
	return i, failed
}

func (i *instruments) all() []metric.Observable {
	return []metric.Observable{
		i.status, i.expiry, i.lifetime, i.generation, i.failures, i.rejections, i.logins,
		i.connections, i.overstaying, i.retired, i.leases, i.renewals, i.unrevoked,
		i.takenBack, i.denied, i.disowned, i.severed,
	}
}
