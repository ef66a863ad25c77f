# Two commands do all the set-up: `make demo` shows the main job, `make test` passes all tests.
# What a fresh Debian machine lacks is installed by tools/setup (Debian packages, npm and pip by their ordinary clients).

CARGO ?= cargo
MERX = $(or $(CARGO_TARGET_DIR),target)/release/merx
PORT ?= 8080

.PHONY: demo pages console build test lint unit backends faults sdk clients browser fuzz openapi reference clean

demo: build ## Make a seeded shop, train, serve it, print the first calls to try.
	$(MERX) demo --set server.listen=127.0.0.1:$(PORT)

# The whole workspace, as the tests build it: one binary alone would compile its dependencies with other features again.
build: pages console ## Build the one binary, with the shop's pages and the console in it.
	tools/setup rust
	$(CARGO) build --release --locked --workspace

pages: ## Build the browser library and the demo shop, which go into the binary.
	tools/pages

console: ## Build the merchants' console, which goes into the binary.
	tools/setup console
	console/build

test: ## Everything the continuous integration runs.
	tools/setup rust node console browser python
	# The pages first: they go into the binary that is tested.
	tools/pages
	console/build
	tools/test

lint: ## Formatting and clippy, warnings are errors.
	tools/test lint

unit: ## The Rust tests alone.
	tools/test unit

backends: ## The ports and the binary on PostgreSQL, Kafka, Redis and S3, started for it.
	tools/setup rust python
	tools/test backends

faults: ## Break services and processes under load, write docs/operating/faults.md.
	tools/setup rust python network clocks
	MERX_FAULTS_PAGE=$(CURDIR)/docs/operating/faults.md tools/test outages

sdk: ## The browser library and the demo shop.
	tools/setup node
	tools/test sdk

clients: ## Client libraries, published ones and our own, against a running server.
	tools/setup rust node python
	tools/test clients

browser: ## The pages of a running server in a browser.
	tools/setup rust node console browser
	tools/test browser

fuzz: ## A fuzzer that reads the OpenAPI description, against a running server.
	tools/setup rust python
	tools/test fuzz

openapi: build ## Write the description of the HTTP API.
	$(MERX) openapi > openapi/merx.json.new && mv openapi/merx.json.new openapi/merx.json

reference: openapi ## Write the pages of docs/reference that are made from the binary.
	mkdir -p docs/reference
	$(MERX) manual docs/reference
