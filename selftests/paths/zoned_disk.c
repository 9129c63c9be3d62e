// SPDX-License-Identifier: GPL-2.0-only
/*
 * UBLK_F_ZONED: reports, sequential writes, and the operations on zones. What a server says about
 * its zones is not believed unseen.
 */
// # timeout: 300
#include <kselftest_harness.h>

#include <fcntl.h>
#include <sys/ioctl.h>

#include "zoned_server.h"

#define LENGTH 16384

FIXTURE(zoned)
{
	struct raw_device device;
	struct disk *disk;
	pid_t server;
	int fd;
	char *memory;
};

FIXTURE_SETUP(zoned)
{
	self->fd = -1;
	self->memory = raw_pages(LENGTH);
	ASSERT_EQ(0, zoned_add(&self->device, &self->disk, &self->server));
}

FIXTURE_TEARDOWN(zoned)
{
	if (self->fd >= 0)
		close(self->fd);
	EXPECT_EQ(0, zoned_remove(&self->device, self->server));
}

static void start(struct __test_metadata *_metadata, FIXTURE_DATA(zoned) *self)
{
	ASSERT_EQ(0, raw_start(self->device.id, self->server));
	self->fd = raw_open_block(self->device.id, O_RDWR | O_DIRECT);
	ASSERT_LE(0, self->fd);
}

static struct blk_zone look(struct __test_metadata *_metadata, FIXTURE_DATA(zoned) *self,
			    unsigned int zone)
{
	struct {
		struct blk_zone_report report;
		struct blk_zone zone;
	} all = { .report = { .sector = zone_start(zone), .nr_zones = 1 } };

	EXPECT_EQ(0, ioctl(self->fd, BLKREPORTZONE, &all));
	EXPECT_EQ(1, all.report.nr_zones);
	EXPECT_EQ(zone_start(zone), all.zone.start);
	return all.zone;
}

static int manage(FIXTURE_DATA(zoned) *self, unsigned long request, unsigned int zone,
		  unsigned int zones)
{
	struct blk_zone_range range = {
		.sector = zone_start(zone),
		.nr_sectors = zone_start(zones),
	};

	return ioctl(self->fd, request, &range) ? -errno : 0;
}

static int write_at(FIXTURE_DATA(zoned) *self, __u64 sector)
{
	ssize_t done;

	raw_fill(self->memory, sector << 9, LENGTH);
	done = pwrite(self->fd, self->memory, LENGTH, sector << 9);
	return done < 0 ? -errno : done;
}

static void read_attribute(int id, const char *name, char *value, size_t size)
{
	char path[96];
	int fd, got;

	snprintf(path, sizeof(path), "/sys/block/ublkb%d/queue/%s", id, name);
	fd = open(path, O_RDONLY);
	got = fd < 0 ? 0 : read(fd, value, size - 1);
	close(fd);
	value[got > 0 ? got : 0] = 0;
}

#define ATTRIBUTE(name, expected) do { \
	char value[128]; \
	read_attribute(self->device.id, name, value, sizeof(value)); \
	EXPECT_STREQ(expected "\n", value); \
} while (0)

TEST_F(zoned, the_disk_has_the_zones_of_its_server)
{
	struct {
		struct blk_zone_report report;
		struct blk_zone zones[ZONES + 1];
	} all = { .report = { .nr_zones = ZONES + 1 } };
	unsigned int i;

	start(_metadata, self);
	ATTRIBUTE("zoned", "host-managed");
	ATTRIBUTE("nr_zones", "16");
	ATTRIBUTE("chunk_sectors", "2048");
	ATTRIBUTE("max_open_zones", "4");
	ATTRIBUTE("max_active_zones", "6");
	ATTRIBUTE("zone_append_max_bytes", "32768");

	ASSERT_EQ(0, ioctl(self->fd, BLKREPORTZONE, &all));
	ASSERT_EQ(ZONES, all.report.nr_zones);
	for (i = 0; i < ZONES; i++) {
		EXPECT_EQ(zone_start(i), all.zones[i].start);
		EXPECT_EQ(ZONE_SECTORS, all.zones[i].len);
		EXPECT_EQ(i < CONVENTIONAL ? BLK_ZONE_TYPE_CONVENTIONAL :
					     BLK_ZONE_TYPE_SEQWRITE_REQ, all.zones[i].type);
	}
	/* a report that starts in the middle of a zone starts with that zone */
	all.report.sector = zone_start(7) + 8;
	all.report.nr_zones = 2;
	ASSERT_EQ(0, ioctl(self->fd, BLKREPORTZONE, &all));
	ASSERT_EQ(2, all.report.nr_zones);
	EXPECT_EQ(zone_start(7), all.zones[0].start);
	EXPECT_LT(0, atomic_load(&self->disk->operations[UBLK_IO_OP_REPORT_ZONES]));
}

