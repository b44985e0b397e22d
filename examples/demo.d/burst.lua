-- SPDX-License-Identifier: BSD-2-Clause
-- wrk -s burst.lua URL -- SECONDS PATH...: asks for the paths in turn, then stops each connection
-- after a complete response, so that no request is left in the air. Needs one connection a thread
-- and a longer -d. Ends with "burst REQUESTS P50 P95" (microseconds).

local ffi = require("ffi")
ffi.cdef([[
	struct timeval { long sec, usec; };
	int gettimeofday(struct timeval *tv, void *zone);
]])

local most = 10000 -- requests a connection
local requests, sent, answered, stop_at = {}, 0, 0, nil

local function now()
	local tv = ffi.new("struct timeval")

	ffi.C.gettimeofday(tv, nil)
	return tonumber(tv.sec) + tonumber(tv.usec) / 1e6
end

function init(args)
	stop_at = now() + tonumber(args[1])
	for i = 2, #args do
		table.insert(requests, wrk.format("GET", args[i], { ["User-Agent"] = "wrk" }))
	end
end

function request()
	sent = sent + 1
	return requests[sent % #requests + 1]
end

function response()
	answered = answered + 1
	if answered >= most or now() >= stop_at then
		wrk.thread:stop()
	end
end

function done(summary, latency)
	print(string.format("burst %d %d %d", summary.requests, latency:percentile(50),
		latency:percentile(95)))
end
