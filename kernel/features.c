// SPDX-License-Identifier: GPL-2.0-only
/*
 * Which features a device gets: one line for each. A line comes with the code that makes the
 * feature work, because what is listed here is reported to servers.
 */
#include <linux/capability.h>

#include "ublk.h"

/**
 * enum ublk_feature_unprivileged - what becomes of a feature on an unprivileged device
 *
 * @GRANTED:	it works there as anywhere
 * @DROPPED:	the device does without, as with a feature that is not known
 * @REFUSED:	there is no such device
 */
enum ublk_feature_unprivileged {
	GRANTED,
	DROPPED,
	REFUSED,
};

/**
 * struct ublk_feature - one feature, and what it does not go without and not together with
 * @bit: UBLK_F_*
 * @impossible: what this kernel lacks for it (compat/capability.h)
 * @always: a device has it whether it is asked for or not
 * @unprivileged: see enum ublk_feature_unprivileged
 * @needs: one of these must be asked for, too
 * @excludes: none of these may be asked for, too
 * @yields_to: any of these makes it pointless: it is not granted then
 */
struct ublk_feature {
	u64 bit;
	bool impossible;
	bool always;
	enum ublk_feature_unprivileged unprivileged;
	u64 needs;
	u64 excludes;
	u64 yields_to;
};

static const struct ublk_feature ublk_features[] = {
	{ .bit = UBLK_F_URING_CMD_COMP_IN_TASK, .always = true },
	{ .bit = UBLK_F_CMD_IOCTL_ENCODE, .always = true },
	{
		.bit = UBLK_F_NEED_GET_DATA,
		.yields_to = UBLK_F_USER_COPY | UBLK_F_SUPPORT_ZERO_COPY | UBLK_F_AUTO_BUF_REG |
			     UBLK_F_BATCH_IO,
	},
	/* What a READ's pages hold before they are written is the kernel's. */
	{ .bit = UBLK_F_USER_COPY, .unprivileged = REFUSED },
	/* The address of a commit says where an append went, so it cannot name a buffer. */
	{
		.bit = UBLK_F_ZONED,
		.impossible = !IS_ENABLED(CONFIG_BLK_DEV_ZONED),
		.needs = UBLK_F_USER_COPY | UBLK_F_SUPPORT_ZERO_COPY,
	},
	{
		.bit = UBLK_F_INTEGRITY,
		.impossible = !UBLK_CAN_INTEGRITY || !IS_ENABLED(CONFIG_BLK_DEV_INTEGRITY),
		.needs = UBLK_F_USER_COPY,
	},
	{ .bit = UBLK_F_SHMEM_ZC },
	{ .bit = UBLK_F_IO_DESC_SIZE },
	{ .bit = UBLK_F_UNPRIVILEGED_DEV },
	/* Requests that wait for a server can make others wait, whose disk it is not. */
	{ .bit = UBLK_F_USER_RECOVERY, .unprivileged = DROPPED },
	{ .bit = UBLK_F_USER_RECOVERY_REISSUE, .unprivileged = DROPPED,
	  .needs = UBLK_F_USER_RECOVERY, .excludes = UBLK_F_USER_RECOVERY_FAIL_IO },
	{ .bit = UBLK_F_USER_RECOVERY_FAIL_IO, .unprivileged = DROPPED,
	  .needs = UBLK_F_USER_RECOVERY, .excludes = UBLK_F_USER_RECOVERY_REISSUE },
	{ .bit = UBLK_F_UPDATE_SIZE },
	{ .bit = UBLK_F_QUIESCE, .unprivileged = DROPPED, .needs = UBLK_F_USER_RECOVERY },
	{ .bit = UBLK_F_PER_IO_DAEMON, .always = true, .yields_to = UBLK_F_BATCH_IO },
	{ .bit = UBLK_F_SAFE_STOP_DEV, .always = true },
	{ .bit = UBLK_F_NO_AUTO_PART_SCAN },
	{
		.bit = UBLK_F_SUPPORT_ZERO_COPY,
		.impossible = !UBLK_CAN_ZERO_COPY,
		.unprivileged = REFUSED,
	},
	{
		.bit = UBLK_F_AUTO_BUF_REG,
		.impossible = !UBLK_CAN_ZERO_COPY,
		.unprivileged = REFUSED,
	},
	{ .bit = UBLK_F_BATCH_IO, .impossible = !UBLK_CAN_BATCH },
	{ .bit = UBLK_F_BUF_REG_OFF_DAEMON, .impossible = !UBLK_CAN_ZERO_COPY, .always = true },
};

/* All that this version can do on this kernel. */
u64 ublk_features_supported(void)
{
	u64 supported = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(ublk_features); i++) {
		if (!ublk_features[i].impossible)
			supported |= ublk_features[i].bit;
	}
	return supported;
}

static bool ublk_feature_is_allowed(const struct ublk_feature *feature, u64 with, bool privileged)
{
	if (!privileged && feature->unprivileged == REFUSED)
		return false;
	if (feature->needs && !(with & feature->needs))
		return false;
	return !(with & feature->excludes);
}

static bool ublk_feature_is_granted(const struct ublk_feature *feature, u64 with, bool privileged)
{
	if (!privileged && feature->unprivileged == DROPPED)
		return false;
	return !(with & feature->yields_to);
}

/**
 * ublk_features_grant() - what a server gets that asks for some features
 * @asked: UBLK_F_*; bits that are not known or not possible are dropped
 * @granted: set on success
 *
 * The current task asks. It may be without privileges if it asks for UBLK_F_UNPRIVILEGED_DEV.
 *
 * Return: 0, -EPERM, or -EINVAL if the features do not go together.
 */
int ublk_features_grant(u64 asked, u64 *granted)
{
	bool privileged = capable(CAP_SYS_ADMIN);

	asked &= ublk_features_supported();
	if (privileged)
		asked &= ~UBLK_F_UNPRIVILEGED_DEV;
	else if (!(asked & UBLK_F_UNPRIVILEGED_DEV))
		return -EPERM;

	*granted = 0;
	for (unsigned int i = 0; i < ARRAY_SIZE(ublk_features); i++) {
		const struct ublk_feature *feature = &ublk_features[i];

		if (feature->impossible || !(feature->always || (asked & feature->bit)))
			continue;
		if (!ublk_feature_is_allowed(feature, asked, privileged))
			return -EINVAL;
		if (ublk_feature_is_granted(feature, asked, privileged))
			*granted |= feature->bit;
	}
	return 0;
}