TEST_F(zoned, writes_move_the_pointer)
{
	__u64 sector = zone_start(3);
	unsigned int i;

	start(_metadata, self);
	for (i = 0; i < 8; i++)
		ASSERT_EQ(LENGTH, write_at(self, sector + i * (LENGTH >> 9)));
	EXPECT_EQ(sector + 8 * (LENGTH >> 9), look(_metadata, self, 3).wp);
	EXPECT_TRUE(raw_matches(self->disk->data + (sector << 9), sector << 9, 8 * LENGTH));
	ASSERT_EQ(LENGTH, pread(self->fd, self->memory, LENGTH, (sector << 9) + LENGTH));
	EXPECT_TRUE(raw_matches(self->memory, (sector << 9) + LENGTH, LENGTH));
	/* not at the pointer */
	EXPECT_EQ(-EIO, write_at(self, sector));
	/* conventional zones are written anywhere */
	EXPECT_EQ(LENGTH, write_at(self, 512));
	EXPECT_EQ(LENGTH, write_at(self, 512));
}

TEST_F(zoned, zones_are_opened_closed_finished_and_reset)
{
	start(_metadata, self);
	EXPECT_EQ(0, manage(self, BLKOPENZONE, 4, 1));
	EXPECT_EQ(BLK_ZONE_COND_EXP_OPEN, look(_metadata, self, 4).cond);
	EXPECT_EQ(LENGTH, write_at(self, zone_start(4)));
	EXPECT_EQ(0, manage(self, BLKCLOSEZONE, 4, 1));
	EXPECT_EQ(BLK_ZONE_COND_CLOSED, look(_metadata, self, 4).cond);
	EXPECT_EQ(0, manage(self, BLKFINISHZONE, 4, 1));
	EXPECT_EQ(BLK_ZONE_COND_FULL, look(_metadata, self, 4).cond);
	EXPECT_EQ(0, manage(self, BLKRESETZONE, 4, 1));
	EXPECT_EQ(BLK_ZONE_COND_EMPTY, look(_metadata, self, 4).cond);
	EXPECT_EQ(LENGTH, write_at(self, zone_start(4)));
	EXPECT_EQ(0, manage(self, BLKFINISHZONE, 5, 3));
	EXPECT_EQ(BLK_ZONE_COND_FULL, look(_metadata, self, 7).cond);
	EXPECT_EQ(0, manage(self, BLKRESETZONE, 0, ZONES));
	EXPECT_EQ(BLK_ZONE_COND_EMPTY, look(_metadata, self, 4).cond);
	EXPECT_EQ(BLK_ZONE_COND_EMPTY, look(_metadata, self, 7).cond);
	EXPECT_EQ(LENGTH, write_at(self, zone_start(7)));
	EXPECT_LT(0, atomic_load(&self->disk->operations[UBLK_IO_OP_ZONE_OPEN]));
	EXPECT_LT(0, atomic_load(&self->disk->operations[UBLK_IO_OP_ZONE_CLOSE]));
	EXPECT_LT(0, atomic_load(&self->disk->operations[UBLK_IO_OP_ZONE_FINISH]));
	EXPECT_LT(0, atomic_load(&self->disk->operations[UBLK_IO_OP_ZONE_RESET]));
	EXPECT_LT(0, atomic_load(&self->disk->operations[UBLK_IO_OP_ZONE_RESET_ALL]));
}

