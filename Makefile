# Two commands matter: `make demo` shows Usher at work, `make test` runs the tests. `make help` lists the rest.

SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Pure-Go Olm, hence no cgo in the program. The race detector needs cgo, so tests are built with the default.
TAGS := -tags goolm
GO_BUILD := CGO_ENABLED=0 go build -trimpath
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 30s
ROUNDS ?= 5
ONLY ?= .
SOAK ?= 20
E2E_ENV = USHER_E2E_USHER=$(CURDIR)/bin/usher USHER_E2E_DENDRITE=$(CURDIR)/bin/dendrite

##@ Use

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^##@/ {print substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## the program, bin/usher: static, without cgo
	$(GO_BUILD) $(TAGS) -ldflags "-X main.version=$(VERSION)" -o bin/usher .

.PHONY: demo
demo: build bin/dendrite ## a conversation with Usher on a real homeserver that stays up (ONCE=1: ends after it; PORT=8008)
	cd e2e && $(GO_BUILD) $(TAGS) -o ../bin/demo ./cmd/demo
	@$(E2E_ENV) ONCE="$(ONCE)" PORT="$(PORT)" bin/demo

##@ Test

.PHONY: test
test: lint unit difftest test-e2e test-postgres ## format, vet, staticcheck, unit tests, differential tests, end-to-end tests on Dendrite, with SQLite and PostgreSQL
	@go tool cover -func bin/coverage.out | awk 'END {print "statements covered by unit tests:", $$NF}'

# In CI the suites before homeservers wait for the unit tests, which need both cores; .ci/run runs two suites side by side.
ifdef CI
unit: | lint
difftest: | unit
test-e2e test-postgres test-synapse test-clients test-packages: | difftest
endif

.PHONY: lint
lint: bin/staticcheck ## gofmt, go vet, staticcheck
	@unformatted="$$(gofmt -l .)"; [ -z "$$unformatted" ] || { echo "not formatted by gofmt:"; echo "$$unformatted"; exit 1; }
	go vet $(TAGS) ./...
	bin/staticcheck $(TAGS) ./...
	cd e2e && go vet $(TAGS) ./... && ../bin/staticcheck $(TAGS) ./...
	@[ ! -d difftest ] || { cd difftest && GOEXPERIMENT=jsonv2 go vet ./...; }

.PHONY: unit
unit: need-gcc ## unit tests with the race detector; the import table, the store on SQLite and PostgreSQL; bin/coverage.out
	@mkdir -p bin
	go test $(TAGS) -timeout 20m -race -coverprofile bin/coverage.out $$(go list $(TAGS) ./... | grep -v /powertest)
	go test $(TAGS) -timeout 20m ./invites/powertest # one goroutine: no races

.PHONY: difftest
difftest: ## the authorization rules against two other implementations
	@[ ! -d difftest ] || { cd difftest && GOEXPERIMENT=jsonv2 go test ./...; }

.PHONY: test-e2e
test-e2e: build bin/dendrite need-promtool need-chromium need-slapd need-smtpd ## end-to-end tests on Dendrite; faults, floods and kills before a stub
	cd e2e && $(E2E_ENV) go test $(TAGS) -count=1 -timeout 40m ./...

.PHONY: test-postgres
test-postgres: build bin/dendrite ## the main path with PostgreSQL instead of SQLite
	cd e2e && $(E2E_ENV) go run -C .. ./store/pgtest/with go test -C e2e $(TAGS) -count=1 -timeout 20m -run 'TestInviteAsActor|TestInviteForms|TestJoin|TestDuplicateTransaction|TestTroubleAtTheHomeserver|TestEncryptedInvite|TestKeyAfterEvent|TestIdentity|TestKilledProcesses|TestTakeover|TestPlanTakeover|TestFrozenProcess|TestRollingUpgrade|TestProcessesInStep|TestSecretProcesses|TestPostgresTrouble' .

.PHONY: test-synapse
test-synapse: build bin/dendrite need-chromium need-slapd need-smtpd ## the same on Synapse, from Debian's packages or PATH
	root="$$(e2e/synapse-sid)"; cd e2e; \
	$(E2E_ENV) USHER_E2E_HOMESERVER=synapse USHER_E2E_SYNAPSE_ROOT="$$root" go test $(TAGS) -count=1 -timeout 40m ./...

.PHONY: test-clients
test-clients: build bin/dendrite ## encrypted rooms with clients of other makes: matrix-js-sdk (npm) and matrix-nio (Debian)
	root="$$(e2e/synapse-sid)"; node="$${USHER_CACHE:-$$HOME/.cache/usher}/clients"; mkdir -p "$$node"; cp e2e/clients/package.json "$$node"; \
	npm install --prefix "$$node" --no-audit --no-fund --no-package-lock --silent; cd e2e; \
	$(E2E_ENV) USHER_E2E_NODE="$$node" USHER_E2E_SYNAPSE_ROOT="$$root" go test $(TAGS) -count=1 -timeout 15m -run TestOtherClient .

