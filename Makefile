# SPDX-License-Identifier: GPL-2.0-or-later
# The front door: `make help` lists what can be done. The work is in kernel/Makefile (module),
# CMakeLists.txt (userspace), selftests/Makefile and scripts/.

ROOT := $(abspath $(dir $(lastword $(MAKEFILE_LIST))))
PREFIX ?= /usr/local
DESTDIR ?=
JOBS ?= $(shell nproc)
INSTALL ?= install

RELEASE := $(ROOT)/build/release
ASAN := $(ROOT)/build/asan
CLANG := $(ROOT)/build/clang

# Only the last build system asked for is set up again when something of it changes.
cmake_build = cmake -S $(ROOT) -B $(1) -G Ninja $(2) >$(1).configure.log 2>&1 || \
	{ cat $(1).configure.log >&2; exit 1; }; cmake --build $(1) -j $(JOBS)

# The kernel a module file is for, and where that kernel looks for modules newer than its own.
module_release = $(shell modinfo -F vermagic $(ROOT)/kernel/ublk_drv.ko | cut -d ' ' -f 1)
module_dir = $(DESTDIR)/lib/modules/$(module_release)/updates

all: module programs ## build the module, the daemon and the test programs

help: ## list these targets
	@sed -n 's/^\([a-z-]*\):[^#]*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | \
		while IFS='|' read -r target what; do printf '  make %-12s %s\n' "$$target" "$$what"; done

module: ## build kernel/ublk_drv.ko (KVER= or KDIR= choose a kernel)
	$(MAKE) --no-print-directory -C $(ROOT)/kernel

programs: userspace ## build the daemon, the library, the examples and the test programs
	$(MAKE) --no-print-directory -C $(ROOT)/selftests

userspace: tools
	@mkdir -p $(ROOT)/build
	$(call cmake_build,$(RELEASE),-DBUILD_TESTING=OFF)

# The same sources under the sanitizers, with the unit tests.
asan: tools
	@mkdir -p $(ROOT)/build
	$(call cmake_build,$(ASAN),-DUBLK_SANITIZE=ON -DCMAKE_BUILD_TYPE=Debug)

# And with the other compiler, for what that warns of: none of it is run, so it is not optimised, nor
# put where the tests look for the daemon. Each file has to find what it needs by its own includes there.
clang: tools
	@mkdir -p $(ROOT)/build
	$(call cmake_build,$(CLANG),-DCMAKE_CXX_COMPILER=clang++ -DCMAKE_BUILD_TYPE=None \
		-DCMAKE_DISABLE_PRECOMPILE_HEADERS=ON -DUBLK_DAEMON_DIR=$(CLANG))

unit: asan ## run the unit tests under the sanitizers
	ctest --test-dir $(ASAN) --output-on-failure -j $(JOBS)

tools:
	@command -v cmake ninja >/dev/null || \
		{ echo "cmake or ninja is missing: run scripts/setup build" >&2; exit 1; }

demo: ## show the main job in a virtual machine, on real data
	$(ROOT)/scripts/setup
	$(ROOT)/scripts/demo

check: ## run every test that CI runs
	$(ROOT)/scripts/check-all

check-full: ## run all suites on all kernels and drivers as well
	$(ROOT)/scripts/check-all --full

patch: ## write build/ublk-7.3.patch, the driver as a patch to the kernel's tree
	$(ROOT)/scripts/setup upstream toolchain
	$(ROOT)/scripts/make-patch

install: module install-userspace ## install into DESTDIR and PREFIX
	$(INSTALL) -D -m 644 $(ROOT)/kernel/ublk_drv.ko $(module_dir)/ublk_drv.ko
	$(if $(DESTDIR),,depmod $(module_release))

install-userspace: userspace ## install all but the module
	cmake -DCMAKE_INSTALL_PREFIX=$(PREFIX) $(RELEASE) >/dev/null
	DESTDIR=$(DESTDIR) cmake --install $(RELEASE)

deb: ## build the Debian packages, build/deb/*.deb
	$(ROOT)/scripts/setup packages
	$(ROOT)/scripts/build-packages

clean: ## remove everything the build made
	$(MAKE) --no-print-directory -C $(ROOT)/kernel clean
	$(RM) -r $(ROOT)/build $(ROOT)/userspace/ublkd

.PHONY: all help module programs userspace asan clang unit tools demo check check-full patch install deb \
	install-userspace clean
