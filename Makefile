# The commands of this project. `make help` lists them.
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
DATE    ?= $(shell git log -1 --format=%cI 2>/dev/null || echo unknown)
LDFLAGS  = -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)
BINS     = scheduler worker dtask loadtest

empty =
space = $(empty) $(empty)

.DEFAULT_GOAL := help

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## build static binaries into bin/
	@mkdir -p bin
	@for b in $(BINS); do CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/$$b ./cmd/$$b || exit 1; done

.PHONY: demo
demo: build ## a scheduler and a few agents place and run a real batch
	bin/dtask demo

.PHONY: test
test: lint ## everything: format, vet, staticcheck, all tests, the race detector where it matters
	CGO_ENABLED=0 $(GO) test -timeout 900s $$($(GO) list ./... | grep -v -E '/($(subst $(space),|,$(RACED)))(/|$$)') ./client
	$(MAKE) race

# The rooms where goroutines meet; the core has none. Their tests run once, under
# the race detector; those of client again without it, for they count allocations.
RACED = server client agent loadtest cmd/dtask

.PHONY: race
race: ## the packages with goroutines under the race detector
	CGO_ENABLED=1 $(GO) test -race -timeout 900s $(RACED:%=./%/...)

.PHONY: lint
lint: ## gofmt, go vet, staticcheck
	@bad=$$(gofmt -l .); if [ -n "$$bad" ]; then echo "not formatted: $$bad"; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...

.PHONY: sim
sim: ## the simulator for 60 s (SIM_FLAGS='-for 1h' for longer)
	$(GO) run ./sim/simulate $(or $(SIM_FLAGS),-for 60s)

.PHONY: mutants
mutants: ## plant faults, one by one, and print which test found each and how fast
	CGO_ENABLED=0 $(GO) test ./sim -count 1 -v -timeout 60m -run '^(TestMutants|TestPlantedFaults)$$' -mutants
	CGO_ENABLED=0 $(GO) test ./deploy -count 1 -v -run Mutants -mutants

.PHONY: loadtest
loadtest: ## the judged load test with 5,000 workers (LOADTEST_FLAGS='-faults')
	$(GO) run ./cmd/loadtest $(LOADTEST_FLAGS)

.PHONY: alerts
alerts: ## a real Prometheus watches a scheduler under load, and sees that workers are killed (a minute)
	CGO_ENABLED=0 $(GO) test ./deploy -count 1 -v -run Live -live

.PHONY: cases
cases: build ## the slow ones of the cases that lie beside the project (.ci/run runs the quick ones)
	.ci/cases slow

.PHONY: bench
bench: ## the benchmarks that docs/performance.md quotes
	$(GO) test -run '^$$' -bench . -benchmem ./index ./sched ./wire ./bench

.PHONY: fuzz
fuzz: ## each fuzz target for 20 s (FUZZTIME=5m for longer)
	@for p in ./wire ./index ./selector ./agent; do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz'); do \
	  $(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(or $(FUZZTIME),20s) $$p || exit 1; done; done

.PHONY: clean
clean: ## remove what was built
	rm -rf bin
