/* SPDX-License-Identifier: BSD-2-Clause */
/* RESP's part of an event. */
#include <stdlib.h>

#include "protocol/resp/resp.h"

/* By the flags and categories that Redis gives its commands (COMMAND); in order. */
/* clang-format off */
static const char *const reading[] = {
	"bitcount", "bitfield_ro", "bitpos", "dbsize", "dump", "exists", "expiretime",
	"geodist", "geohash", "geopos", "georadius_ro", "georadiusbymember_ro", "geosearch",
	"get", "getbit", "getrange", "hexists", "hget", "hgetall", "hkeys", "hlen", "hmget",
	"hrandfield", "hscan", "hstrlen", "hvals", "keys", "lcs", "lindex", "llen", "lpos",
	"lrange", "mget", "pexpiretime", "pfcount", "pttl", "randomkey", "scan", "scard",
	"sdiff", "sinter", "sintercard", "sismember", "smembers", "smismember", "sort_ro",
	"srandmember", "sscan", "strlen", "substr", "sunion", "touch", "ttl", "type", "xlen",
	"xpending", "xrange", "xread", "xrevrange", "zcard", "zcount", "zdiff", "zinter",
	"zintercard", "zlexcount", "zmscore", "zrandmember", "zrange", "zrangebylex",
	"zrangebyscore", "zrank", "zrevrange", "zrevrangebylex", "zrevrangebyscore", "zrevrank",
	"zscan", "zscore", "zunion",
};
static const char *const writing[] = {
	"append", "bitfield", "bitop", "blmove", "blmpop", "blpop", "brpop", "brpoplpush",
	"bzmpop", "bzpopmax", "bzpopmin", "copy", "decr", "decrby", "del", "expire", "expireat",
	"flushall", "flushdb", "geoadd", "georadius", "georadiusbymember", "geosearchstore",
	"getdel", "getex", "getset", "hdel", "hincrby", "hincrbyfloat", "hmset", "hset",
	"hsetnx", "incr", "incrby", "incrbyfloat", "linsert", "lmove", "lmpop", "lpop", "lpush",
	"lpushx", "lrem", "lset", "ltrim", "migrate", "move", "mset", "msetnx", "persist",
	"pexpire", "pexpireat", "pfadd", "pfdebug", "pfmerge", "psetex", "rename", "renamenx",
	"restore", "restore-asking", "rpop", "rpoplpush", "rpush", "rpushx", "sadd",
	"sdiffstore", "set", "setbit", "setex", "setnx", "setrange", "sinterstore", "smove",
	"sort", "spop", "srem", "sunionstore", "swapdb", "unlink", "xack", "xadd", "xautoclaim",
	"xclaim", "xdel", "xreadgroup", "xsetid", "xtrim", "zadd", "zdiffstore", "zincrby",
	"zinterstore", "zmpop", "zpopmax", "zpopmin", "zrangestore", "zrem", "zremrangebylex",
	"zremrangebyrank", "zremrangebyscore", "zunionstore",
};
/* clang-format on */
static const char *const calling[] = {"eval",	    "eval_ro", "evalsha",
				      "evalsha_ro", "fcall",   "fcall_ro"};
static const char *const publishing[] = {"publish", "spublish"};
static const char *const receiving[] = {"psubscribe", "punsubscribe", "ssubscribe",
					"subscribe",  "sunsubscribe", "unsubscribe"};
static const char *const session[] = {"asking", "auth",	    "client",	 "echo",  "hello", "ping",
				      "quit",	"readonly", "readwrite", "reset", "select"};

#define WORDS_OF(list) list, sizeof(list) / sizeof(list[0])

static const struct {
	uint32_t type;
	const char *const *words;
	size_t count;
} operation_types[] = {
	{APPMON_OP_READ, WORDS_OF(reading)},	  {APPMON_OP_WRITE, WORDS_OF(writing)},
	{APPMON_OP_CALL, WORDS_OF(calling)},	  {APPMON_OP_PUBLISH, WORDS_OF(publishing)},
	{APPMON_OP_RECEIVE, WORDS_OF(receiving)}, {APPMON_OP_SESSION, WORDS_OF(session)},
};

static int compare_words(const void *key, const void *word)
{
	return strcasecmp(key, *(const char *const *)word);
}

static bool is_listed(const char *word, const char *const *list, size_t count)
{
	return bsearch(word, list, count, sizeof(*list), compare_words);
}

static uint32_t operation_type(const char *command)
{
	for (size_t i = 0; i < sizeof(operation_types) / sizeof(operation_types[0]); i++)
		if (is_listed(command, operation_types[i].words, operation_types[i].count))
			return operation_types[i].type;
	return APPMON_OP_OTHER;
}

/* "WRONGTYPE Operation against ...": the word in front, as Redis has it in its error statistics. */
static uint32_t error_prefix(const struct appmon_str *error)
{
	uint32_t n = 0;

	while (n < error->len &&
	       ((error->data[n] >= 'A' && error->data[n] <= 'Z') ||
		(error->data[n] >= '0' && error->data[n] <= '9') || error->data[n] == '_'))
		n++;
	return n == error->len || error->data[n] == ' ' ? n : 0;
}

static uint32_t error_outcome(const char *prefix)
{
	static const char *const elsewhere[] = {"ASK", "MOVED"};
	/* Whatever is asked, it is refused for the state that the server is in. */
	static const char *const unable[] = {"BUSY",	"CLUSTERDOWN", "LOADING", "MASTERDOWN",
					     "MISCONF", "NOREPLICAS",  "OOM",	  "TRYAGAIN"};

	if (is_listed(prefix, WORDS_OF(elsewhere)))
		return APPMON_OUTCOME_OK;
	return is_listed(prefix, WORDS_OF(unable)) ? APPMON_OUTCOME_SERVER_ERROR
						   : APPMON_OUTCOME_CLIENT_ERROR;
}

/* All is copied: there is no blank between the words that are kept. */
size_t resp_event_bytes(const struct pipeline *pl, const struct exchange *ex)
{
	const struct kept *request = ex->request, *response = ex->response;

	(void)pl;
	/* An error's text and its prefix. Four strings. */
	return (request ? request->len[0] + request->len[1] : 0) +
	       (response ? 2 * (size_t)response->len[1] : 0) + 4;
}

void resp_fill(struct event_writer *w, const struct exchange *ex)
{
	const struct kept *request = ex->request, *response = ex->response;
	struct appmon_event *ev = w->ev;

	ev->system = (struct appmon_str){.data = "redis", .len = 5};
	if (request) {
		ev->operation = put_copy(w, request->bytes, request->len[0]);
		ev->resource = put_copy(w, request->bytes + request->len[0], request->len[1]);
		ev->operation_type = operation_type(ev->operation.data);
	}
	if (!response) {
		ev->outcome = outcome_unanswered(ex);
		return;
	}
	ev->message = put_copy(w, response->bytes, response->len[1]);
	ev->status_text = put_copy(w, ev->message.data, error_prefix(&ev->message));
	ev->outcome = pending(ex)->error ? error_outcome(ev->status_text.data) : APPMON_OUTCOME_OK;
}
