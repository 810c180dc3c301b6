package otelpool

import (
	"context"
	"log/slog"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/trace"

	"github.com/rekey-go/rekey/refresh"
)

var _ refresh.Trace = (*Telemetry)(nil).Trace

// Trace makes a span of an operation and records how long it took. It is a
// [refresh.Trace], for refresh.Options and pool.Options. An operation in the
// background whose parent has ended already, or is not recorded, begins a trace
// of its own that links to the parent.
func (t *Telemetry) Trace(ctx context.Context, operation string, attrs ...slog.Attr) (context.Context, func(error)) {
	name := attribute.String("rekey.credential.name", "")
	var about []attribute.KeyValue
	for _, a := range attrs { // only what is known to be fit for a span
		switch v := a.Value; {
		case a.Key == "credential" && v.Kind() == slog.KindString:
			name = attribute.String("rekey.credential.name", v.String())
		case a.Key == "generation" && v.Kind() == slog.KindUint64:
			about = append(about, attribute.Int64("rekey.generation.number", integer(v.Uint64())))
		case a.Key == "user" && t.opts.Identify:
			about = append(about, attribute.String("rekey.credential.user", v.String()))
		case a.Key == "version" && t.opts.Identify:
			about = append(about, attribute.String("rekey.credential.version", v.String()))
		}
	}
	start := []trace.SpanStartOption{trace.WithAttributes(append(about, name)...)}
	if parent := trace.SpanFromContext(ctx); parent.SpanContext().IsValid() && !parent.IsRecording() {
		start = append(start, trace.WithNewRoot(), trace.WithLinks(trace.Link{SpanContext: parent.SpanContext()}))
	}
	began := time.Now()
	ctx, span := t.tracer.Start(ctx, "rekey."+operation, start...)
	return ctx, func(err error) {
		took := time.Since(began).Seconds()
		measured := []attribute.KeyValue{name}
		if err != nil {
			kind := attribute.String("error.type", errorType(err))
			measured = append(measured, kind)
			span.SetAttributes(kind)
			if code := sqlState(err); code != "" {
				span.SetAttributes(attribute.String("db.response.status_code", code))
			}
			span.SetStatus(codes.Error, kind.Value.AsString())
		}
		if operation == "rollover" {
			t.rollovers.Record(ctx, took, metric.WithAttributes(measured...))
		} else {
			t.operations.Record(ctx, took, metric.WithAttributes(append(measured, attribute.String("rekey.operation", operation))...))
		}
		span.End()
	}
}
