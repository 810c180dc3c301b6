package smtest

import (
	"encoding/json"
	"net/http"
	"slices"
	"time"

	"github.com/rekey-go/rekey/internal/smserver"
)

// A Request is one that has come, whatever became of it.
type Request struct {
	Time         time.Time
	Operation    string
	Secret       string // name or ARN, as it was asked for; empty for listings
	VersionID    string // that is asked for or made
	VersionStage string // that is asked for or moved
}

func newRequest(r *http.Request, body []byte) Request {
	var in struct{ SecretID, Name, VersionID, ClientRequestToken, VersionStage string }
	_ = json.Unmarshal(body, &in) // what is no JSON is refused later
	return Request{
		Time: time.Now(), Operation: smserver.Operation(r), Secret: in.SecretID + in.Name,
		VersionID: in.VersionID + in.ClientRequestToken, VersionStage: in.VersionStage,
	}
}

// Requests returns those of an operation, or all of them if it is empty, in the
// order in which they came.
func (f *Faults) Requests(operation string) []Request {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.log), func(r Request) bool { return operation != "" && operation != r.Operation })
}

// Count is how many requests of an operation there were, or of all.
func (f *Faults) Count(operation string) int { return len(f.Requests(operation)) }

// Forget empties the log.
func (f *Faults) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = nil
}
