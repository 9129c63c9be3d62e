// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bugs on purpose: inserted with bug=NAME it does one thing that no driver may do, for the tests of
 * the debug kernels to see that it is noticed. Never part of a driver.
 */
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/kthread.h>
#include <linux/list.h>
#include <linux/mm.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/refcount.h>
#include <linux/slab.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/workqueue.h>

static char *bug = "none";
module_param(bug, charp, 0444);
MODULE_PARM_DESC(bug, "what to do wrong");

/* What the compiler may not reason about. */
static int hidden(int value)
{
	OPTIMIZER_HIDE_VAR(value);
	return value;
}

static int use_after_free(void)
{
	char *memory = kmalloc(64, GFP_KERNEL);

	if (!memory)
		return -ENOMEM;
	kfree(memory);
	OPTIMIZER_HIDE_VAR(memory);
	return READ_ONCE(memory[8]) ? 0 : 0;
}

static int out_of_bounds(void)
{
	char *memory = kmalloc(40, GFP_KERNEL);

	if (!memory)
		return -ENOMEM;
	WRITE_ONCE(memory[hidden(40)], 1);
	kfree(memory);
	return 0;
}

static int lock_order(void)
{
	static DEFINE_MUTEX(first);
	static DEFINE_MUTEX(second);

	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
	return 0;
}

static int sleep_in_atomic(void)
{
	static DEFINE_SPINLOCK(lock);

	spin_lock(&lock);
	might_sleep();
	spin_unlock(&lock);
	return 0;
}

static int rcu_without_lock(void)
{
	static int __rcu *pointer;

	return rcu_dereference(pointer) ? 0 : 0;
}

static int corrupt_list(void)
{
	LIST_HEAD(head);
	LIST_HEAD(other);
	struct list_head node;

	list_add(&node, &head);
	head.next = &other;
	list_del(&node);
	return 0;
}

static void nothing(struct work_struct *work)
{
}

static int free_queued_work(void)
{
	struct delayed_work *work = kzalloc(sizeof(*work), GFP_KERNEL);

	if (!work)
		return -ENOMEM;
	INIT_DELAYED_WORK(work, nothing);
	schedule_delayed_work(work, HZ * 1000);
	kfree(work);
	return 0;
}

static int shifted;

static int long_shift(void)
{
	WRITE_ONCE(shifted, hidden(1) << hidden(40));
	return 0;
}

static int bad_index(void)
{
	/* Not by READ_ONCE(): it takes the address, and that of the end is none of the bad ones. */
	static volatile int array[4];

	return array[hidden(4)] ? 0 : 0;
}

static int refcount_underflow(void)
{
	refcount_t count = REFCOUNT_INIT(1);

	refcount_dec(&count);
	refcount_dec(&count);
	return 0;
}

static int leak(void)
{
	for (int i = 0; i < 16; i++) {
		if (!kzalloc(200 + hidden(0), GFP_KERNEL))
			return -ENOMEM;
	}
	return 0;
}

static int hang(void)
{
	DECLARE_COMPLETION_ONSTACK(never);

	wait_for_completion_timeout(&never, 30 * HZ);
	return 0;
}

/* Not a bug: whether what is left in a page can be told from what is written there. */
static int freed_pages_are_marked(void)
{
	struct page *page = alloc_page(GFP_KERNEL);
	int ret = 0;

	if (!page)
		return -ENOMEM;
	for (int i = 0; i < PAGE_SIZE; i++) {
		if (((u8 *)page_address(page))[i] != 0xaa)
			ret = -EILSEQ;
	}
	__free_page(page);
	return ret;
}

static long shared;

static int racer(void *done)
{
	for (int i = 0; i < 3000000; i++) {
		shared++;
		if (i % 1000 == 0)
			cond_resched();
	}
	complete(done);
	return 0;
}

static int race(void)
{
	static struct completion done[2];

	for (int i = 0; i < ARRAY_SIZE(done); i++) {
		init_completion(&done[i]);
		kthread_run(racer, &done[i], "ublk_bugs");
	}
	for (int i = 0; i < ARRAY_SIZE(done); i++)
		wait_for_completion(&done[i]);
	return 0;
}

static const struct {
	const char *name;
	int (*commit)(void);
} bugs[] = {
	{ "use_after_free", use_after_free },
	{ "out_of_bounds", out_of_bounds },
	{ "lock_order", lock_order },
	{ "sleep_in_atomic", sleep_in_atomic },
	{ "rcu_without_lock", rcu_without_lock },
	{ "corrupt_list", corrupt_list },
	{ "free_queued_work", free_queued_work },
	{ "long_shift", long_shift },
	{ "bad_index", bad_index },
	{ "refcount_underflow", refcount_underflow },
	{ "leak", leak },
	{ "hang", hang },
	{ "freed_pages_are_marked", freed_pages_are_marked },
	{ "race", race },
};

static int __init bugs_init(void)
{
	for (int i = 0; i < ARRAY_SIZE(bugs); i++) {
		if (!strcmp(bugs[i].name, bug))
			return bugs[i].commit();
	}
	return -EINVAL;
}

static void __exit bugs_exit(void)
{
}

module_init(bugs_init);
module_exit(bugs_exit);

MODULE_DESCRIPTION("Bugs on purpose");
MODULE_LICENSE("GPL");
