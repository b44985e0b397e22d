/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * SQL statements and what is told of them. The lexical rules are those of PostgreSQL's manual
 * (4.1 Lexical Structure) and of MySQL's (11.1 Literal Values, 11.2 Schema Object Names, 11.7
 * Comments); many statements are examples from there.
 */
#include <string.h>

#include <appmon/appmon.h>

#include "protocol/sql.h"
#include "unit.h"

#define PG 0
#define MY (SQL_MYSQL | SQL_BACKSLASH)

static void setup(void)
{
}

static void teardown(void)
{
}

static struct sql sql;
static char told[4096];

/* The sanitised text. The memory of both texts is exactly as large as it must be. */
static const char *read_as(const char *text, uint32_t flags)
{
	uint32_t len = (uint32_t)strlen(text);
	char *in = malloc(len + !len), *out = malloc(len + !len);

	memcpy(in, text, len);
	sql_read(in, len, flags, out, &sql);
	ck_assert_uint_le(sql.text_len, len);
	memcpy(told, out, sql.text_len);
	told[sql.text_len] = '\0';
	free(out);
	free(in);
	return told;
}

static const struct {
	uint32_t flags;
	const char *text, *told, *operation, *targets;
} table[] = {
	/* literals of both */
	{PG, "SELECT 1", "SELECT ?", "SELECT", ""},
	{PG, "select 42, 3.5, 4., .001, 5e2, 1.925e-3 from t", "select ?, ?, ?, ?, ?, ? from t",
	 "SELECT", "t"},
	{PG, "SELECT 0b100101, 0o273, 0x42F, 1_500_000_000", "SELECT ?, ?, ?, ?", "SELECT", ""},
	{PG, "SELECT * FROM t WHERE a = -5 AND b=-5 AND c - 5 > +.5",
	 "SELECT * FROM t WHERE a = ? AND b=? AND c - ? > ?", "SELECT", "t"},
	{PG, "SELECT 'Dianne''s horse'", "SELECT ?", "SELECT", ""},
	{PG, "SELECT 'foo'\n'bar'", "SELECT ?", "SELECT", ""},
	{PG, "SELECT'x'FROM t", "SELECT?FROM t", "SELECT", "t"},
	{PG, "", "", "", ""},
	{PG, " \n ; ", "", "", ""},
	{PG, "SELECT 1;", "SELECT ?", "SELECT", ""},
	/* PostgreSQL's own */
	{PG, "SELECT 'C:\\' || 'x'", "SELECT ? || ?", "SELECT", ""},
	{PG | SQL_BACKSLASH, "SELECT 'it\\'s' || 'x'", "SELECT ? || ?", "SELECT", ""},
	{PG, "SELECT E'it\\'s', e'\\\\', 'x'", "SELECT ?, ?, ?", "SELECT", ""},
	{PG, "SELECT B'1001', X'1FF', n'x', U&'d\\0061t\\+000061' UESCAPE '!'",
	 "SELECT ?, ?, ?, ? UESCAPE ?", "SELECT", ""},
	{PG, "SELECT $$Dianne's horse$$, $SomeTag$Dianne's $$ horse$SomeTag$, 2", "SELECT ?, ?, ?",
	 "SELECT", ""},
	{PG, "SELECT a$b$c FROM \"a \"\"b\"\"\" WHERE U&\"d\\0061t\" = 1",
	 "SELECT a$b$c FROM \"a \"\"b\"\"\" WHERE U&\"d\\0061t\" = ?", "SELECT", "a \"b\""},
	{PG, "SELECT * FROM t WHERE a = $1 AND b IN ($2, $3)",
	 "SELECT * FROM t WHERE a = ? AND b IN (?)", "SELECT", "t"},
	{PG, "SELECT b ? 'key', '{}'::jsonb @> $1::jsonb, t.a[1:2]",
	 "SELECT b ? ?, ?::jsonb @> ?::jsonb, t.a[?:?]", "SELECT", ""},
	{PG, "SELECT 1 -- 'the rest'\n, 2--x", "SELECT ? , ?", "SELECT", ""},
	{PG, "SELECT/* multi 'line\n * with /* nested */ */1", "SELECT ?", "SELECT", ""},
	{PG, "SELECT 5 # 3, a->>'b', x - -1", "SELECT ? # ?, a->>?, x - ?", "SELECT", ""},
	/* MySQL's own */
	{MY, "SELECT 'it\\'s', \"it\\\"s \"\"x\"\"\", 'a' \"b\"", "SELECT ?, ?, ?", "SELECT", ""},
	{SQL_MYSQL, "SELECT 'C:\\', 'x'", "SELECT ?, ?", "SELECT", ""},
	{MY, "SELECT `a``b`, x'01AF', 0x01AF, b'01', 0b01, N'x', _utf8mb4'x' FROM `my db`.`t 1`",
	 "SELECT `a``b`, ?, ?, ?, ?, ?, _utf8mb4? FROM `my db`.`t 1`", "SELECT", "my db.t 1"},
	{MY, "SELECT 1 # a comment's\n, 2 -- another's\n, 3--1, 4 -- ", "SELECT ? , ? , ?-?, ?",
	 "SELECT", ""},
	{MY, "SELECT /* /* one level's */ 1", "SELECT ?", "SELECT", ""},
	{MY, "/*!40101 SET NAMES utf8 */;", "SET NAMES utf8", "SET", ""},
	{MY, "SELECT /*!50000 STRAIGHT_JOIN */ a FROM t /*M!100100 USE */ WHERE b=1",
	 "SELECT STRAIGHT_JOIN a FROM t USE WHERE b=?", "SELECT", "t"},
	{MY, "SET @a = 1, @'b c' = 2, @@sql_mode = ''", "SET @a = ?, @? = ?, @@sql_mode = ?", "SET",
	 ""},
	{MY, "SELECT * FROM t WHERE id IN (?, ?, ?) LIMIT 10, 20",
	 "SELECT * FROM t WHERE id IN (?) LIMIT ?, ?", "SELECT", "t"},
	{MY, "SELECT 1e5x, 12ab FROM t", "SELECT ?, ? FROM t", "SELECT", "t"},
	/* lists */
	{PG, "SELECT * FROM t WHERE a IN(1,2,3) AND b NOT IN ( 'x' , 'y' )",
	 "SELECT * FROM t WHERE a IN(?) AND b NOT IN ( ? )", "SELECT", "t"},
	{PG, "SELECT * FROM t WHERE a IN (-1, +2, -.3)", "SELECT * FROM t WHERE a IN (?)", "SELECT",
	 "t"},
	{PG, "SELECT * FROM t WHERE a IN ($1::INTEGER, $2::INTEGER, f($3), $4)",
	 "SELECT * FROM t WHERE a IN (?::INTEGER, f(?), ?)", "SELECT", "t"},
	{PG, "SELECT * FROM t WHERE (a, b) IN ((1, 2), (3, 4), (5, 6)) AND c = 7",
	 "SELECT * FROM t WHERE (a, b) IN ((?)) AND c = ?", "SELECT", "t"},
	{PG, "SELECT * FROM t WHERE a = ANY(ARRAY[1, 2, 3]) OR b = ARRAY[[1,2],[3,4]]",
	 "SELECT * FROM t WHERE a = ANY(ARRAY[?]) OR b = ARRAY[[?]]", "SELECT", "t"},
	{PG, "INSERT INTO t (a, b) VALUES (1, 'x'), (2, 'y'),(3, now()) RETURNING a, 1, 2",
	 "INSERT INTO t (a, b) VALUES (?) RETURNING a, ?, ?", "INSERT", "t"},
	{PG, "INSERT INTO t VALUES (1, now(), 2, 3, $1), (DEFAULT, (SELECT 1), f(')'))",
	 "INSERT INTO t VALUES (?, now(), ?)", "INSERT", "t"},
	{MY,
	 "INSERT INTO t VALUES (1,2),(3,4) ON DUPLICATE KEY UPDATE a=VALUES(a), b=VALUES(b), c=(1)",
	 "INSERT INTO t VALUES (?) ON DUPLICATE KEY UPDATE a=VALUES(a), b=VALUES(b), c=(?)",
	 "INSERT", "t"},
	{PG, "SELECT f(1, 2), decimal(10, 2)", "SELECT f(?, ?), decimal(?, ?)", "SELECT", ""},
	/* targets */
	{PG, "SELECT * FROM a, b AS x, public.c y, d", "SELECT * FROM a, b AS x, public.c y, d",
	 "SELECT", "a b public.c"},
	{PG, "SELECT * FROM a JOIN b ON a.id = b.id LEFT OUTER JOIN \"C d\" USING (id)",
	 "SELECT * FROM a JOIN b ON a.id = b.id LEFT OUTER JOIN \"C d\" USING (id)", "SELECT",
	 "a b C d"},
	{PG, "SELECT * FROM (SELECT * FROM inner_t) x WHERE EXISTS (SELECT 1 FROM u)",
	 "SELECT * FROM (SELECT * FROM inner_t) x WHERE EXISTS (SELECT ? FROM u)", "SELECT",
	 "inner_t u"},
	{PG, "SELECT extract(year FROM ts), trim(both FROM x), a IS DISTINCT FROM b FROM t",
	 "SELECT extract(year FROM ts), trim(both FROM x), a IS DISTINCT FROM b FROM t", "SELECT",
	 "t"},
	{PG, "SELECT * FROM generate_series(1, 3), t", "SELECT * FROM generate_series(?, ?), t",
	 "SELECT", ""},
	{PG, "SELECT * FROM t ORDER BY a, b FOR UPDATE OF x",
	 "SELECT * FROM t ORDER BY a, b FOR UPDATE OF x", "SELECT", "t"},
	{PG, "INSERT INTO a SELECT * FROM b", "INSERT INTO a SELECT * FROM b", "INSERT", "a b"},
	{PG, "UPDATE ONLY a SET b = 1, c = 2 FROM d WHERE a.x = d.x",
	 "UPDATE ONLY a SET b = ?, c = ? FROM d WHERE a.x = d.x", "UPDATE", "a d"},
	{PG, "INSERT INTO a VALUES (1) ON CONFLICT (b) DO UPDATE SET c = excluded.c",
	 "INSERT INTO a VALUES (?) ON CONFLICT (b) DO UPDATE SET c = excluded.c", "INSERT", "a"},
	{PG, "DELETE FROM a USING b WHERE a.x = b.x", "DELETE FROM a USING b WHERE a.x = b.x",
	 "DELETE", "a b"},
	{PG,
	 "WITH RECURSIVE c (n) AS (SELECT 1 UNION ALL SELECT n FROM c), d AS (SELECT * FROM t) "
	 "INSERT INTO u SELECT * FROM c, d",
	 "WITH RECURSIVE c (n) AS (SELECT ? UNION ALL SELECT n FROM c), d AS (SELECT * FROM t) "
	 "INSERT INTO u SELECT * FROM c, d",
	 "INSERT", "t u"},
	{PG, "MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN UPDATE SET y = 1",
	 "MERGE INTO a USING b ON a.x = b.x WHEN MATCHED THEN UPDATE SET y = ?", "MERGE", "a b"},
	{PG, "COPY t (a, b) FROM STDIN", "COPY t (a, b) FROM STDIN", "COPY", "t"},
	{PG, "COPY (SELECT * FROM t) TO STDOUT", "COPY (SELECT * FROM t) TO STDOUT", "COPY", "t"},
	{PG, "CREATE TABLE IF NOT EXISTS s.t (a int)", "CREATE TABLE IF NOT EXISTS s.t (a int)",
	 "CREATE", "s.t"},
	{PG, "DROP TABLE IF EXISTS a, b CASCADE", "DROP TABLE IF EXISTS a, b CASCADE", "DROP",
	 "a b"},
	{PG, "TRUNCATE a", "TRUNCATE a", "TRUNCATE", "a"},
	{PG, "CALL p(1, 'x')", "CALL p(?, ?)", "CALL", "p"},
	{PG, "FETCH 10 FROM cur", "FETCH ? FROM cur", "FETCH", ""},
	{PG, "REVOKE SELECT ON t FROM bob", "REVOKE SELECT ON t FROM bob", "REVOKE", ""},
	{PG, "((SELECT a FROM t))", "((SELECT a FROM t))", "SELECT", "t"},
	{PG, "BEGIN; INSERT INTO t VALUES (1); COMMIT", "BEGIN; INSERT INTO t VALUES (?); COMMIT",
	 "BEGIN", "t"},
	{PG, "SELECT * FROM T JOIN T x ON 1=1", "SELECT * FROM T JOIN T x ON ?=?", "SELECT", "T"},
	{MY, "SELECT NOW() FROM DUAL", "SELECT NOW() FROM DUAL", "SELECT", ""},
	{MY, "INSERT IGNORE t VALUES (1)", "INSERT IGNORE t VALUES (?)", "INSERT", "t"},
	{MY, "REPLACE INTO t SET a = REPLACE(b, 'x', 'y')",
	 "REPLACE INTO t SET a = REPLACE(b, ?, ?)", "REPLACE", "t"},
	{MY, "LOAD DATA LOCAL INFILE 'f' INTO TABLE t", "LOAD DATA LOCAL INFILE ? INTO TABLE t",
	 "LOAD", "t"},
	{MY, "SELECT * INTO OUTFILE 'f' FROM t", "SELECT * INTO OUTFILE ? FROM t", "SELECT", "t"},
	{MY, "LOCK TABLES a READ, b WRITE", "LOCK TABLES a READ, b WRITE", "LOCK", "a b"},
	{MY, "SHOW TABLES FROM db", "SHOW TABLES FROM db", "SHOW", ""},
	/* passwords */
	{PG, "ALTER ROLE bob PASSWORD 'hunter2'", "ALTER ROLE bob PASSWORD ?", "ALTER", ""},
	{MY, "CREATE USER 'bob'@'%' IDENTIFIED BY \"hunter2\"", "CREATE USER ?@? IDENTIFIED BY ?",
	 "CREATE", ""},
	/* what cannot be split: the operation only */
	{PG, "SELECT 'open", "", "SELECT", ""},
	{PG, "SELECT * FROM t WHERE $tag$ open", "", "SELECT", ""},
	{PG, "SELECT /* open /* */ 1", "", "SELECT", ""},
	{PG, "SELECT \x01 1", "", "SELECT", ""},
	{MY, "SELECT \"open", "", "SELECT", ""},
	{MY, "SELECT /*!99999 it's */ 'x'", "", "SELECT", ""},
	{MY, "SELECT $$it's$$ 'x'", "", "SELECT", ""},
	/* two readings, by a setting that is not known or by the encoding */
	{PG | SQL_UNSURE, "SELECT a, 'C:\\', 'x'", "SELECT a, ?", "SELECT", ""},
	{PG | SQL_UNSURE, "SELECT E'it\\'s', 'x\\y', 1", "SELECT ?, ?, ?", "SELECT", ""},
	{MY | SQL_UNSURE, "SELECT 'it\\'s', 1", "SELECT ?", "SELECT", ""},
	{MY, "SELECT '\xbf\\' OR 1=1", "SELECT ?", "SELECT", ""},
	/* cut */
	{PG | SQL_CUT, "SELECT a, 'open", "SELECT a, ?", "SELECT", ""},
	{PG | SQL_CUT, "SELECT a FROM custom", "SELECT a FROM", "SELECT", ""},
	{PG | SQL_CUT, "SELECT a FROM t WHERE b = 1", "SELECT a FROM t WHERE b = ?", "SELECT", "t"},
	{PG | SQL_CUT, "SELECT a, $tag$ it's", "SELECT a, ?", "SELECT", ""},
	{PG | SQL_CUT, "SEL", "", "", ""},
};

