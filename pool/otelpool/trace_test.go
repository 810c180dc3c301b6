package otelpool_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/otelpool"
	"github.com/rekey-go/rekey/refresh"
	"github.com/rekey-go/rekey/source"
)

// child makes a span, as a store's client or a driver with its own
// instrumentation would.
func (d *desk) child(ctx context.Context, name string) {
	_, span := d.tracer.Tracer("client").Start(ctx, name)
	span.End()
}

// watched is a store whose client makes spans.
type watched struct {
	source.Watcher
	d *desk
}

func (w watched) Credential(ctx context.Context) (source.Credential, error) {
	w.d.child(ctx, "GetSecretValue")
	return w.Watcher.Credential(ctx)
}

func attrs(s sdktrace.ReadOnlySpan) map[string]string {
	m := make(map[string]string)
	for _, a := range s.Attributes() {
		m[string(a.Key)] = a.Value.String()
	}
	return m
}

func TestSpansOfARotation(t *testing.T) {
	for _, identify := range []bool{false, true} {
		t.Run(fmt.Sprint(identify), func(t *testing.T) {
			b := newBench(t)
			d := newDesk(t, otelpool.Options{Identify: identify})
			opts := pool.Options{Verify: func(ctx context.Context, conn *pgx.Conn) error {
				d.child(ctx, "Verify")
				_, err := conn.Exec(ctx, "select item from orders")
				return err
			}}
			p := b.open(watched{b.store, d}, d.Telemetry, opts)
			d.register(p)
			b.rotate()
			eventually(t, func() bool { return len(d.ended("rekey.rollover")) == 1 }, "the rollover ends")
			require.Zero(t, p.Health().Connections[1])

			fetches, verifies := d.ended("rekey.fetch"), d.ended("rekey.verify")
			require.Len(t, fetches, 2)
			require.Len(t, verifies, 2)
			want := map[string]string{"rekey.credential.name": "orders"}
			require.Equal(t, want, attrs(fetches[1]))
			want["rekey.generation.number"] = "2"
			if identify {
				want["rekey.credential.user"], want["rekey.credential.version"] = b.user, "v1"
			}
			require.Equal(t, want, attrs(verifies[1]))
			rollover := d.ended("rekey.rollover")[0]
			require.Equal(t, want, attrs(rollover))
			require.False(t, rollover.Parent().IsValid())
			require.False(t, rollover.StartTime().Before(verifies[1].EndTime()), "verified first")
			for i, s := range d.ended("GetSecretValue") {
				require.Equal(t, fetches[i].SpanContext().SpanID(), s.Parent().SpanID(), "the client's spans hang below")
			}
			for i, s := range d.ended("Verify") {
				require.Equal(t, verifies[i].SpanContext().SpanID(), s.Parent().SpanID(), "the driver's spans hang below")
			}
			for _, s := range slices.Concat(fetches, verifies, []sdktrace.ReadOnlySpan{rollover}) {
				require.Equal(t, codes.Unset, s.Status().Code)
				require.Equal(t, trace.SpanKindInternal, s.SpanKind())
			}
		})
	}
}

func TestBackgroundSpansDoNotHangBelowTheStart(t *testing.T) {
	b := newBench(t)
	d := newDesk(t, otelpool.Options{})
	ctx, starting := d.tracer.Tracer("service").Start(t.Context(), "start")
	r, err := refresh.New(ctx, b.store, &refresh.Options{Trace: d.Trace, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(t, err)
	defer r.Close()
	starting.End()
	require.NoError(t, r.Refresh(t.Context()))
	fetches := d.ended("rekey.fetch")
	require.Len(t, fetches, 2)
	require.Equal(t, starting.SpanContext().SpanID(), fetches[0].Parent().SpanID(), "the first is part of the start")
	require.False(t, fetches[1].Parent().IsValid(), "a later one begins a trace")
	require.NotEqual(t, starting.SpanContext().TraceID(), fetches[1].SpanContext().TraceID())
	require.Len(t, fetches[1].Links(), 1)
	require.Equal(t, starting.SpanContext().SpanID(), fetches[1].Links()[0].SpanContext.SpanID())
}

func TestSpansOfFailures(t *testing.T) {
	b := newBench(t)
	d := newDesk(t, otelpool.Options{})
	p := b.open(b.store, d.Telemetry, pool.Options{})
	d.register(p)

	b.store.Fail(errors.New("the store says " + canary))
	require.Error(t, p.Refresher().Refresh(t.Context()))
	fetch := d.ended("rekey.fetch")[1]
	require.Equal(t, sdktrace.Status{Code: codes.Error, Description: "_OTHER"}, fetch.Status())

	b.n++ // a password that the database does not know
	b.publish()
	require.ErrorIs(t, p.Refresher().Refresh(t.Context()), refresh.ErrRejected)
	var verify sdktrace.ReadOnlySpan
	for _, s := range d.ended("rekey.verify") {
		if s.Status().Code == codes.Error {
			verify = s
			break
		}
	}
	require.NotNil(t, verify)
	require.Equal(t, map[string]string{
		"rekey.credential.name": "orders", "rekey.generation.number": "2",
		"error.type": "rejected", "db.response.status_code": "28P01",
	}, attrs(verify))

	// Not even where an error has it in its text.
	for _, s := range d.spans.Ended() {
		require.NotContains(t, fmt.Sprintf("%s %v %v %v %v", s.Name(), s.Attributes(), s.Events(), s.Status(), s.Links()), canary)
	}
	require.NotContains(t, fmt.Sprintf("%+v", d.collect()), canary)
}

func TestRolloverIsMeasured(t *testing.T) {
	d := newDesk(t, otelpool.Options{})
	of := []slog.Attr{
		slog.String("credential", "orders"), slog.Uint64("generation", 7), slog.String("user", "app"),
		slog.String("version", "v7"), slog.String("password", canary), slog.Int("unknown", 1),
	}
	ctx, ended := d.Trace(t.Context(), "rollover", of...)
	d.child(ctx, "login")
	ended(nil)
	_, ended = d.Trace(t.Context(), "rollover", of...)
	ended(refresh.ErrClosed)

	spans := d.ended("rekey.rollover")
	require.Len(t, spans, 2)
	require.Equal(t, map[string]string{"rekey.credential.name": "orders", "rekey.generation.number": "7"}, attrs(spans[0]))
	require.Equal(t, spans[0].SpanContext().SpanID(), d.ended("login")[0].Parent().SpanID())
	require.Equal(t, "closed", spans[1].Status().Description)
	m := d.metrics()
	require.Equal(t, 1.0, m["rekey.rollover.duration{rekey.credential.name=orders}"])
	require.Equal(t, 1.0, m["rekey.rollover.duration{error.type=closed,rekey.credential.name=orders}"])
}

func TestOddAttributes(t *testing.T) {
	d := newDesk(t, otelpool.Options{})
	_, ended := d.Trace(t.Context(), "fetch", slog.Int("credential", 1), slog.String("generation", "x"))
	ended(nil)
	require.Equal(t, []attribute.KeyValue{attribute.String("rekey.credential.name", "")}, d.ended("rekey.fetch")[0].Attributes())
}
