# SPDX-License-Identifier: GPL-2.0-only
#
# Asks the target kernel's headers, not its version number, which API it has: every
# compat/probe/NAME.c that compiles becomes "#define COMPAT_HAVE_NAME 1" in compat/config.h.

compat-probes := $(sort $(wildcard $(src)/compat/probe/*.c))
compat-answers := $(patsubst $(src)/compat/probe/%.c,$(obj)/compat/probe/%.answer,$(compat-probes))

compat-cflags = $(NOSTDINC_FLAGS) $(LINUXINCLUDE) \
		-include $(srctree)/include/linux/compiler_types.h \
		-idirafter $(src)/compat/fallback \
		$(KBUILD_CPPFLAGS) $(KBUILD_CFLAGS) $(KBUILD_CFLAGS_MODULE) -DMODULE \
		-DKBUILD_MODNAME='"probe"' -DKBUILD_BASENAME='"probe"' \
		-DKBUILD_MODFILE='"probe"' -D__KBUILD_MODNAME=kmod_probe \
		-Werror -Wno-missing-prototypes -Wno-missing-declarations -fsyntax-only

# The packages keep their build's time stamps, so a newer package can have older files than
# our answers: the identity of the headers is part of the command, and if_changed compares that.
compat-headers := $(shell cd $(srctree)/include && \
		stat -L -c '%n %s %Y' linux/*.h linux/*/*.h | cksum | tr ' ' -)

compat-name = $(shell echo $(basename $(notdir $<)) | tr a-z A-Z)

quiet_cmd_compat_control = PROBE   $@
      cmd_compat_control = : $(compat-headers); \
	$(CC) $(compat-cflags) $< || \
		{ echo "compat: $< must compile with every kernel, else all answers are wrong" >&2; \
		  exit 1; }; \
	touch $@

$(obj)/compat/probe-control.ok: $(src)/compat/probe-control.c FORCE
	$(call if_changed,compat_control)

quiet_cmd_compat_probe = PROBE   $@
      cmd_compat_probe = : $(compat-headers); \
	if $(CC) $(compat-cflags) $< 2>$@.log; then answer=1; else answer=0; fi; \
	echo "\#define COMPAT_HAVE_$(compat-name) $$answer" >$@

$(compat-answers): $(obj)/compat/probe/%.answer: $(src)/compat/probe/%.c \
		$(obj)/compat/probe-control.ok FORCE
	$(call if_changed,compat_probe)

quiet_cmd_compat_config = GEN     $@
      cmd_compat_config = cat $(compat-answers) >$@

$(obj)/compat/config.h: $(compat-answers) FORCE
	$(call if_changed,compat_config)

targets += compat/config.h compat/probe-control.ok
targets += $(patsubst $(obj)/%,%,$(compat-answers))
clean-files += compat/config.h compat/probe-control.ok compat/probe/*.answer compat/probe/*.log
