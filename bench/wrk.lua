-- What wrk has seen, in one line that wrk.c reads; and what it does not look at.
--
-- wrk never gives up a request: a client that the server leaves waiting for good is no error to it,
-- it has merely asked less.  Nor is a connection that the server closes after a response, which wrk
-- makes anew in silence.  Both can be read off the sockets, which are still open here: how much
-- they have received, and how long ago (TCP_INFO, whose layout the kernel never changes).
--
-- There is no function for requests or responses, since calling it would slow wrk down.

local ffi = require("ffi")
ffi.cdef("int getsockopt(int fd, int level, int name, void *value, unsigned *size);")

local IPPROTO_TCP = 6
local TCP_INFO = 11
local LAST_DATA_RECEIVED = 52 / 4 -- in ms
local BYTES_RECEIVED = 128 / 8
local INFO_SIZE = 136
local OTHER_FILES = 256
local PATIENCE_MS = 2000 -- wrk's own limit, for the replies that do come

local function look_at_sockets()
	local info = ffi.new("uint64_t[?]", INFO_SIZE / 8)
	local words = ffi.cast("uint32_t *", info)
	local size = ffi.new("unsigned[1]")
	local waiting, received = 0, 0

	for fd = 3, tonumber(os.getenv("WRK_CLIENTS")) + OTHER_FILES do
		size[0] = INFO_SIZE
		if ffi.C.getsockopt(fd, IPPROTO_TCP, TCP_INFO, info, size) == 0 and size[0] == INFO_SIZE then
			received = received + tonumber(info[BYTES_RECEIVED])
			if info[BYTES_RECEIVED] == 0 or words[LAST_DATA_RECEIVED] > PATIENCE_MS then
				waiting = waiting + 1
			end
		end
	end
	return waiting, received
end

function done(summary, latency, requests)
	local errors = summary.errors
	local waiting, received = look_at_sockets()

	io.write(string.format("figures requests=%d us=%d p50=%d p99=%d p999=%d connect=%d read=%d " ..
		"write=%d status=%d timeout=%d waiting=%d reconnected=%d\n",
		summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
		latency:percentile(99.9), errors.connect, errors.read, errors.write, errors.status,
		errors.timeout, waiting, received < summary.bytes and 1 or 0))
end
