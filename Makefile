# lifeboat: make, make demo, make check; see README.md. Everything built goes to build/.
VERSION := 0.1.0
PREFIX ?= /usr/local
SYSCONFDIR ?= /etc
ifeq ($(origin CC),default)
CC := gcc
endif
PKGS := libpq libzstd libsodium libarchive libcrypto libxxhash jansson inih
O ?= build/$(if $(SAN),san-$(subst $(comma),-,$(SAN)),$(notdir $(CC)))
comma := ,

CFLAGS ?= -O2 -g
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-omit-frame-pointer -fno-sanitize-recover=all)
HARDEN := $(if $(SAN),,-D_FORTIFY_SOURCE=2) -fstack-protector-strong -fPIE
ALL_CFLAGS = -std=gnu17 -D_GNU_SOURCE -Iinclude -Isrc -DLIFEBOAT_VERSION='"$(VERSION)"' -Wall -Wextra -Werror \
	-Wshadow -Wstrict-prototypes -Wmissing-prototypes -Wpointer-arith -Wvla -Wformat=2 -pthread \
	$(HARDEN) $(SANFLAGS) $(shell pkg-config --cflags $(PKGS)) $(CFLAGS)
ALL_LDFLAGS = -pthread $(SANFLAGS) -pie -Wl,-z,relro,-z,now $(LDFLAGS)
LIBS = $(shell pkg-config --libs $(PKGS))

LIB_SRC := $(sort $(wildcard $(addprefix src/,$(addsuffix /*.c,base config codec store repo policy source target run))))
CMD_SRC := $(sort $(wildcard src/cmd/*.c))
TEST_SRC := $(sort $(wildcard tests/unit/test_*.c))
TEST_HELP := $(filter-out $(TEST_SRC),$(sort $(wildcard tests/unit/*.c)))
FUZZ_SRC := $(sort $(wildcard tests/fuzz/fuzz_*.c))
LIB_OBJ := $(LIB_SRC:%.c=$(O)/%.o)
CMD_OBJ := $(CMD_SRC:%.c=$(O)/%.o)
TESTS := $(TEST_SRC:tests/unit/%.c=$(O)/tests/%)
FUZZ_REPLAY := $(FUZZ_SRC:tests/fuzz/%.c=$(O)/replay/%)

Q := $(if $(V),,@)

all: $(O)/lifeboat
unit: $(TESTS)

$(O)/lifeboat: $(CMD_OBJ) $(O)/liblifeboat.a
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS)
	@ln -sfn $(notdir $(O))/lifeboat build/lifeboat

$(O)/liblifeboat.a: $(LIB_OBJ)
	@rm -f $@
	$(Q)ar rcs $@ $^

$(O)/%.o: %.c
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_CFLAGS) -MMD -MP -c -o $@ $<

$(O)/tests/%: $(O)/tests/unit/%.o $(TEST_HELP:%.c=$(O)/%.o) $(O)/liblifeboat.a
	@mkdir -p $(@D)
	$(Q)$(CC) $(ALL_LDFLAGS) -o $@ $^ $(LIBS) -lcmocka

.PHONY: all unit
.SECONDARY:
-include $(LIB_OBJ:.o=.d) $(CMD_OBJ:.o=.d) $(TEST_SRC:%.c=$(O)/%.d) $(TEST_HELP:%.c=$(O)/%.d)
