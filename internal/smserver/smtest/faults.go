package smtest

import (
	"bytes"
	"io"
	"net/http"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/rekey-go/rekey/internal/smserver"
)

// Errors that the service answers in place of doing what it is asked. Others go
// by the names of the SDK's types.
const (
	AccessDenied = "AccessDeniedException" // rights are missing
	Decryption   = "DecryptionFailure"     // KMS refuses
	ExpiredToken = "ExpiredTokenException" // the caller's AWS credentials have expired
	Internal     = "InternalServiceError"
	Throttling   = "ThrottlingException"
)

var messages = map[string]string{
	AccessDenied: "User is not authorized to perform this operation because no identity-based policy allows it",
	Decryption:   "Secrets Manager can't decrypt the protected secret text using the provided KMS key.",
	ExpiredToken: "The security token included in the request is expired",
	Internal:     "An error occurred on the server side.",
	Throttling:   "Rate exceeded",
}

// A Fault says which requests go wrong and how. Of several that match a request
// the one that was injected first applies.
type Fault struct {
	Operation string // such as GetSecretValue. Empty: all
	Secret    string // its name. Empty: all
	Times     int    // how many requests. Zero: until it is cleared

	// Delay goes before all else. On its own, the request is answered after it.
	Delay time.Duration

	// Of the others at most one is set.

	Hang      bool          // no answer until the client leaves
	Cut       bool          // the connection is closed, and nothing done
	LoseReply bool          // it is done, but the connection is closed instead of an answer
	Body      []byte        // not nil: the whole answer, with Status or 200
	Stale     time.Duration // reads see the store as it was so long ago
	Error     string        // the answer is this error, with Status or what goes with it

	Status int
}

// Faults is a handler in front of another one. Its methods are safe for
// concurrent use.
type Faults struct {
	next http.Handler

	mu     sync.Mutex
	faults []*Injected
	log    []Request
	bucket bucket
}

// Wrap puts faults, none at first, in front of a store.
func Wrap(next http.Handler) *Faults { return &Faults{next: next} }

// Injected is a fault in place.
type Injected struct {
	in   *Faults
	f    Fault
	hits int
}

// Inject puts a fault in place.
func (f *Faults) Inject(fault Fault) *Injected {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := &Injected{in: f, f: fault}
	f.faults = append(f.faults, i)
	return i
}

// Clear removes the fault; requests that it has hit are not let go.
func (i *Injected) Clear() {
	i.in.mu.Lock()
	defer i.in.mu.Unlock()
	i.in.faults = slices.DeleteFunc(i.in.faults, func(o *Injected) bool { return o == i })
}

// Hits is how many requests the fault has hit.
func (i *Injected) Hits() int {
	i.in.mu.Lock()
	defer i.in.mu.Unlock()
	return i.hits
}

// Throttle lets so many requests a second through, and burst at once, and
// answers others with Throttling. Zero or less: all.
func (f *Faults) Throttle(rate float64, burst int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bucket = bucket{rate: rate, burst: float64(burst), tokens: float64(burst)}
}

// ServeHTTP notes the request and answers it, or lets the handler do that.
func (f *Faults) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		panic(http.ErrAbortHandler) // the client has gone
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	fault := f.meet(newRequest(r, body))
	if fault.Delay > 0 {
		timer := time.NewTimer(fault.Delay)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-r.Context().Done():
			panic(http.ErrAbortHandler)
		}
	}
	fault.apply(w, r, f.next)
}

func (f Fault) apply(w http.ResponseWriter, r *http.Request, next http.Handler) {
	switch {
	case f.Hang:
		<-r.Context().Done()
		panic(http.ErrAbortHandler)
	case f.Cut:
		panic(http.ErrAbortHandler)
	case f.LoseReply:
		next.ServeHTTP(nowhere{http.Header{}}, r)
		panic(http.ErrAbortHandler)
	case f.Body != nil:
		w.Header().Set("Content-Type", "application/x-amz-json-1.1")
		w.WriteHeader(max(f.Status, http.StatusOK))
		_, _ = w.Write(f.Body) // the client has gone
	case f.Error != "":
		status := f.Status
		if status == 0 {
			status = http.StatusBadRequest
			if f.Error == Internal {
				status = http.StatusInternalServerError
			}
		}
		smserver.WriteError(w, status, f.Error, messages[f.Error])
	default:
		next.ServeHTTP(w, r.WithContext(smserver.Stale(r.Context(), f.Stale)))
	}
}

// nowhere is where a lost reply is written to.
type nowhere struct{ header http.Header }

func (n nowhere) Header() http.Header       { return n.header }
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) WriteHeader(int)             {}

// meet notes a request and returns the fault that it meets.
func (f *Faults) meet(r Request) Fault {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.log = append(f.log, r)
	if !f.bucket.take(r.Time) {
		return Fault{Error: Throttling}
	}
	for i, in := range f.faults {
		if in.f.Operation != "" && in.f.Operation != r.Operation || in.f.Secret != "" && in.f.Secret != nameOf(r.Secret) {
			continue
		}
		in.hits++
		if in.hits == in.f.Times {
			f.faults = slices.Delete(f.faults, i, i+1)
		}
		return in.f
	}
	return Fault{}
}

var arn = regexp.MustCompile(`^arn:.*:secret:(.*?)(-[A-Za-z0-9]{6})?$`)

// nameOf returns the name of a secret that is called by name or ARN.
func nameOf(id string) string {
	if m := arn.FindStringSubmatch(id); m != nil {
		return m[1]
	}
	return id
}
