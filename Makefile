# lifeboat: make, make demo, make check, make deb; see README.md. Everything that is built goes to build/.
VERSION := 0.1.0
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
ZSHDIR ?= site-functions
ifeq ($(origin CC),default)
CC := gcc
endif
comma := ,
O ?= build/$(if $(SAN),san-$(subst $(comma),-,$(SAN)),$(notdir $(CC)))
Q := $(if $(V),,@)

PKGS := libpq libzstd libsodium libarchive libcrypto libcurl libxxhash jansson inih libseccomp yaml-0.1
CFLAGS ?= -O2 -g
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
HARDEN := $(if $(SAN),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fPIE
# libs3 has no pkg-config file.
# pkg-config is asked once, and only when something is compiled: its package may have to be installed first.
PKG_CFLAGS = $(eval PKG_CFLAGS := $$(shell pkg-config --cflags $(PKGS)))$(PKG_CFLAGS)
LIBS = $(eval LIBS := -ls3 $$(shell pkg-config --libs $(PKGS)))$(LIBS)
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -Iinclude -Isrc -DLIFEBOAT_VERSION='"$(VERSION)"' -Wall -Wextra -Werror \
	-Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wformat=2 -pthread \
	$(HARDEN) $(SANFLAGS) $(PKG_CFLAGS) $(CFLAGS)
ALL_LDFLAGS = -pthread $(SANFLAGS) -pie -Wl,-z,relro,-z,now $(LDFLAGS)

LIB_SRC := $(sort $(wildcard $(addprefix src/,$(addsuffix /*.c,base config compose codec store repo policy source target drill report run))))
CMD_SRC := $(sort $(wildcard src/cmd/*.c))
TEST_SRC := $(sort $(wildcard tests/unit/test_*.c))
TEST_HELP := $(filter-out tests/unit/test_%,$(sort $(wildcard tests/unit/*.c)))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
FUZZ_HELP := tests/fuzz/world.c
BATS := $(sort $(wildcard tests/cli/*.bats))
LIB_OBJ := $(LIB_SRC:%.c=$(O)/%.o)
CMD_OBJ := $(CMD_SRC:%.c=$(O)/%.o)
TESTS := $(TEST_SRC:tests/unit/%.c=$(O)/tests/%)
TORTURE := $(patsubst tests/%.c,$(O)/%.so,$(wildcard tests/torture/*.c))
REPLAY := $(FUZZ_SRC:tests/fuzz/%.c=$(O)/replay/%)
FUZZERS = $(addprefix $(FUZZ_DIR)/bin/,$(if $(filter memory,$(FUZZ_SAN)),$(FUZZ_MEMORY:%=fuzz_%),$(FUZZ_SRC:tests/fuzz/%.c=%)))
FUZZ_SECONDS ?= 60

all: $(O)/lifeboat
unit: $(TESTS)

$(O)/lifeboat: $(CMD_OBJ) $(O)/liblifeboat.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)
	@ln -sfn $(patsubst build/%,%,$(O))/lifeboat build/lifeboat

$(O)/liblifeboat.a: $(LIB_OBJ)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(O)/tests/%: $(O)/tests/unit/%.o $(TEST_HELP:%.c=$(O)/%.o) $(O)/liblifeboat.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

# What is preloaded to see and to disturb a program's calls.
$(O)/torture/%.so: tests/torture/%.c $(wildcard tests/torture/*.h)
	@mkdir -p $(@D)
	$(Q)$(CC) -std=gnu17 -D_GNU_SOURCE -Wall -Wextra -Werror -O2 -g -fPIC -shared -o $@ $<

# A fuzz target with a main() that feeds it files: how `make check` replays the corpus with any compiler.
$(O)/replay/%: $(O)/tests/fuzz/%.o $(FUZZ_HELP:%.c=$(O)/%.o) $(O)/tests/fuzz/replay.o $(O)/liblifeboat.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)

# ---- the two commands of the README, and what CI runs ----
packages:
	@tests/lib/packages build test
# As whom drills run their servers; only root can make it.
user:
	@[ "$$(id -u)" != 0 ] || id lifeboat-drill >/dev/null 2>&1 || useradd --system --user-group --no-create-home \
	--home-dir /nonexistent --shell /usr/sbin/nologin lifeboat-drill
demo: packages user
	@$(MAKE) --no-print-directory all
	@LIFEBOAT=$(abspath $(O))/lifeboat tests/demo
check: packages user
	@$(MAKE) --no-print-directory all unit replay $(TORTURE)
	@O=$(O) tests/run $(TESTS) -- $(REPLAY) -- $(BATS)
replay: $(REPLAY)

# ---- for developers ----
lint:
	@tests/lib/packages build test lint
	@tests/lint
# FUZZ_SAN=memory: for the targets whose bytes come out of no library that is compiled without it.
FUZZ_SAN ?= address,undefined
FUZZ_MEMORY := catalog fingerprint index pack pg_archive pg_script run_cache s3_xml snapshot state
FUZZ_DIR := build/fuzz$(if $(filter memory,$(FUZZ_SAN)),-memory)
fuzz:
	@tests/lib/packages build lint
	@$(MAKE) --no-print-directory CC=clang SAN=$(FUZZ_SAN) O=$(FUZZ_DIR) SANFLAGS="-fsanitize=$(FUZZ_SAN)$(comma)fuzzer-no-link \
	-fno-sanitize-recover=all -fno-omit-frame-pointer" CFLAGS="-O1 -g" fuzzers
	@for f in $(FUZZERS); do n=$${f##*/fuzz_}; mkdir -p $(FUZZ_DIR)/corpus/$$n; \
	echo "fuzz: $$n, $(FUZZ_SECONDS) s"; $$f -max_total_time=$(FUZZ_SECONDS) -rss_limit_mb=1024 -print_final_stats=1 \
	-artifact_prefix=$(FUZZ_DIR)/$$n- $(FUZZ_DIR)/corpus/$$n tests/fuzz/corpus/$$n 2>$(FUZZ_DIR)/$$n.log || \
	{ tail -40 $(FUZZ_DIR)/$$n.log; failed="$$failed $$n"; }; grep -E 'number_of_executed|new_units' $(FUZZ_DIR)/$$n.log; done; \
	[ -z "$$failed" ] || { echo "fuzz: failed:$$failed; the input is in $(FUZZ_DIR)"; exit 1; }
fuzzers: $(FUZZERS)
$(FUZZ_DIR)/bin/%: $(FUZZ_DIR)/tests/fuzz/%.o $(FUZZ_HELP:%.c=$(FUZZ_DIR)/%.o) $(FUZZ_DIR)/liblifeboat.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -fsanitize=fuzzer -o $@ $^ $(LIBS)

# `make check` with counters in the program, and what of the library's lines it ran (docs/coverage.md).
# Counts are written where a process ends, and not before it becomes another program: some do that in a cage.
COVER := CC=gcc O=build/cover HARDEN=-fPIE CFLAGS="-O0 -g --coverage -fprofile-update=atomic -fno-builtin-execvp" LDFLAGS=--coverage
COVER_LEAST := 90
cover:
	@tests/lib/packages build test
	@$(MAKE) --no-print-directory $(COVER) all unit replay
	@tests/lib/cover.py build/cover clear
	@GCOV_ERROR_FILE=/dev/null $(MAKE) --no-print-directory $(COVER) check || failed=yes; \
	[ ! -e $(O)/lifeboat ] || ln -sfn $(patsubst build/%,%,$(O))/lifeboat build/lifeboat; \
	tests/lib/cover.py build/cover report $(COVER_LEAST) && [ -z "$$failed" ]
# The protocol is searched; then the code plays it, at random and in each order that counts.
model: PROTOCOL := $(addprefix $(O)/tests/test_,order prune sharing gc)
model:
	@tests/lib/packages build test model
	@$(MAKE) --no-print-directory $(PROTOCOL)
	@tests/model/run
	@O=$(O) LIFEBOAT_GC_SECONDS=$(or $(LIFEBOAT_GC_SECONDS),120) tests/run $(PROTOCOL) -- --
# Takes each guard of the code out and wants a test to fail (tests/guards).
guards: packages user
	@tests/lib/packages build test lint
	@tests/guards/run
bench: user
	@tests/lib/packages build test bench
	@$(MAKE) --no-print-directory all
	@LIFEBOAT=$(abspath $(O))/lifeboat tests/bench
growth: packages all
	@LIFEBOAT=$(abspath $(O))/lifeboat tests/growth

# The program under torture has sanitizers in it, as far as a preloaded library goes together with them: clang's.
torture: packages user
	@tests/lib/packages build lint
	@$(MAKE) --no-print-directory all $(TORTURE)
	@$(MAKE) --no-print-directory CC=clang SAN=address,undefined O=build/torture CFLAGS="-O1 -g" build/torture/lifeboat
	@ln -sfn $(patsubst build/%,%,$(O))/lifeboat build/lifeboat
	@LIFEBOAT=$(abspath $(O))/lifeboat TORTURE_SAN=$(abspath build/torture)/lifeboat BUILD=$(abspath $(O)) tests/torture/torture

# Cross-built for arm64 against libraries that are unpacked below build/, and run by qemu-user.
ARM64_ROOT := build/arm64-root
arm64:
	@tests/lib/packages build arm64
	@tests/arm64 root $(ARM64_ROOT)
	@PKG_CONFIG_SYSROOT_DIR=$(abspath $(ARM64_ROOT)) \
	PKG_CONFIG_LIBDIR=$(abspath $(ARM64_ROOT))/usr/lib/aarch64-linux-gnu/pkgconfig:$(abspath $(ARM64_ROOT))/usr/share/pkgconfig \
	$(MAKE) --no-print-directory O=build/arm64 CC="aarch64-linux-gnu-gcc --sysroot=$(abspath $(ARM64_ROOT))" \
	build/arm64/liblifeboat.a $(TESTS:$(O)/%=build/arm64/%) build/arm64/lifeboat
	@ln -sfn $(patsubst build/%,%,$(O))/lifeboat build/lifeboat
	@tests/arm64 run build/arm64 $(ARM64_ROOT) $(TESTS:$(O)/%=build/arm64/%)

install: all $(if $(DESTDIR),,user)
	install -d $(DESTDIR)$(PREFIX)/bin $(DESTDIR)$(PREFIX)/share/man/man1 $(DESTDIR)$(PREFIX)/share/man/man5 \
	$(DESTDIR)$(PREFIX)/share/doc/lifeboat $(DESTDIR)$(SYSCONFDIR)/lifeboat
	install -m 755 $(O)/lifeboat $(DESTDIR)$(PREFIX)/bin/lifeboat
	install -m 644 docs/man/*.1 $(DESTDIR)$(PREFIX)/share/man/man1
	install -m 644 docs/man/*.5 $(DESTDIR)$(PREFIX)/share/man/man5
	install -D -m 644 conf/completion/lifeboat.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/lifeboat
	install -D -m 644 conf/completion/_lifeboat $(DESTDIR)$(PREFIX)/share/zsh/$(ZSHDIR)/_lifeboat
	install -m 644 README.md LICENSE CHANGELOG.md conf/lifeboat.conf docs/runbook.md docs/format.md docs/fingerprint.md docs/catalog.md docs/retention.md \
	docs/off-site.md docs/security.md tests/reader/lifeboat-read.py $(DESTDIR)$(PREFIX)/share/doc/lifeboat
	cd conf && find examples notify prometheus grafana -type f -exec install -D -m 644 {} $(abspath $(DESTDIR)$(PREFIX))/share/doc/lifeboat/{} \;
	install -D -m 644 -t $(DESTDIR)$(PREFIX)/lib/systemd/system systemd/*.timer
	for u in systemd/*.service; do \
	sed 's|/usr/local/bin|$(PREFIX)/bin|' $$u >$(DESTDIR)$(PREFIX)/lib/systemd/system/$${u#systemd/} || exit 1; done
	install -D -m 644 systemd/lifeboat.sysusers $(DESTDIR)$(PREFIX)/lib/sysusers.d/lifeboat.conf
uninstall:
	rm -f $(patsubst systemd/%,$(DESTDIR)$(PREFIX)/lib/systemd/system/%,$(wildcard systemd/*.service systemd/*.timer)) $(DESTDIR)$(PREFIX)/lib/sysusers.d/lifeboat.conf
	rm -f $(DESTDIR)$(PREFIX)/bin/lifeboat $(patsubst docs/man/%,$(DESTDIR)$(PREFIX)/share/man/man1/%,$(wildcard docs/man/*.1)) \
	$(DESTDIR)$(PREFIX)/share/man/man5/lifeboat.conf.5 $(DESTDIR)$(PREFIX)/share/bash-completion/completions/lifeboat \
	$(DESTDIR)$(PREFIX)/share/zsh/$(ZSHDIR)/_lifeboat
	rm -rf $(DESTDIR)$(PREFIX)/share/doc/lifeboat
# A Debian package; conf/debian/README.Debian says what it does with what it finds.
DEB ?= $(O)/deb
deb: export SOURCE_DATE_EPOCH ?= $(shell git log -1 --format=%ct 2>/dev/null || date -u -r CHANGELOG.md +%s)
deb: all
	@command -v dpkg-shlibdeps >/dev/null || tests/lib/packages deb
	@rm -rf $(DEB)/root && mkdir -p $(DEB)
	@umask 022; $(MAKE) --no-print-directory -s install O=$(O) DESTDIR=$(abspath $(DEB))/root PREFIX=/usr SYSCONFDIR=/etc ZSHDIR=vendor-completions
	@conf/debian/build $(abspath $(DEB))/root $(abspath $(DEB)) $(VERSION)
clean:
	rm -rf build

.PHONY: all unit packages user demo check replay lint fuzz fuzzers cover model guards torture arm64 bench growth install uninstall deb clean
.SECONDARY:
-include $(LIB_OBJ:.o=.d) $(CMD_OBJ:.o=.d) $(TEST_SRC:%.c=$(O)/%.d) $(TEST_HELP:%.c=$(O)/%.d) $(FUZZ_SRC:%.c=$(O)/%.d)
