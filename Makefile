# SPDX-License-Identifier: MIT
# make            build/spoa-once, oncectl   make test     everything, under sanitizers
# make run        the demo on 127.0.0.1:8080 make check    warnings, layers, docs against tables, haproxy -c
# make try        attack it in containers    make help     the other targets

BUILD  ?= build
VARIANT ?= release
OBJ    := $(BUILD)/$(VARIANT)
CC     ?= cc
# msgpack-c calls itself msgpack in Debian 12 and msgpack-c in Debian 13.
MSGPACK := $(shell pkg-config --exists msgpack-c 2>/dev/null && echo msgpack-c || echo msgpack)
PKGS   := hiredis libconfig libmicrohttpd libsodium jansson libsystemd $(MSGPACK)
CTL_PKGS := jansson libsodium libcurl
CSTD   := -std=c11 -D_GNU_SOURCE
WARN   := -Wall -Wextra -Wpedantic -Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wcast-qual -Wvla
INC    := -I. -Iagent -I$(BUILD)/gen
CFLAGS_release := -O2 -g -flto=auto -fstack-protector-strong -D_FORTIFY_SOURCE=2 -fPIE
LDFLAGS_release := -O2 -flto=auto -pie -Wl,-z,relro,-z,now
CFLAGS_asan := -O1 -g -fsanitize=address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LDFLAGS_asan := -fsanitize=address,undefined
CFLAGS_fuzz  := -O1 -g -fsanitize=fuzzer-no-link,address,undefined -fno-sanitize-recover=undefined -fno-omit-frame-pointer
LDFLAGS_fuzz := -fsanitize=fuzzer,address,undefined
CFLAGS_check := -O2 -g -Werror
CFLAGS_cover := -O0 -g --coverage
LDFLAGS_cover := --coverage
# make BUILD=build/other PROTOCOL=2: an agent of another version of records and tokens (tests).
ALLCFLAGS = $(CSTD) $(WARN) $(INC) $(PROTOCOL:%=-DPROTOCOL_VERSION=%) $(CFLAGS_$(VARIANT)) $(shell pkg-config --cflags $(PKGS) 2>/dev/null) $(CFLAGS)
LIBS   = -lev $(shell pkg-config --libs $(PKGS) 2>/dev/null)

# V=1 shows the commands.
Q := $(if $(V),,@)

