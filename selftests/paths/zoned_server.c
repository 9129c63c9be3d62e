// SPDX-License-Identifier: GPL-2.0-only
/*
 * A zoned disk in memory: what zoned_server.h says.
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "zoned_server.h"

__u64 zone_start(unsigned int zone)
{
	return (__u64)zone * ZONE_SECTORS;
}

static void reset_zone(struct disk *disk, unsigned int zone)
{
	if (zone < CONVENTIONAL)
		return;
	disk->zones[zone].wp = zone_start(zone);
	disk->zones[zone].cond = BLK_ZONE_COND_EMPTY;
}

static struct disk *make_disk(void)
{
	struct disk *disk = mmap(NULL, sizeof(*disk), PROT_READ | PROT_WRITE,
				 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	unsigned int i;

	for (i = 0; i < ZONES; i++) {
		disk->zones[i].cond = BLK_ZONE_COND_NOT_WP;
		reset_zone(disk, i);
	}
	return disk;
}

static struct blk_zone describe_zone(const struct disk *disk, unsigned int i)
{
	struct blk_zone zone = {
		.start = zone_start(i),
		.len = ZONE_SECTORS,
		.capacity = ZONE_SECTORS,
		.wp = disk->zones[i].wp,
		.type = i < CONVENTIONAL ? BLK_ZONE_TYPE_CONVENTIONAL : BLK_ZONE_TYPE_SEQWRITE_REQ,
		.cond = disk->zones[i].cond,
	};

	if (i == 1 && disk->lie == COND_OF_OTHERS)
		zone.cond = BLK_ZONE_COND_IMP_OPEN;
	if (i != 5)
		return zone;
	zone.start += disk->lie == START;
	zone.len -= disk->lie == LEN;
	zone.capacity += disk->lie == CAPACITY;
	if (disk->lie == NO_CAPACITY)
		zone.capacity = 0;
	if (disk->lie == TYPE)
		zone.type = 7;
	if (disk->lie == COND)
		zone.cond = 9;
	if (disk->lie == POINTER || disk->lie == POINTER_BEFORE)
		zone.cond = BLK_ZONE_COND_CLOSED;
	if (disk->lie == POINTER)
		zone.wp = zone.start + ZONE_SECTORS + 1;
	if (disk->lie == POINTER_BEFORE)
		zone.wp = zone.start - 1;
	return zone;
}

static off_t position(const struct raw_request *request)
{
	return UBLKSRV_IO_BUF_OFFSET + ((off_t)request->queue << UBLK_QID_OFF) +
	       ((off_t)request->tag << UBLK_TAG_OFF);
}

static int report(struct raw_server *server, const struct disk *disk,
		  const struct raw_request *request)
{
	unsigned int first = request->descriptor.start_sector / ZONE_SECTORS;
	unsigned int count = request->descriptor.nr_zones, i;
	struct blk_zone zones[ZONES];

	if (disk->lie == ERROR)
		return -EIO;
	if (disk->lie == NONE)
		return 0;
	if (first + count > ZONES)
		return -EINVAL;
	for (i = 0; i < count && !(disk->lie == FEW && first + i > 8); i++)
		zones[i] = describe_zone(disk, first + i);
	return pwrite(server->chr, zones, i * sizeof(*zones), position(request));
}

/* Write at the pointer, and nowhere else. */
static int write_data(struct raw_server *server, struct disk *disk,
		      const struct raw_request *request, __u64 sector)
{
	struct zone *zone = &disk->zones[sector / ZONE_SECTORS];
	unsigned int bytes = request->descriptor.nr_sectors << 9;

	if (sector / ZONE_SECTORS >= CONVENTIONAL) {
		if (sector != zone->wp || zone->cond == BLK_ZONE_COND_FULL)
			return -EIO;
		zone->wp += request->descriptor.nr_sectors;
		if (zone->cond != BLK_ZONE_COND_EXP_OPEN)
			zone->cond = BLK_ZONE_COND_IMP_OPEN;
		if (zone->wp % ZONE_SECTORS == 0)
			zone->cond = BLK_ZONE_COND_FULL;
	}
	return pread(server->chr, disk->data + (sector << 9), bytes, position(request));
}

static int append(struct raw_server *server, struct disk *disk, const struct raw_request *request,
		  __u64 *where)
{
	unsigned int zone = request->descriptor.start_sector / ZONE_SECTORS;
	int ret;

	*where = disk->zones[zone].wp;
	ret = write_data(server, disk, request, *where);
	if (disk->lie == APPEND_BEFORE)
		*where = zone_start(zone) - 8;
	if (disk->lie == APPEND_BEHIND)
		*where = zone_start(zone + 1);
	if (disk->lie == APPEND_ASKEW)
		*where += 1;
	return disk->lie == APPEND_SHORT ? ret / 2 : ret;
}

