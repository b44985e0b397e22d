/* SPDX-License-Identifier: BSD-2-Clause */
/* What every unit test's main() does. */
#ifndef APPMON_UNIT_H
#define APPMON_UNIT_H

#include <check.h>
#include <stdlib.h>

/* One test case of the functions in a NULL-terminated list, in this process: that way the
 * sanitizers see its leaks. */
static inline int unit_run(const char *name, const TTest *const *tests, void (*setup)(void),
			   void (*teardown)(void))
{
	Suite *suite = suite_create(name);
	TCase *tcase = tcase_create(name);
	SRunner *runner;
	int failed;

	tcase_add_checked_fixture(tcase, setup, teardown);
	for (; *tests; tests++)
		tcase_add_test(tcase, *tests);
	suite_add_tcase(suite, tcase);
	runner = srunner_create(suite);
	srunner_set_fork_status(runner, CK_NOFORK);
	srunner_run_all(runner, CK_ENV);
	failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}

#endif /* APPMON_UNIT_H */