SPOP_SRC  := $(wildcard spop/*.c)
AGENT_SRC := $(wildcard agent/*.c agent/*/*.c)
CTL_SRC   := $(wildcard ctl/*.c)
SPOP_OBJ  := $(SPOP_SRC:%.c=$(OBJ)/%.o)
AGENT_OBJ := $(AGENT_SRC:%.c=$(OBJ)/%.o)
CTL_OBJ   := $(CTL_SRC:%.c=$(OBJ)/%.o)
LIB_OBJ   := $(filter-out $(OBJ)/agent/main.o,$(AGENT_OBJ))
UNIT_SRC  := $(wildcard tests/unit/test_*.c)
LUA_SRC   := $(wildcard tests/lua/test_*.c)
FUZZ_SRC  := $(wildcard tests/fuzz/fuzz_*.c)
UNIT_BIN  := $(UNIT_SRC:tests/%.c=$(OBJ)/tests/%)
LUA_BIN   := $(LUA_SRC:tests/%.c=$(OBJ)/tests/%)
FUZZ_BIN  := $(FUZZ_SRC:tests/%.c=$(OBJ)/tests/%)
TEST_LIB  := $(OBJ)/libtest.a
LOAD_BIN  := $(addprefix $(OBJ)/tests/load/,spop-bench noop-agent codec-bench gate-floor)
TEST_OBJ  := $(patsubst %.c,$(OBJ)/%.o,$(wildcard tests/support/*.c))
GEN       := $(BUILD)/gen/scripts_lua.h $(BUILD)/gen/attach_parts.h

.PHONY: all
all: $(OBJ)/spoa-once $(OBJ)/oncectl
	@ln -sf $(VARIANT)/spoa-once $(BUILD)/spoa-once
	@ln -sf $(VARIANT)/oncectl $(BUILD)/oncectl

$(OBJ)/spoa-once: $(AGENT_OBJ) $(OBJ)/libspop.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_$(VARIANT)) $(LDFLAGS) -o $@ $^ $(LIBS)

$(OBJ)/oncectl: $(CTL_OBJ)
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_$(VARIANT)) $(LDFLAGS) -o $@ $^ $(shell pkg-config --libs $(CTL_PKGS) 2>/dev/null)

# tools/check-pure reads which functions it calls: the linker's intermediate language would hide some.
$(SPOP_OBJ): private CFLAGS_release += -fno-lto
$(OBJ)/libspop.a: $(SPOP_OBJ)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(OBJ)/libagent.a: $(LIB_OBJ)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

# Newer cmockas call deprecated what Debian 12's has no other name for.
$(OBJ)/tests/%.o: private CSTD += -DCMOCKA_DISABLE_DEPRECATION_WARNINGS
# An archive, so that a test is linked with the fixtures that it names and may bring its own fake of the rest.
$(OBJ)/libtest.a: $(TEST_OBJ)
	$(Q)rm -f $@ && $(AR) rcs $@ $^

$(BUILD)/gen/scripts_lua.h: tools/embed-lua $(wildcard redis-lua/*.lua)
	@echo "  LUA   $@"; mkdir -p $(@D)
	$(Q)tools/embed-lua redis-lua $(PROTOCOL) > $@.new && mv $@.new $@

$(BUILD)/gen/attach_parts.h: tools/embed-attach $(wildcard haproxy-conf/attach/*.cfg)
	@echo "  CONF  $@"; mkdir -p $(@D)
	$(Q)tools/embed-attach haproxy-conf/attach > $@.new && mv $@.new $@

$(OBJ)/%.o: %.c | $(GEN)
	@echo "  CC    $@"; mkdir -p $(@D)
	$(Q)$(CC) $(ALLCFLAGS) -MMD -MP -c -o $@ $<

$(OBJ)/tests/unit/%: $(OBJ)/tests/unit/%.o $(TEST_LIB) $(OBJ)/libagent.a $(OBJ)/libspop.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_$(VARIANT)) -o $@ $^ -lcmocka $(LIBS)
$(OBJ)/tests/lua/%: $(OBJ)/tests/lua/%.o $(TEST_LIB) $(OBJ)/libagent.a $(OBJ)/libspop.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_$(VARIANT)) -o $@ $^ -lcmocka $(LIBS)
# Under plain `make test` a fuzz target replays its corpus; the variant `fuzz` brings a main of its own.
FUZZ_MAIN = $(if $(filter fuzz,$(VARIANT)),,$(OBJ)/tests/fuzz/replay.o)
$(OBJ)/tests/fuzz/fuzz_%: $(OBJ)/tests/fuzz/fuzz_%.o $(FUZZ_MAIN) $(OBJ)/libagent.a $(OBJ)/libspop.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_$(VARIANT)) -o $@ $^ $(LIBS)

$(OBJ)/tests/load/spop-bench: $(addprefix $(OBJ)/tests/load/,spop_bench.o player.o player_hello.o player_report.o scenario.o scenario_read.o process_cpu.o)
$(OBJ)/tests/load/noop-agent: $(OBJ)/tests/load/noop_agent.o
$(OBJ)/tests/load/codec-bench: $(addprefix $(OBJ)/tests/load/,codec_bench.o scenario.o scenario_read.o)
$(OBJ)/tests/load/gate-floor: $(addprefix $(OBJ)/tests/load/,gate_floor.o process_cpu.o)
$(LOAD_BIN): $(TEST_LIB) $(OBJ)/libagent.a $(OBJ)/libspop.a
	@echo "  LINK  $@"
	$(Q)$(CC) $(LDFLAGS_$(VARIANT)) -o $@ $(filter %.o,$^) $(filter %.a,$^) $(LIBS)

.SECONDARY:
-include $(shell find $(OBJ) -name '*.d' 2>/dev/null)

# The targets people call. Each installs what it needs from Debian's packages.
.PHONY: help run gateway images up down test-only try test test-matrix test-fresh test-deb chaos soak bench bench-scale bench-docs sizing check fmt lint coverage fuzz model release-times wait-times storm clean install man deb

help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' Makefile

run: ## the demo: redis-server, payments backend, agent, HAProxy on 127.0.0.1:8080
	@tools/deps run
	@$(MAKE) --no-print-directory all
	@exec tools/run-demo

gateway: ## the reference gateway with seven and seven demo services on 127.0.0.1:8080 and :8443
	@tools/deps run
	@$(MAKE) --no-print-directory all
	@exec tools/run-demo gateway

# Each end-to-end file once here, with one thread or four; `tests/e2e/run` and the matrix run each with both.
test: ## everything, under AddressSanitizer and UBSan
	@tools/deps test
	@$(MAKE) --no-print-directory -j"$$(nproc)" all load-programs
	@$(MAKE) --no-print-directory -j"$$(nproc)" VARIANT=asan all test-programs
	@rc=0; \
	$(MAKE) --no-print-directory VARIANT=release check-docs || rc=1; \
	$(MAKE) --no-print-directory VARIANT=asan run-programs || rc=1; \
	THREADS=turns tests/e2e/run $(BUILD)/asan/spoa-once || rc=1; \
	tests/ship/run $(BUILD)/asan || rc=1; \
	model/run short || rc=1; \
	python3 tests/chaos/test_checker.py || rc=1; \
	SECONDS=15 SEED=7 CLIENTS=24 tests/chaos/run $(BUILD)/asan/spoa-once || rc=1; \
	SECONDS=12 SEED=7 tests/chaos/soak $(BUILD)/release/spoa-once $(BUILD)/asan/spoa-once || rc=1; \
	tests/load/test $(BUILD)/release || rc=1; \
	python3 tests/try/test_rules.py || rc=1; \
	tests/try/short || rc=1; \
	exit $$rc

images: ## container images, of what is here (needs a Docker engine; no registry)
	@tools/deps images
	@deploy/docker/images

up: images ## the whole system in containers, on 127.0.0.1:8080; docs/walk-through.md says what to try
	@tests/try/run up

down: ## takes it away, with its data
	@tests/try/run down

test-only: ## scenarios on a system that is up: all, or TRY="steady lag"; SECONDS (600) of steady
	@SECONDS=$(or $(SECONDS),600) tests/try/run test $(TRY)

try: images ## the same from start to end: up, load, kills and network faults with a verdict each, down; KEEP=FILE
	@SECONDS=$(or $(SECONDS),600) tests/try/run try $(TRY)

test-matrix: ## the same in Debian 12, 13 and testing; MATRIX=trixie chooses (as root)
	@tools/deps matrix
	@tools/test-matrix $(MATRIX)

chaos: ## a bank while all is broken: SECONDS (600), SEED (7), CLIENTS (64), CLUSTER (1); tests/chaos/README.md
	@tools/deps run
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory BUILD=$(BUILD)/other PROTOCOL=2 all
	@SECONDS=$(or $(SECONDS),600) SEED=$(or $(SEED),7) tests/chaos/run $(BUILD)/release/spoa-once $(BUILD)/other/release/spoa-once

soak: ## constant connection churn for SECONDS (600): the agents must not grow
	@tools/deps run
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory VARIANT=asan all
	@SECONDS=$(or $(SECONDS),600) tests/chaos/soak $(BUILD)/release/spoa-once $(BUILD)/asan/spoa-once

bench: ## what a decision costs, beside peers: CPU, rates, latencies, targets; build/bench.json, 8 minutes; BENCH="--only peers"
	@tools/deps bench
	@tools/deps peers || echo "nginx with Lua is left out" >&2
	@$(MAKE) --no-print-directory all load-programs load-go
	@tests/load/bench $(BUILD)/release/spoa-once $(BENCH)

bench-scale: ## how that cost grows: records, requests at one time, agents, shards, limits, bodies, stored answers; build/scale.json, .png
	@tools/deps bench
	@$(MAKE) --no-print-directory all load-programs
	@tests/load/scale $(BUILD)/release/spoa-once $(BENCH)

sizing: ## what 10,000 to 1,000,000 requests/s need, from what bench and bench-scale have written; SIZING="--rates 30000 --record 1h"
	@tests/load/sizing $(SIZING)

bench-docs: ## the tables of docs/performance.md and docs/scale.md anew, from the same
	@tests/load/sizing --docs docs/performance.md docs/scale.md

# Go is no package of Debian 12 that is new enough: what needs it is left out where it is not.
.PHONY: load-programs load-go
load-programs: $(LOAD_BIN)
load-go:
	@command -v go >/dev/null || { echo "no Go: vegeta and the Go agents are left out" >&2; exit 0; }; \
	mkdir -p $(BUILD)/tools $(BUILD)/load; \
	(cd tests/tools && go build -o $(abspath $(BUILD))/tools/vegeta github.com/tsenart/vegeta/v12) || echo "vegeta could not be built: fixed rates are left out" >&2; \
	(cd tests/load/peers && go build -o $(abspath $(BUILD))/load/peer-agent ./agent && go build -o $(abspath $(BUILD))/load/peer-proxy ./proxy) || echo "the Go peers could not be built: left out" >&2

test-programs: $(UNIT_BIN) $(LUA_BIN) $(FUZZ_BIN)

run-programs: test-programs
	tests/run $(BUILD)/logs $(UNIT_BIN) $(LUA_BIN) $(FUZZ_BIN)

check: ## before a commit: warnings as errors, layers, purity, docs against tables, haproxy -c, format, names in Python
	@tools/deps check
	@$(MAKE) --no-print-directory VARIANT=check check-build
	@$(MAKE) --no-print-directory all check-docs
	@clang-format --dry-run -Werror $(FORMATTED)
	@! pyflakes3 $(PYTHON) | grep 'undefined name'

PYTHON = $(shell grep -rlIE '^\#!/usr/bin/env python3' tests tools deploy model) $(wildcard tests/*/*.py deploy/*/*.py)
FORMATTED = $(wildcard spop/*.[ch] ctl/*.[ch] agent/*.[ch] agent/*/*.[ch] tests/*/*.[ch])

.PHONY: test-programs run-programs check-build check-docs
check-build: $(AGENT_OBJ) $(CTL_OBJ) $(SPOP_OBJ) $(OBJ)/libspop.a $(TEST_OBJ) $(UNIT_SRC:%.c=$(OBJ)/%.o) $(LUA_SRC:%.c=$(OBJ)/%.o) \
  $(FUZZ_SRC:%.c=$(OBJ)/%.o) $(patsubst %.c,$(OBJ)/%.o,$(wildcard tests/load/*.c))

check-docs: all
	tools/check-links
	tools/check-layers
	tools/check-pure $(OBJ)/libspop.a
	tools/check-docs
	tools/check-commands
	tools/check-options $(BUILD)/spoa-once
	haproxy-conf/check
	deploy/check

fmt: ## clang-format over every C file
	@tools/deps check
	clang-format -i $(FORMATTED)

lint: ## clang-tidy
	@tools/deps check
	@$(MAKE) --no-print-directory $(GEN)
	clang-tidy --quiet --warnings-as-errors='*' $(SPOP_SRC) $(AGENT_SRC) $(CTL_SRC) -- $(CSTD) $(INC)

coverage: ## line coverage of the unit and script tests
	@tools/deps coverage
	@$(MAKE) --no-print-directory VARIANT=cover test-programs
	@$(MAKE) --no-print-directory VARIANT=cover run-programs
	gcovr -r . --object-directory $(BUILD)/cover --exclude tests --txt

# 60 seconds each, unless the command line says more (an environment's SECONDS is a shell's own).
fuzz: ## each parser's fuzzer, with clang; SECONDS=600 each, FUZZ_JOBS=2 at a time
	@tools/deps fuzz
	@$(MAKE) --no-print-directory all
	@$(MAKE) --no-print-directory VARIANT=fuzz CC=clang $(FUZZ_SRC:tests/%.c=$(BUILD)/fuzz/tests/%)
	@tools/fuzz $(BUILD) $(if $(filter command line,$(origin SECONDS)),$(SECONDS),60) $(FUZZ_SRC:tests/fuzz/fuzz_%.c=%)

model: ## the protocol and leased limits, checked exhaustively as models, and their planted mistakes; docs/protocol.md
	@tools/deps model
	@model/run

release-times: ## how long a key stays locked after each kind of failure: figures of TRIES (30) each
	@tools/deps test
	@$(MAKE) --no-print-directory all
	@rm -f $(BUILD)/release-times.txt
	@THREADS=4 ONCE_TRIES=$(or $(TRIES),30) ONCE_FIGURES=$(abspath $(BUILD))/release-times.txt \
	  tests/e2e/run $(BUILD)/spoa-once tests/e2e/release-times.vtc; rc=$$?; cat $(BUILD)/release-times.txt; exit $$rc

wait-times: ## how long 500 duplicates need for the answer they wait for: at most 200 ms; and 1,000 misses whose backend is killed, or closes
	@tools/deps test
	@$(MAKE) --no-print-directory all
	@rm -f $(BUILD)/wait-times.txt
	@JOBS=1 ONCE_LARGEST=200 ONCE_MISSES=1000 ONCE_FIGURES=$(abspath $(BUILD))/wait-times.txt \
	  tests/e2e/run $(BUILD)/spoa-once tests/e2e/waiting-many.vtc tests/e2e/cache-fails.vtc tests/e2e/cache-silent.vtc; rc=$$?; cat $(BUILD)/wait-times.txt; exit $$rc

storm: ## what storms cost Redis: 100,000 refusals of one client; 50,000 retries of 500 keys by 5,000 clients in 10 s
	@tools/deps test
	@$(MAKE) --no-print-directory all $(OBJ)/tests/unit/test_retry_storm
	@rm -f $(BUILD)/storm.txt
	@THREADS=4 JOBS=1 ONCE_REFUSALS=100000 ONCE_RETRIES="500 50000 5000 10" ONCE_FIGURES=$(abspath $(BUILD))/storm.txt \
	  tests/e2e/run $(BUILD)/spoa-once tests/e2e/limit-storm.vtc tests/e2e/retry-storm.vtc; rc=$$?; cat $(BUILD)/storm.txt; \
	  ONCE_STORM="500 50000 10" $(OBJ)/tests/unit/test_retry_storm && exit $$rc

PREFIX ?= /usr/local
install: all man ## binaries, man pages and HAProxy files under PREFIX (/usr/local)
	install -D -m 755 $(OBJ)/spoa-once $(DESTDIR)$(PREFIX)/sbin/spoa-once
	install -D -m 755 $(OBJ)/oncectl $(DESTDIR)$(PREFIX)/bin/oncectl
	install -D -m 644 $(BUILD)/man/spoa-once.8 $(DESTDIR)$(PREFIX)/share/man/man8/spoa-once.8
	install -D -m 644 $(BUILD)/man/spoa-once.conf.5 $(DESTDIR)$(PREFIX)/share/man/man5/spoa-once.conf.5
	install -D -m 644 $(BUILD)/man/oncectl.1 $(DESTDIR)$(PREFIX)/share/man/man1/oncectl.1
	install -d $(DESTDIR)$(PREFIX)/share/spoa-once/haproxy-conf
	cp -r haproxy-conf/attach haproxy-conf/demo haproxy-conf/gateway haproxy-conf/redis-tls haproxy-conf/sites $(DESTDIR)$(PREFIX)/share/spoa-once/haproxy-conf/

man: all ## build/man/: spoa-once(8), spoa-once.conf(5), oncectl(1)
	@tools/man $(BUILD)

deb: ## build/deb/: the Debian package, and what lintian says of it
	@tools/deps deb
	@tools/deb $(BUILD)/deb

test-fresh: ## what the README says, in bare containers of Debian 12 and 13; MATRIX=trixie chooses (needs a Docker engine)
	@tools/deps images
	@tools/test-fresh $(MATRIX)

test-deb: ## the package in bare Debian 12 and 13: install, start, upgrade, purge; MATRIX=trixie chooses (as root)
	@tools/deps matrix
	@tools/test-deb $(MATRIX)

clean: ## remove build/
	rm -rf $(BUILD)
