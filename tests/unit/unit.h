/* SPDX-License-Identifier: BSD-2-Clause */
/* What every unit test's main() does. */
#ifndef APPMON_UNIT_H
#define APPMON_UNIT_H

#include <check.h>
#include <stdlib.h>

/* For what is asked millions of times: ck_assert() writes to a pipe each time. */
#define ASSERT_OFTEN(condition)                                                                    \
	do {                                                                                       \
		if (!(condition))                                                                  \
			ck_abort_msg("%s", #condition);                                            \
	} while (0)

/* Runs one test case in this process: that way the sanitizers see its leaks. Returns what main()
 * does. */
static inline int unit_run_case(const char *name, TCase *tcase)
{
	Suite *suite = suite_create(name);
	SRunner *runner = srunner_create(suite);
	int failed;

	suite_add_tcase(suite, tcase);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* The same of the functions in a NULL-terminated list, each between setup and teardown. */
static inline int unit_run(const char *name, const TTest *const *tests, void (*setup)(void),
			   void (*teardown)(void))
{
	TCase *tcase = tcase_create(name);

	tcase_add_checked_fixture(tcase, setup, teardown);
	for (; *tests; tests++)
		tcase_add_test(tcase, *tests);
	return unit_run_case(name, tcase);
}

#endif /* APPMON_UNIT_H */