static int operate(struct disk *disk, unsigned int op, unsigned int i)
{
	struct zone *zone = &disk->zones[i];

	if (i < CONVENTIONAL)
		return -EIO;
	switch (op) {
	case UBLK_IO_OP_ZONE_OPEN:
		zone->cond = BLK_ZONE_COND_EXP_OPEN;
		return 0;
	case UBLK_IO_OP_ZONE_CLOSE:
		zone->cond = zone->wp == zone_start(i) ? BLK_ZONE_COND_EMPTY :
							 BLK_ZONE_COND_CLOSED;
		return 0;
	case UBLK_IO_OP_ZONE_FINISH:
		zone->wp = zone_start(i + 1);
		zone->cond = BLK_ZONE_COND_FULL;
		return 0;
	case UBLK_IO_OP_ZONE_RESET:
		reset_zone(disk, i);
		return 0;
	default:
		return -EOPNOTSUPP;
	}
}

static int serve(struct raw_server *server, struct disk *disk, const struct raw_request *request,
		 __u64 *address)
{
	__u64 sector = request->descriptor.start_sector;
	unsigned int op = ublksrv_get_op(&request->descriptor), i;

	switch (op) {
	case UBLK_IO_OP_READ:
		return pwrite(server->chr, disk->data + (sector << 9),
			      request->descriptor.nr_sectors << 9, position(request));
	case UBLK_IO_OP_WRITE:
		return write_data(server, disk, request, sector);
	case UBLK_IO_OP_ZONE_APPEND:
		return append(server, disk, request, address);
	case UBLK_IO_OP_REPORT_ZONES:
		return report(server, disk, request);
	case UBLK_IO_OP_FLUSH:
		return 0;
	case UBLK_IO_OP_ZONE_RESET_ALL:
		for (i = 0; i < ZONES; i++)
			reset_zone(disk, i);
		return 0;
	default:
		return operate(disk, op, sector / ZONE_SECTORS);
	}
}

static void serve_for_ever(struct raw_device *device, struct disk *disk)
{
	struct raw_request request;
	struct raw_server server;

	if (raw_server_open(&server, device, 0))
		_exit(1);
	server.hold_all = true;
	raw_fetch_all(&server);
	raw_ring_submit(&server.ring, 0);
	atomic_store(&disk->shared.fetched, 1);
	for (;;) {
		raw_pump(&server, 1000);
		while (server.caught_count) {
			__u64 address = 0;
			int result;

			raw_catch(&server, &request);
			atomic_fetch_add(&disk->operations[ublksrv_get_op(&request.descriptor)], 1);
			if (atomic_load(&disk->hang))
				continue;
			result = serve(&server, disk, &request, &address);
			raw_io_queue(&server, UBLK_U_IO_COMMIT_AND_FETCH_REQ, request.queue,
				     request.tag, result, address);
		}
	}
}

static int set_params(struct raw_device *device)
{
	struct ublk_params *params = &device->params;

	*params = raw_params(&device->info);
	params->types = UBLK_PARAM_TYPE_BASIC | UBLK_PARAM_TYPE_ZONED;
	params->basic.dev_sectors = ZONES * ZONE_SECTORS;
	params->basic.chunk_sectors = ZONE_SECTORS;
	params->zoned.max_open_zones = 4;
	params->zoned.max_active_zones = 6;
	params->zoned.max_zone_append_sectors = 64;
	return raw_set_params(device->id, params);
}

int zoned_add(struct raw_device *device, struct disk **disk, pid_t *server)
{
	int ret;

	device->id = -1;
	device->info = raw_info(1, DEPTH);
	device->info.flags = UBLK_F_USER_COPY | UBLK_F_ZONED;
	ret = raw_add_info(&device->info);
	if (ret)
		return ret;
	device->id = device->info.dev_id;
	if (!(device->info.flags & UBLK_F_ZONED))
		return -EOPNOTSUPP;
	ret = set_params(device);
	if (ret)
		return ret;
	*disk = make_disk();
	*server = raw_fork();
	if (*server == 0)
		serve_for_ever(device, *disk);
	return raw_await(&(*disk)->shared.fetched, 1, RAW_DEADLINE);
}

int zoned_remove(struct raw_device *device, pid_t server)
{
	int ret = raw_stop(device->id);

	kill(server, SIGKILL);
	if (raw_reap(server, RAW_DEADLINE) < 0)
		return -ETIME;
	return ret ? ret : raw_destroy(device);
}
