-- Takes a message out of its line. The same as MemoryReservations.leave.
--
-- ARGV     line

local line = base .. 'line:' .. ARGV[1]
local counts = redis.call('HMGET', line, 'last', 'gone')
local last, gone = tonumber(counts[1] or 0), (counts[2] or 0) + 1
if gone >= last then
    redis.call('DEL', line)
else
    redis.call('HSET', line, 'gone', gone)
end