START_TEST(statements)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char targets[512] = "";

		read_as(table[i].text, table[i].flags);
		ck_assert_msg(!strcmp(told, table[i].told), "%s\ngives %s\nnot   %s", table[i].text,
			      told, table[i].told);
		ck_assert_msg(!strcmp(sql.operation, table[i].operation), "%s: %s", table[i].text,
			      sql.operation);
		ck_assert_uint_eq(sql.operation_len, strlen(sql.operation));
		for (uint32_t t = 0; t < sql.target_count; t++) {
			ck_assert_uint_eq(sql.target_len[t], strlen(sql.target[t]));
			if (t)
				strcat(targets, " ");
			strcat(targets, sql.target[t]);
		}
		ck_assert_msg(!strcmp(targets, table[i].targets), "%s: %s", table[i].text, targets);
		ck_assert_int_eq(sql.digest != 0, told[0] != '\0');
		if (table[i].flags & SQL_CUT)
			ck_assert(sql.text_cut);
	}
}
END_TEST

/* What is told of the beginning of a statement is the beginning of what is told of all of it. */
START_TEST(cut_anywhere)
{
	for (size_t i = 0; i < sizeof(table) / sizeof(table[0]); i++) {
		char whole[1024], part[1024];

		strcpy(whole, read_as(table[i].text, table[i].flags));
		if (!whole[0])
			continue;
		for (size_t n = 0; n < strlen(table[i].text); n++) {
			memcpy(part, table[i].text, n);
			part[n] = '\0';
			read_as(part, table[i].flags | SQL_CUT);
			ck_assert_msg(!strncmp(told, whole, strlen(told)), "%s\ngives %s\nof    %s",
				      part, told, whole);
		}
	}
}
END_TEST

