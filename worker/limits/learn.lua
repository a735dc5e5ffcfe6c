-- What a service has said of a key: no calls for a while, and that its amount is too high.
--
-- ARGV     key, seconds, slow_down, recovery

local key = base .. 'learned:' .. ARGV[1]
local seconds, recovery = tonumber(ARGV[2]), tonumber(ARGV[4])
local known = redis.call('HMGET', key, 'until', 'share', 'at', 'recovery')
local closed = math.max(tonumber(known[1] or 0), now + seconds)
redis.call('HSET', key, 'until', text(closed))
if ARGV[3] == '1' and not (known[3] and now - known[3] <= HALVING) then
    local share = recovered(known[2], known[3], known[4])
    redis.call('HSET', key, 'share', math.max(share / 2, SLOWEST), 'at', text(now), 'recovery', recovery)
end
redis.call('EXPIRE', key, math.ceil(math.max(closed - now, recovery)) + 1)
