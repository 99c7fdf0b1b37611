# The commands of the house. Each does its own set-up: see scripts/setup.sh.

CARGO ?= cargo
# A folder of our own choosing, absolute or from here; CARGO_TARGET_DIR in the environment wins, as it does for cargo.
TARGET_DIR := $(or $(CARGO_TARGET_DIR),target)
TESSERA := $(TARGET_DIR)/release/tessera
# make demo ONCE=1 ends after the story instead of serving on.
ONCE ?=
# make contract SEED=20260131 sends the same requests as that day; make contract ONLY=finance asks as an operator of that role;
# make rounds SEED=7 MINUTES=30 draws the faults of seed 7 for half an hour; without a seed, of a new one, which it prints.
# make model SEED=7 plays that seed's million requests; make fuzz TARGET=apply MINUTES=30 fuzzes one target for so long.
# make walls SEED=7 takes the turns of seed 7;
# make races SEED=7 MINUTES=30 asks what seed 7 asks for half an hour; make shuttle SEED=7 ORDERS=1000000 tries so many orders.
SEED ?=
ONLY ?=
TARGET ?= apply
MINUTES ?= 10
DEMO_FLAGS := $(if $(filter-out 0 no false,$(ONCE)),--once)

.DEFAULT_GOAL := help
.PHONY: help setup demo test screens contract rounds races walls model shuttle fuzz lint micro bench

help: ## show this list
	@sed -n 's/^\([a-z]*\):.*## \(.*\)$$/  make \1	\2/p' $(MAKEFILE_LIST)

setup: ## find PostgreSQL, redis-server and a C compiler, install what is missing
	@sh scripts/setup.sh

demo: setup ## build, start, seed, play the story, serve until Ctrl-C (ONCE=1: end after the story)
	$(CARGO) build --release --locked -p wallet-api
	@exec "$(TESSERA)" demo $(DEMO_FLAGS)

test: setup ## run every test against a private PostgreSQL and Redis
	$(CARGO) build --workspace --bins --locked
	$(CARGO) test --workspace --locked

screens: setup ## take pictures of every page, into docs/screens
	$(CARGO) test -p tessera-tests --locked -- --ignored --nocapture --exact browser::screens

contract: setup ## hold a node against its OpenAPI document, by each kind of caller (Python; SEED=n repeats a run)
	$(CARGO) build --workspace --bins --locked
	@$(if $(ONLY),true,TESSERA="$(TARGET_DIR)/debug/tessera" sh scripts/schemathesis.sh $(SEED))
	SEED="$(SEED)" ONLY="$(ONLY)" $(CARGO) test -p tessera-tests --locked -- --ignored --nocapture callers::

rounds: setup ## break three nodes, PostgreSQL and Redis again and again, as a seed draws it (SEED=, MINUTES=)
	$(CARGO) build --workspace --bins --locked
	TESSERA_TEST_SEED="$(SEED)" TESSERA_ROUNDS_MINUTES="$(MINUTES)" \
		$(CARGO) test -p tessera-tests --locked -- --ignored --nocapture --test-threads 1 --skip checker:: --skip tenancy:: --skip callers::

races: setup ## have many clients ask and look at once, and hold what they are told against the model (SEED=, MINUTES=)
	$(CARGO) build --workspace --bins --locked
	TESSERA_TEST_SEED="$(SEED)" TESSERA_RACES_MINUTES="$(MINUTES)" \
		$(CARGO) test -p tessera-tests --locked -- --ignored --nocapture checker::races

walls: setup ## have tenants take a hundred thousand turns on one connection, and look for what is not theirs (SEED=)
	TESSERA_TEST_SEED="$(SEED)" $(CARGO) test -p tessera-tests --locked -- --ignored --nocapture tenancy::

# Optimised, in a folder of its own: the usual build of the tests takes ten times as long for a step.
model: ## play a million requests on the journal's rules and on its model (SEED=, STEPS=)
	SEED="$(SEED)" STEPS="$(STEPS)" CARGO_TARGET_DIR="$(TARGET_DIR)/model" CARGO_PROFILE_TEST_OPT_LEVEL=2 \
		$(CARGO) test -p ledger --locked --test apply_model -- --ignored a_million_steps --nocapture

shuttle: ## try the writer's queue and pipe under very many orders of their threads (SEED=, ORDERS=)
	cd ledger/shuttle && SEED="$(SEED)" ORDERS="$(ORDERS)" CARGO_TARGET_DIR="$(abspath $(TARGET_DIR))/shuttle" \
		$(CARGO) run --locked --release

fuzz: ## give the journal's rules and forms bytes nobody meant (TARGET=apply|body|request|canonical|assertion, MINUTES=)
	@CARGO="$(CARGO)" sh scripts/fuzz.sh "$(TARGET)" "$(MINUTES)"

lint: setup ## check format, lints, and where cargo-deny is installed licences and bans
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings
	$(CARGO) clippy -p wallet-api --features otlp --locked -- -D warnings
	@if command -v cargo-deny >/dev/null 2>&1; then \
		$(CARGO) fetch --locked && $(CARGO) deny --offline --locked check licenses bans sources; \
	else \
		echo "skipped: cargo-deny is not installed"; \
	fi

micro: ## time the journal's pure functions by themselves (criterion)
	$(CARGO) bench -p ledger --locked

bench: setup ## measure posting, payments, cluster and hooks beside pgbench, one JSON object each
	$(CARGO) build --release --locked -p wallet-api
	@"$(TESSERA)" bench posting --json
	@"$(TESSERA)" bench payments --json
	@"$(TESSERA)" bench cluster --json
	@"$(TESSERA)" bench hooks --json