.PHONY: test-packages
test-packages: bin/dendrite ## a release built twice; its packages and image installed, run and removed: as root on Debian
	@.ci/need buildah buildah; .ci/need systemd-analyze systemd; .ci/need rpm rpm; .ci/need ansible-playbook ansible-core
	@.ci/need cpio cpio; .ci/need man man-db; [ -e /usr/share/bash-completion/bash_completion ] || .ci/need bash-completion bash-completion
	go test -tags 'goolm packages' -count=1 -v -timeout 25m ./packaging

.PHONY: fuzz
fuzz: ## each fuzz target for FUZZTIME (30s)
	for pkg in $$(go list $(TAGS) ./...); do \
		for target in $$(go test $(TAGS) -list '^Fuzz' "$$pkg" | grep '^Fuzz' || true); do \
			go test $(TAGS) -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$pkg"; \
		done; \
	done

.PHONY: soak
soak: build ## kills, faults and random stories about borrowed power until they find something: SOAK rounds (20), each with seeds of its own
	USHER_STEPS=$$((150000 * $(SOAK))) USHER_FROM=$$(date +%s) go test $(TAGS) -count=1 -timeout 0 -run NoBorrowedPower ./invites/powertest
	cd e2e && for seed in $$(seq 1 $(SOAK)); do \
		echo "seed $$seed"; \
		$(E2E_ENV) USHER_E2E_LONG=1 USHER_E2E_SEED=$$seed go test $(TAGS) -count=1 -timeout 60m \
			-run 'TestKilled(TwoHundredTimes|DuringMigration|Processes)|TestRollingUpgrade|TestSecretProcesses|TestHomeserverFaults|TestSlowHomeserver|TestOutage|TestRateLimitOverRestart|TestHostileTransactions|TestRevokedToken|TestFlood|TestPaced|TestKilledBeforeItTookEffect|TestFullDisk|TestReadOnlyDisk|TestBulkOfDeadServer|TestForbiddenPages|TestSilentServer|TestSlowRooms|TestNativeLoad|TestUnreachableServer|TestToDeviceFlood|TestHomeserverSendsNothing' . ; \
	done
	root="$$(e2e/synapse-sid)"; cd e2e; \
	$(E2E_ENV) USHER_E2E_LONG=1 USHER_E2E_HOMESERVER=synapse USHER_E2E_SYNAPSE_ROOT="$$root" go test $(TAGS) -count=1 -timeout 60m \
		-run 'TestBackAfter(Outage|Cut|FullDisk)|TestUnreachableServer|TestToDeviceFlood' .

.PHONY: vuln
vuln: ## known vulnerabilities in what is built in; asks vuln.go.dev
	go run golang.org/x/vuln/cmd/govulncheck@v1.1.4 $(TAGS) ./...

.PHONY: bench
bench: build bin/dendrite ## Usher beside yardsticks, a table of medians and ratios (ROUNDS=5; ONLY=regexp; PROFILES=folder; BASE=another usher): docs/performance.md
	cd e2e && $(GO_BUILD) -o ../bin/yardstick ./bench/yardstick
	cd e2e && GOEXPERIMENT=jsonv2 $(GO_BUILD) -o ../bin/yardstick-jsonv2 ./bench/yardstick
	cd e2e && $(GO_BUILD) $(TAGS) -o ../bin/bench ./bench
	@bin/bench -bin bin -rounds "$(ROUNDS)" -only "$(ONLY)" -base "$(BASE)" -profiles "$(PROFILES)"

.PHONY: bench-micro
bench-micro: ## the benchmarks that stand beside the code
	go test $(TAGS) -run '^$$' -bench . -benchmem ./...
	@[ ! -d difftest ] || { cd difftest && GOEXPERIMENT=jsonv2 go test -run '^$$' -bench . -benchmem ./...; }

##@ Ship

.PHONY: release
release: ## programs, packages, checksums and the list of modules of VERSION (v1.2.3), in dist/
	packaging/release "$(VERSION)" dist

.PHONY: figures
figures: ## docs/figures.md: the bench, the rules against other implementations, promises and their tests, at this commit
	packaging/figures

##@ Tools

bin/dendrite: e2e/go.mod e2e/go.sum ## the homeserver of the demo and the tests
	cd e2e && $(GO_BUILD) -o ../bin/dendrite github.com/element-hq/dendrite/cmd/dendrite
	@touch $@

bin/staticcheck: go.mod go.sum
	$(GO_BUILD) -o bin/staticcheck honnef.co/go/tools/cmd/staticcheck
	@touch $@

.PHONY: need-gcc
need-gcc:
	@.ci/need gcc gcc libc6-dev

.PHONY: need-promtool
need-promtool:
	@.ci/need promtool prometheus

.PHONY: need-chromium
need-chromium:
	@.ci/need chromium chromium

.PHONY: need-slapd
need-slapd:
	@.ci/need slapd slapd

.PHONY: need-smtpd
need-smtpd:
	@.ci/need smtpd opensmtpd

.PHONY: clean
clean: ## remove what was built (the cached Synapse stays)
	rm -rf bin dist .demo usher