/* Statements that differ in their literals, case, white space and comments only. */
START_TEST(digests)
{
	uint64_t digest;

	read_as("SELECT * FROM t WHERE a IN (1, 2) AND b = 'x'", PG);
	digest = sql.digest;
	read_as("select *  from T where a in ($1) /* c */ and b = $2;", PG);
	ck_assert_uint_eq(sql.digest, digest);
	read_as("SELECT * FROM u WHERE a IN (1, 2) AND b = 'x'", PG);
	ck_assert_uint_ne(sql.digest, digest);
	/* The same in every release of one major version: xxh64sum of "select ?". */
	read_as("SELECT 1", PG);
	ck_assert_uint_eq(sql.digest, UINT64_C(0x5CEBF5A72FB4640C));
}
END_TEST

START_TEST(traceparent)
{
	/* The example of sqlcommenter's specification. */
	static const char text[] =
		"SELECT * FROM FOO /*action='%2Fparam*d',controller='index,'framework='spring',"
		"traceparent='00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01',"
		"tracestate='congo%3Dt61rcWkgMzE%2Crojo%3D00f067aa0ba902b7'*/";
	char out[sizeof(text)];

	sql_read(text, sizeof(text) - 1, PG, out, &sql);
	ck_assert_uint_eq(sql.text_len, strlen("SELECT * FROM FOO"));
	ck_assert_uint_eq(sql.traceparent_len, 55);
	ck_assert(!memcmp(sql.traceparent,
			  "00-5bd66ef5095369c7b0d1f8f4bd33716a-c532cb4098ac3dd2-01", 55));
	read_as("SELECT 'traceparent=''00-x''' /* traceparent='00 */", PG);
	ck_assert_ptr_null(sql.traceparent);
}
END_TEST

START_TEST(types)
{
	ck_assert_uint_eq(sql_operation_type("SELECT"), APPMON_OP_READ);
	ck_assert_uint_eq(sql_operation_type("INSERT"), APPMON_OP_WRITE);
	ck_assert_uint_eq(sql_operation_type("CALL"), APPMON_OP_CALL);
	ck_assert_uint_eq(sql_operation_type("COMMIT"), APPMON_OP_SESSION);
	ck_assert_uint_eq(sql_operation_type("CREATE"), APPMON_OP_OTHER);
	ck_assert_uint_eq(sql_operation_type(""), APPMON_OP_OTHER);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {statements, cut_anywhere, digests, traceparent, types, NULL};

	return unit_run("sql", tests, setup, teardown);
}
