-- Forgets calls, places and what was learned of a key, and that calls may have been lost. With a limit of all users
-- go the places of all lines that wait for it.
--
-- ARGV     key, then seconds for each limit

local key, longest = ARGV[1], 0
for i = 2, #ARGV do
    redis.call('DEL', log_of(key, ARGV[i]))
    redis.call('ZREM', base .. 'limits', key .. ';' .. ARGV[i])
    redis.call('HDEL', base .. 'amounts', key .. ';' .. ARGV[i])
    longest = math.max(longest, ARGV[i])
end
for _, waiting in ipairs(redis.call('ZRANGE', base .. 'lines:' .. key, 0, -1)) do
    redis.call('DEL', base .. 'line:' .. waiting)
end
for _, part in ipairs({'learned', 'lines', 'positions', 'waiting', 'position', 'line'}) do
    redis.call('DEL', base .. part .. ':' .. key)
end
redis.call('SET', base .. 'reset:' .. key, text(now), 'EX', longest + LISTED)
