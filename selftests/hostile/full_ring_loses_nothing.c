// SPDX-License-Identifier: GPL-2.0-only
/*
 * A server of batches whose completion queue is full is told of its requests later: its FETCH ends, and
 * they wait for the next one. No I/O fails for that, and if the server dies they are taken back.
 */
// # timeout: 120
#include <kselftest_harness.h>

#include <errno.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "raw_batch.h"

#define DEPTH RAW_BATCH_DEPTH
#define BYTES RAW_BATCH_BYTES
#define ENTRIES 2		/* of the submission queue */
#define PLACES (2 * ENTRIES)	/* in the completion queue */

FIXTURE(ring)
{
	struct raw_device device;
	struct batch_server server;
	struct raw_io io[DEPTH];
	char *shared;	/* where they read to, and the server writes to */
};

FIXTURE_VARIANT(ring)
{
	__u64 flags;
};

FIXTURE_VARIANT_ADD(ring, plain) { .flags = 0 };
FIXTURE_VARIANT_ADD(ring, with_user_copy) { .flags = UBLK_F_USER_COPY };
FIXTURE_VARIANT_ADD(ring, with_shared_memory) { .flags = UBLK_F_SHMEM_ZC };

/* Of @count tags from @first on. */
static int command(struct batch_server *server, unsigned int op, unsigned int first,
		   unsigned int count, int result)
{
	struct ublk_batch_io header = batch_header(count);
	struct ublk_elem_header heads[DEPTH] = {};
	struct batch_element elements[DEPTH];
	unsigned int i;

	for (i = 0; i < count; i++) {
		elements[i] = batch_element(server, first + i, result);
		heads[i] = elements[i].header;
	}
	if (raw_wants_addresses(&server->device->info))
		return batch_command(server, op, &header, elements);
	header.flags = 0;
	header.elem_bytes = sizeof(heads[0]);
	return batch_command(server, op, &header, heads);
}

static int reg(int id, void *memory, size_t size)
{
	struct ublk_shmem_buf_reg buffer = { .addr = (unsigned long)memory, .len = size };
	struct ublksrv_ctrl_cmd cmd = raw_command_for(id);

	cmd.addr = (unsigned long)&buffer;
	cmd.len = sizeof(buffer);
	return raw_control(UBLK_U_CMD_REG_BUF, &cmd);
}

static int unreg(int id)
{
	struct ublksrv_ctrl_cmd cmd = raw_command_for(id);

	return raw_control(UBLK_U_CMD_UNREG_BUF, &cmd);
}

FIXTURE_SETUP(ring)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, DEPTH);

	raw_none(&self->device, NULL);
	self->server.chr = -1;
	self->server.ring.fd = -1;
	info.flags = UBLK_F_BATCH_IO | UBLK_F_NO_AUTO_PART_SCAN | variant->flags;
	info.max_io_buf_bytes = BYTES;
	ASSERT_EQ(0, raw_add_with(&self->device, &info));
	ASSERT_EQ(info.flags, self->device.info.flags & info.flags);
	ASSERT_EQ(0, batch_open(&self->server, &self->device));
	raw_ring_close(&self->server.ring);
	ASSERT_EQ(0, raw_ring_open(&self->server.ring, ENTRIES, 0));
	ASSERT_EQ(PLACES, self->server.ring.cq_mask + 1);
	ASSERT_EQ(0, command(&self->server, UBLK_U_IO_PREP_IO_CMDS, 0, DEPTH, 0));
	batch_provide_many(&self->server, DEPTH);
	ASSERT_EQ(0, batch_go(&self->server));
	self->shared = mmap(NULL, DEPTH * BYTES, PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, self->shared);
	memset(self->shared, 0xee, DEPTH * BYTES);
	if (variant->flags & UBLK_F_SHMEM_ZC)
		ASSERT_EQ(0, reg(self->device.id, self->shared, DEPTH * BYTES));
}

