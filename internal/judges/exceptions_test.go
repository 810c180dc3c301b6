package judges_test

// An exception is a test of pgx that a managed pool does not pass, by intent.
type exception struct {
	reason string
	shows  string // what its output must hold, so that nothing else hides behind it
}

// Why managed pools differ.
const (
	verifies = "the constructor has a login proved before it returns, and hooks see that login too"
	starts   = "the constructor logs in, within its context: a pool that cannot log in is not made"
)

var exceptions = map[string]map[string]exception{
	"pgxpool": {
		"TestConnectConfig": {
			"Config returns the pool's own hooks, and no password, which the source holds",
			"Pool.Config() returns original config - Password",
		},
		"TestConnectConfigRequiresConnConfigFromParseConfig": {
			"New returns an error where pgxpool panics",
			"should panic",
		},
		"TestConnectEagerlyReachesMinPoolSize": {
			verifies + ": it counts 13 calls of BeforeConnect where 12 are expected",
			"did not reach min pool size",
		},
		"TestConstructorIgnoresContext": {
			verifies + ": its BeforeConnect calls a function that is only set after the constructor",
			"nil pointer dereference",
		},
		"TestPoolAcquireCanceledDuringStalledPing": {
			starts + ", and its server is a pipe for one connection, which that login uses up",
			"pool_test.go",
		},
		"TestPoolBackgroundConnectionsContext": {
			starts + ", and there is no server in this test",
			"pool_test.go",
		},
		"TestPoolBeforeClose": {
			verifies + ": BeforeClose sees the end of it as well",
			"elements differ",
		},
		"TestPoolInitialConnectionError": {
			starts + ", and its BeforeConnect waits for what comes after the constructor",
			"test timed out",
		},
	},
	"stdlib": {
		"TestOptionBeforeAfterConnect": {
			verifies + ": it counts 3 calls where 2 are expected",
			"should have 2 item(s), but has 3",
		},
	},
}

// Files that are not compiled against the managed pools, with the reason.
var leftOut = map[string]map[string]string{
	"pgxpool": {},
	"stdlib": {
		"sql_go1.27_internal_test.go": "it looks into unexported parts of stdlib, which ManagedDB uses as they are",
	},
}
