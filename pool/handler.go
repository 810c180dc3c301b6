package pool

import (
	"encoding/json"
	"net/http"

	"github.com/rekey-go/rekey/refresh"
)

// A Reporter reports its health: a [*ManagedPool] or a [*ManagedDB].
type Reporter interface{ Health() Health }

// Handler answers readiness probes for the given pools: 200 while each of them
// can serve statements (fresh or degraded), else 503. The body is a JSON object
// with the worst state and the [Health] of every pool. A store that is away
// makes a pool degraded, not unready, for as long as its credential lasts.
func Handler(pools ...Reporter) http.Handler {
	return probe(pools, func(s refresh.State) bool { return s == refresh.Fresh || s == refresh.Degraded })
}

// Liveness answers liveness probes for the given pools: 503 only when one has
// been closed, which nothing but a new start can mend. A credential that has
// expired while the store is away is not mended by restarting the service, so
// it answers 200. The body is that of [Handler].
func Liveness(pools ...Reporter) http.Handler {
	return probe(pools, func(s refresh.State) bool { return s != refresh.Closed })
}

// report is the body of both probes.
type report struct {
	State refresh.State `json:"state"`
	Pools []Health      `json:"pools"`
}

var severity = map[refresh.State]int{refresh.Fresh: 0, refresh.Degraded: 1, refresh.Disowned: 2, refresh.Expired: 3, refresh.Closed: 4}

func probe(pools []Reporter, good func(refresh.State) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodGet && r.Method != http.MethodHead {
			w.Header().Set("Allow", "GET, HEAD")
			http.Error(w, "a probe is a GET", http.StatusMethodNotAllowed)
			return
		}
		body := report{State: refresh.Fresh, Pools: make([]Health, 0, len(pools))}
		status := http.StatusOK
		for _, p := range pools {
			h := p.Health()
			body.Pools = append(body.Pools, h)
			if severity[h.State] > severity[body.State] {
				body.State = h.State
			}
			if !good(h.State) {
				status = http.StatusServiceUnavailable
			}
		}
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Cache-Control", "no-store")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(body) // a prober that has left is not an error
	})
}
