# Everything runs as root on Debian 12; `make deps` installs what is missing and is called where it is needed.
SHELL   := /bin/bash
export PATH := /usr/local/go/bin:$(PATH)
.NOTPARALLEL:
GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT  ?= $(shell git rev-parse --short HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT)
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

# Times in packages, so that the same commit gives the same files.
export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || echo 0)
CYCLONEDX := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.10.0
SBOM      := out/sbom.cdx.json

.PHONY: build plugin deb image sbom deps demo bench bench-publish test test-unit test-lab test-kernels test-image lint generate check-generated fuzz clean

build: ## bin/falcon, static
	CGO_ENABLED=0 $(GO) build -buildvcs=false -trimpath -ldflags '$(LDFLAGS)' -o bin/falcon .

plugin: build ## the managed plugin's root in out/plugin, for docker plugin create
	rm -rf out/plugin
	install -D -m 755 bin/falcon out/plugin/rootfs/falcon
	install -m 644 packaging/plugin/config.json out/plugin/config.json

deb: build ## the Debian package, in out
	packaging/debian/build bin/falcon '$(VERSION)' out

image: ## the image falcon:VERSION; needs a Docker engine and its registry
	docker build --build-arg VERSION='$(VERSION)' --build-arg COMMIT='$(COMMIT)' --tag 'falcon:$(VERSION)' --tag falcon:latest .

sbom: build ## what the binary consists of, as CycloneDX, in out
	mkdir -p $(dir $(SBOM))
	$(GO) run $(CYCLONEDX) bin -json -licenses -noserial -version '$(VERSION)' -output $(SBOM) bin/falcon

deps: ## install what demo, tests and generate need
	tests/lab/deps.sh

demo: deps build ## two hosts, two engines, one network
	$(GO) run ./tests/demo

# What is compared; SUBJECTS=all compares every way that there is.
SUBJECTS ?= host,docker-overlay,falcon,falcon-dynamic,falcon-shortcut,falcon-shortcut-xdp

bench: deps build ## what it costs, in out/bench; QUICK=1 for a short run, EXPERIMENT=NAME for one, SUBJECTS=NAME,NAME for others
	$(GO) run ./tests/bench -quick=$(if $(QUICK),true,false) -experiment "$(EXPERIMENT)" -subjects "$(filter-out all,$(SUBJECTS))"

bench-publish: ## docs/bench from the full run in out/bench; needs librsvg2-bin
	$(GO) run ./tests/bench/publish

test: deps build test-unit test-lab ## everything but the kernel matrix (test-kernels)

test-unit: ## all that needs no engine: pure code, etcd, kernel objects in namespaces
	CI=true $(GO) test -race $$($(GO) list ./... | grep -v /tests/)
	CI=true $(GO) test ./datapath/balance/... # the large machines, for which the race detector is too slow

# The end-to-end tests that run once more with packets by the shortcut: those in which packets go between containers. SHORTCUT_TESTS=. runs
# them all.
SHORTCUT_TESTS ?= ^Test(SingleHost|Compose|Connectivity|FirstPacket|Internal|SameSubnetsDoNotMix|MulticastAndBroadcast|Options|Removal|SeveralSubnets|SeveralNetworks|Trace|Underlays|WayOut)$$

test-lab: build plugin ## real engines in the lab
	CI=true $(GO) test -count=1 -timeout 40m -p 1 $$($(GO) list ./tests/... | grep -v /tests/kernels)
	CI=true LAB_SHORTCUT=on $(GO) test -count=1 -timeout 20m -run '$(SHORTCUT_TESTS)' ./tests/e2e

test-kernels: build ## the datapath on Debian's kernels 6.1 and 6.12 with 8 processors, emulated, and what is said on an old one; out/kernels keeps kernels and consoles
	CI=true $(GO) test -count=1 -timeout 30m ./tests/kernels

test-image: build ## the Dockerfile's commands, in an engine of their own; fetches packages and modules
	mkdir -p out
	CI=true $(GO) test -count=1 -timeout 20m -tags image -run TestDockerfile ./tests/install

FUZZTIME ?= 10s
fuzz: ## every fuzz test for FUZZTIME
	@for p in $$($(GO) list ./... | grep -v /tests/); do \
	  for f in $$($(GO) test -list '^Fuzz' $$p | grep ^Fuzz); do \
	    $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p || exit 1; done; done

lint:
	test -z "$$(gofmt -l .)" || { gofmt -d .; exit 1; }
	$(GO) vet -tags guest,image ./... # the tags only add tests
	$(GO) run $(STATICCHECK) -tags guest,image ./...

generate: ## eBPF objects and their Go bindings; needs clang-19
	$(GO) generate ./...

check-generated: generate
	git diff --exit-code -- '*_bpfel.go' '*_bpfel.o'

clean:
	rm -rf bin out
