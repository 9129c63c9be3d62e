// SPDX-License-Identifier: GPL-2.0-or-later
// Calls every inline function of the uapi header with sample values and prints what comes back, so
// that two headers can be compared by their output.
#include <stdio.h>

#include <linux/ublk_cmd.h>

static const __u64 samples[] = {
	0,
	1,
	0x5a,
	0xff,
	0x100,
	0xffff,
	0x10000,
	0x00ff0000,
	0x01020304,
	0x80000000,
	0xffffffff,
	0x100000000,
	0xffff00000000,
	0x0123456789abcdef,
	0xfedcba9876543210,
	0x8000000000000000,
	0xffffffffffffffff,
};

static void show_descriptor(__u64 value)
{
	struct ublksrv_io_desc descriptor = { .op_flags = (__u32)value };

	printf("call op(%llx) = %x, flags = %x\n", value, ublksrv_get_op(&descriptor),
	       ublksrv_get_flags(&descriptor));
}

static void show_auto_buffer(__u64 value)
{
	struct ublk_auto_buf_reg buffer = ublk_sqe_addr_to_auto_buf_reg(value);

	printf("call auto_buf(%llx) = %x %x %x %x, back %llx\n", value, buffer.index,
	       buffer.flags, buffer.reserved0, buffer.reserved1,
	       ublk_auto_buf_reg_to_sqe_addr(&buffer));
}

static void show_shared_memory(__u64 value)
{
	printf("call shmem(%llx) = index %x, offset %x, address %llx\n", value,
	       ublk_shmem_zc_index(value), ublk_shmem_zc_offset(value),
	       ublk_shmem_zc_addr((__u16)(value >> 16), (__u32)value));
}

int main(void)
{
	for (unsigned int i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
		show_descriptor(samples[i]);
		show_auto_buffer(samples[i]);
		show_shared_memory(samples[i]);
	}
	return 0;
}
