// Package alerttest judges the alert rules and the dashboard of otelpool by
// Prometheus' own code: what real pools and refreshers export, parsed and
// evaluated by its engine. It is a module of its own, so that nobody who
// imports otelpool gets Prometheus.
package alerttest
