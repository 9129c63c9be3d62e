# SPDX-License-Identifier: GPL-2.0-only
#
# Makes the 7.3 API available to every object in ublk_drv-y, whatever the kernel: asks the
# kernel's headers what they have (probe.mk), then includes compat.h before each source file.

include $(src)/compat/probe.mk

ublk_drv-y += $(patsubst $(src)/compat/%.c,compat/%.o, \
		$(filter-out %/probe-control.c,$(wildcard $(src)/compat/*.c)))

# A kernel's own include/uapi/linux/ublk_cmd.h is older than ours, and the kernel's include
# path comes before ccflags-y: only LINUXINCLUDE can put ours first.
LINUXINCLUDE := -I$(src)/../uapi $(LINUXINCLUDE)

# -idirafter: a header in fallback/ is found only where the kernel has none of that name.
ccflags-y += -I$(src) -I$(obj)/compat -idirafter $(src)/compat/fallback
ccflags-y += -include $(src)/compat/compat.h

$(addprefix $(obj)/,$(ublk_drv-y)): $(obj)/compat/config.h
