package alerttest

import (
	"context"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/promql/promqltest"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/util/teststorage"
	"github.com/stretchr/testify/require"

	"github.com/rekey-go/rekey/pool"
	"github.com/rekey-go/rekey/pool/otelpool"
)

// A scrape is what was exported at one moment.
type scrape struct {
	at      time.Time
	samples map[string]sample // by the text of the labels
}

type sample struct {
	labels labels.Labels
	value  float64
}

// record runs a scenario in fake time: begin sets it up, and each is called
// with the time since before every scrape.
func record(t *testing.T, every, length time.Duration, begin func(t *testing.T) (p pool.Reporter, each func(time.Duration))) (scrapes []scrape) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		e := newExport(t, otelpool.Options{})
		p, each := begin(t)
		stop, err := e.Register(p)
		require.NoError(t, err)
		defer func() { require.NoError(t, stop()) }()
		for began := time.Now(); time.Since(began) <= length; time.Sleep(every) {
			if each != nil {
				each(time.Since(began))
			}
			synctest.Wait()
			s := scrape{time.Now(), make(map[string]sample)}
			for _, f := range e.gather() {
				for _, m := range f.Metric {
					s.add(f, m)
				}
			}
			scrapes = append(scrapes, s)
		}
	})
	return scrapes
}

// add takes what the rules need, which is no histogram.
func (s *scrape) add(f *dto.MetricFamily, m *dto.Metric) {
	value := m.GetGauge().GetValue() + m.GetCounter().GetValue()
	b := labels.NewBuilder(labels.FromStrings(model.MetricNameLabel, f.GetName(), "instance", "a:9090", "job", "service"))
	for _, l := range m.Label {
		b.Set(l.GetName(), l.GetValue())
	}
	s.samples[b.Labels().String()] = sample{b.Labels(), value}
}

// value returns the only sample of a name.
func (s *scrape) value(name string) (float64, bool) {
	for _, v := range s.samples {
		if v.labels.Get(model.MetricNameLabel) == name {
			return v.value, true
		}
	}
	return 0, false
}

// A firing is when an alert fired, as time since the start.
type firing struct{ first, last time.Duration }

// watch has Prometheus evaluate the rules after each scrape, and returns what
// fired.
func watch(t *testing.T, scrapes []scrape) map[string]firing {
	t.Helper()
	storage := teststorage.New(t)
	engine := promqltest.NewTestEngine(t, false, 0, 1_000_000)
	manager := rules.NewManager(&rules.ManagerOptions{
		QueryFunc: rules.EngineQueryFunc(engine, storage), Appendable: storage, Queryable: storage, Context: t.Context(),
		NotifyFunc: func(context.Context, string, ...*rules.Alert) {},
	})
	groups, errs := manager.LoadGroups(time.Minute, labels.EmptyLabels(), "", nil, false, alertsFile)
	require.Empty(t, errs)

	fired := make(map[string]firing)
	for _, s := range scrapes {
		app := storage.Appender(t.Context())
		for _, v := range s.samples {
			_, err := app.Append(0, v.labels, s.at.UnixMilli(), v.value)
			require.NoError(t, err)
		}
		require.NoError(t, app.Commit())
		since := s.at.Sub(scrapes[0].at)
		for _, g := range groups {
			g.Eval(t.Context(), s.at)
			for _, r := range g.AlertingRules() {
				require.NoError(t, r.LastError(), r.Name())
				if r.State() != rules.StateFiring {
					continue
				}
				require.Len(t, firingOf(r), 1, "%s fires once for one pool", r.Name())
				f, again := fired[r.Name()]
				if !again {
					f.first = since
					a := firingOf(r)[0]
					t.Logf("%8s %s: %s", since, r.Name(), a.Annotations.Get("summary"))
				}
				f.last = since
				fired[r.Name()] = f
			}
		}
	}
	return fired
}

func firingOf(r *rules.AlertingRule) []*rules.Alert {
	return slices.DeleteFunc(r.ActiveAlerts(), func(a *rules.Alert) bool { return a.State != rules.StateFiring })
}

func names(fired map[string]firing) []string { return slices.Sorted(maps.Keys(fired)) }