TEST_F(zoned, a_server_that_lies_about_zones_does_not_start)
{
	static const enum lie lies[] = { START, LEN, CAPACITY, NO_CAPACITY, TYPE, COND,
					 COND_OF_OTHERS, POINTER, POINTER_BEFORE, FEW, NONE,
					 ERROR };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(lies); i++) {
		self->disk->lie = lies[i];
		EXPECT_GT(0, raw_start(self->device.id, self->server)) {
			TH_LOG("lie %u", lies[i]);
		}
	}
	self->disk->lie = HONEST;
	start(_metadata, self);
	self->disk->lie = POINTER;
	EXPECT_EQ(-1, ioctl(self->fd, BLKREPORTZONE, &(struct {
		struct blk_zone_report report;
		struct blk_zone zones[ZONES];
	}) { .report = { .nr_zones = ZONES } }));
	self->disk->lie = HONEST;
}

TEST_F(zoned, a_server_that_dies_during_a_report_does_not_block_the_start)
{
	struct ublksrv_ctrl_cmd command = raw_command_for(self->device.id);
	struct raw_control control;

	atomic_store(&self->disk->hang, 1);
	command.data[0] = self->server;
	ASSERT_EQ(0, raw_control_begin(&control, UBLK_U_CMD_START_DEV, &command));
	ASSERT_EQ(0, raw_await(&self->disk->operations[UBLK_IO_OP_REPORT_ZONES], 1,
			       RAW_DEADLINE));
	kill(self->server, SIGKILL);
	EXPECT_GT(0, raw_control_wait(&control, RAW_DEATH_DEADLINE));
	raw_control_end(&control);
}

TEST(zones_need_data_moved_by_the_server)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, DEPTH);

	info.flags = UBLK_F_ZONED;
	EXPECT_EQ(-EINVAL, raw_add_info(&info));
}

static int try_params(const struct raw_device *device, const struct ublk_params *params)
{
	return raw_set_params(device->id, params);
}

TEST(parameters_of_zones)
{
	struct ublksrv_ctrl_dev_info info = raw_info(1, DEPTH);
	struct ublk_params good, p;
	struct raw_device device;

	info.flags = UBLK_F_ZONED | UBLK_F_USER_COPY;
	ASSERT_EQ(0, raw_add_info(&info));
	device.id = info.dev_id;
	good = raw_params(&info);
	good.types = UBLK_PARAM_TYPE_BASIC | UBLK_PARAM_TYPE_ZONED;
	good.basic.chunk_sectors = ZONE_SECTORS;
	good.basic.dev_sectors = ZONES * ZONE_SECTORS;
	good.zoned.max_zone_append_sectors = 8;
	good.zoned.max_open_zones = ZONES;
	good.zoned.max_active_zones = ZONES;
	EXPECT_EQ(0, try_params(&device, &good));
	p = good, p.types = UBLK_PARAM_TYPE_BASIC;
	EXPECT_EQ(-EINVAL, try_params(&device, &p));
	p = good, p.basic.chunk_sectors = 0;
	EXPECT_EQ(-EINVAL, try_params(&device, &p));
	p = good, p.basic.chunk_sectors = 3000;
	EXPECT_EQ(-EINVAL, try_params(&device, &p));
	p = good, p.zoned.max_zone_append_sectors = 0;
	EXPECT_EQ(-EINVAL, try_params(&device, &p));
	p = good, p.zoned.max_open_zones = ZONES + 1;
	EXPECT_EQ(-EINVAL, try_params(&device, &p));
	p = good, p.zoned.max_active_zones = ~0U;
	EXPECT_EQ(-EINVAL, try_params(&device, &p));
	EXPECT_EQ(0, raw_destroy(&device));
}

TEST_HARNESS_MAIN
