-- What a limit looks like now. The same as MemoryReservations.states.
--
-- ARGV     guard, key, seconds, amount, is_shared
-- returns  used, waiting, seconds, amount

local key = ARGV[2]
local limit = limit_of(key, ARGV[3], ARGV[4], ARGV[1], tonumber(redis.call('GET', base .. 'lost') or 0))
local lines = {key}
if ARGV[5] == '1' then lines = redis.call('ZRANGEBYSCORE', base .. 'lines:' .. key, text(now), '+inf') end
local waiting = 0
for _, line in ipairs(lines) do
    local counts = redis.call('HMGET', base .. 'line:' .. line, 'last', 'gone')
    waiting = waiting + (counts[1] or 0) - (counts[2] or 0)
end
local used = redis.call('ZCOUNT', limit.log, '(' .. text(now - limit.width), '+inf')
return {used, waiting, text(earliest(limit, math.max(now, limit.closed)) - now), limit.amount}