FIXTURE_TEARDOWN(ring)
{
	batch_close(&self->server);
	EXPECT_EQ(0, raw_destroy(&self->device));
	munmap(self->shared, DEPTH * BYTES);
}

static unsigned int completions(const struct raw_ring *ring)
{
	return __atomic_load_n(ring->cq_tail, __ATOMIC_ACQUIRE) - *ring->cq_head;
}

static bool has_overflown(const struct raw_ring *ring)
{
	return __atomic_load_n(ring->sq_flags, __ATOMIC_ACQUIRE) & IORING_SQ_CQ_OVERFLOW;
}

static int start_read(FIXTURE_DATA(ring) *self, unsigned int i)
{
	return raw_io_start(&self->io[i], &self->device, RAW_READ, self->shared + i * BYTES, BYTES,
			    RAW_TEST_OFFSET + i * BYTES);
}

/* Reads for all tags, of which the server is told of as many as there are places. */
static void fill_ring(struct __test_metadata *_metadata, FIXTURE_DATA(ring) *self)
{
	const struct raw_ring *ring = &self->server.ring;
	long long end = raw_now_ms() + RAW_DEADLINE;
	unsigned int i;

	for (i = 0; i < PLACES; i++) {
		ASSERT_EQ(0, start_read(self, i));
		while (completions(ring) < i + 1 && raw_now_ms() < end)
			raw_pause();
		ASSERT_EQ(i + 1, completions(ring));
	}
	ASSERT_FALSE(has_overflown(ring));
	ASSERT_EQ(0, start_read(self, i++));
	while (!has_overflown(ring) && raw_now_ms() < end)
		raw_pause();
	ASSERT_TRUE(has_overflown(ring));
	while (i < DEPTH)
		ASSERT_EQ(0, start_read(self, i++));
	ASSERT_EQ(0, raw_await_reads(&self->device, DEPTH));
	for (i = 0; i < DEPTH; i++)
		EXPECT_FALSE(atomic_load(&self->io[i].done));
}

static bool all_done(FIXTURE_DATA(ring) *self)
{
	unsigned int i, done = 0;

	for (i = 0; i < DEPTH; i++)
		done += atomic_load(&self->io[i].done);
	return done == DEPTH;
}

TEST_F(ring, is_served_when_it_has_room_again)
{
	long long end = raw_now_ms() + RAW_DEADLINE;
	struct batch_server *server = &self->server;
	unsigned int i, answered = 0;
	int ended = 0;

	fill_ring(_metadata, self);
	while (!all_done(self) && raw_now_ms() < end) {
		batch_pump(server, 20);
		while (server->caught) {
			unsigned int tag = server->queue[--server->caught];

			EXPECT_LT(0, command(server, UBLK_U_IO_COMMIT_IO_CMDS, tag, 1, BYTES));
			answered++;
		}
		/* One buffer went with the completion that there was no place for. */
		if (!server->fetching) {
			ended = ended ?: server->fetch_result;
			server->spare = 0;
		}
		batch_keep_fetching(server);
	}
	EXPECT_EQ(-ENOBUFS, ended);
	EXPECT_EQ(DEPTH, answered);
	for (i = 0; i < DEPTH; i++)
		EXPECT_EQ(BYTES, raw_io_wait(&self->io[i], NULL, RAW_DEADLINE));
	/* Nothing is in the shared memory any more. */
	if (variant->flags & UBLK_F_SHMEM_ZC)
		EXPECT_EQ(0, unreg(self->device.id));
}

TEST_F(ring, is_closed)
{
	unsigned int i;

	fill_ring(_metadata, self);
	batch_close(&self->server);
	for (i = 0; i < DEPTH; i++) {
		ssize_t ret = raw_io_wait(&self->io[i], NULL, RAW_DEATH_DEADLINE);

		EXPECT_EQ(-EIO, ret);
	}
}

static void __attribute__((constructor)) need_feature(void)
{
	raw_require_feature(UBLK_F_BATCH_IO, "BATCH_IO");
}

TEST_HARNESS_MAIN
