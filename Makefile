# What each goal needs is installed by it: Go tools through the module proxy,
# servers by the test helpers (see internal/pgserver).

GOLANGCI_LINT = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
BENCHSTAT     = go run golang.org/x/perf/cmd/benchstat@v0.0.0-20260908200009-22c9c6c9d4da

# Modules beside the root one: they hold what is heavy or only for tests.
NESTED = pool/otelpool refresh/keyset rotate/lambda rotate/aws internal/judges internal/faults examples/vault examples/gorm examples/sqlc examples/ent examples/bun examples/sqlx examples/river internal/soak
# What takes minutes to compile is compiled once, without the race detector: the
# clients of Docker and Kubernetes, and Prometheus.
HEAVY  = internal/containertest examples/httpserver internal/crashtest rotate/kubernetes examples/rotate-job/kubernetes pool/otelpool/internal/alerttest

# Modules whose packages others import.
PUBLIC = . pool/otelpool refresh/keyset rotate/lambda rotate/aws rotate/kubernetes

# Vault's command line, for the agent and the container.
AGENT = examples/vault/agent

TESTFLAGS =
FUZZTIME  = 30s
BENCH     = .
COUNT     = 10
SOAK      = 10m

.PHONY: all test test-root test-nested vault kubernetes compiler lint vuln api bench bench-smoke fuzz crash soak

all: lint test

## test: everything, with the race detector, on real servers
test: test-root test-nested

test-root: compiler vault kubernetes
	go test -race -timeout 20m -shuffle=on $(TESTFLAGS) ./...

test-nested: compiler vault kubernetes
	internal/containertest/setup.sh
	@# The heavy ones run beside the first of the others and are shown at the end.
	heavy=$$(mktemp); failed=0; \
	(failed=0; for m in $(HEAVY); do go -C $$m test -timeout 20m -shuffle=on $(TESTFLAGS) ./... || failed=1; done; exit $$failed) >$$heavy 2>&1 & \
	for m in $(NESTED); do go -C $$m test -race -timeout 20m -shuffle=on $(TESTFLAGS) ./... || failed=1; done; \
	wait $$! || failed=1; cat $$heavy; rm $$heavy; exit $$failed

## crash: kill rotations at every point there is, for every target and store; takes
## hours. REKEY_CRASH_SEED=… repeats what was drawn
crash: vault kubernetes
	REKEY_CRASH=all go -C internal/crashtest test -timeout 6h -parallel 4 $(TESTFLAGS)

## soak: three drivers on real servers for SOAK, while everything goes wrong that can
soak: vault
	go -C internal/soak run . -for $(SOAK)

# The race detector needs a C compiler.
compiler:
	@command -v $${CC:-cc} >/dev/null || command -v gcc >/dev/null || { \
		[ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null || { echo "install a C compiler first: apt-get install gcc libc6-dev" >&2; exit 1; }; \
		echo "installing gcc libc6-dev"; apt-get update -q >/dev/null && apt-get install -q -y --no-install-recommends gcc libc6-dev >/dev/null; }

## vault: the real Vault for the tests, which takes minutes to build the first time
vault:
	go run ./internal/vaultserver/prepare
	go -C $(AGENT) build -tags minimal -gcflags='all=-l -dwarf=false' -o /dev/null .

## kubernetes: the real API server for the tests, which takes minutes to build the first
## time
kubernetes:
	go run ./internal/kubeserver/prepare

## lint: golangci-lint, with vet, over all modules
lint:
	for m in . $(NESTED) $(HEAVY); do (cd $$m && $(GOLANGCI_LINT) run --config $(CURDIR)/.golangci.yml ./...) || exit 1; done

## vuln: known vulnerabilities in what is imported
vuln:
	for m in . $(NESTED) $(HEAVY); do go -C $$m run golang.org/x/vuln/cmd/govulncheck@v1.2.0 ./... || exit 1; done

## api: what breaks callers since the last release
api:
	internal/apicheck/check.sh $(PUBLIC)

## bench: the managed pools beside the raw ones, in turn, and compared
bench:
	go test -c -o bin/pool.test ./pool
	@rm -f bin/bench.out
	@for i in $$(seq $(COUNT)); do bin/pool.test -test.run '^$$' -test.bench '$(BENCH)' -test.benchmem | grep -v '^PASS' >>bin/bench.out; done
	@for k in raw managed; do grep -E "^(goos|goarch|pkg|cpu)|/$$k" bin/bench.out | sed "s,/$$k,," >bin/$$k.out; done
	$(BENCHSTAT) raw=bin/raw.out managed=bin/managed.out
	go run ./internal/storm

bench-smoke:
	go test $$(git grep -l '^func Benchmark' -- '*_test.go' | xargs -n 1 dirname | sort -u | sed 's,^,./,') -run '^$$' -bench . -benchtime 10x -benchmem

## fuzz: every fuzz target for FUZZTIME. Where the fuzzer takes minutes to build all
## of a client, the target's own inputs run with the tests, and more of them by hand.
fuzz:
	@for d in $$(git grep -l '^func Fuzz' -- '*_test.go' ':!rotate/kubernetes' | xargs -n 1 dirname | sort -u); do \
		for f in $$(cat $$d/*_test.go | sed -n 's/^func \(Fuzz[A-Za-z0-9_]*\)(.*/\1/p'); do \
			echo "$$d $$f"; \
			go -C $$d test . -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x || exit 1; \
		done; \
	done
