-- What a service has said of a key: no calls for a while, and that its amount is too high.
--
-- KEYS[1]  the hash of the key
-- ARGV     seconds, slow_down, recovery

local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local seconds, recovery = tonumber(ARGV[1]), tonumber(ARGV[3])
local known = redis.call('HMGET', KEYS[1], 'until', 'share', 'at')
local closed = math.max(tonumber(known[1] or 0), now + seconds)
redis.call('HSET', KEYS[1], 'until', string.format('%.6f', closed))
if ARGV[2] == '1' and not (known[3] and now - known[3] < 10) then
    local share = known[2] and math.min(1, known[2] + (now - known[3]) / recovery) or 1
    redis.call('HSET', KEYS[1], 'share', math.max(share / 2, 1 / 64), 'at', string.format('%.6f', now))
end
redis.call('EXPIRE', KEYS[1], math.ceil(math.max(closed - now, recovery)) + 1)
