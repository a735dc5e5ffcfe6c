-- What every script of limits begins with, behind the constants of scripts.py.
--
-- KEYS[1]  what all keys begin with; a hash tag, so that a cluster keeps them together

local base = KEYS[1]
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6

local function text(seconds)
    return string.format('%.6f', seconds)
end

local function score(log, rank)
    return tonumber(redis.call('ZRANGE', log, rank, rank, 'WITHSCORES')[2])
end

local function log_of(key, seconds)
    return base .. 'log:' .. key .. ';' .. seconds
end

-- The share of its amount that a key may use since the service refused calls.
local function recovered(share, at, recovery)
    return share and math.min(1, share + (now - at) / recovery) or 1
end

-- A limit as it is now: what it allows, since when it counts, and until when it is closed.
local function limit_of(key, seconds, amount, guard, lost)
    local limit = {
        width = seconds + guard + SLACK, cycle = seconds + guard, amount = tonumber(amount), closed = 0,
        log = log_of(key, seconds),
    }
    local learned = redis.call('HMGET', base .. 'learned:' .. key, 'until', 'share', 'at', 'recovery')
    if learned[1] then limit.closed = tonumber(learned[1]) end
    if learned[2] then
        limit.amount = math.max(1, math.floor(limit.amount * recovered(learned[2], learned[3], learned[4])))
    end
    -- Turns that were given before the loss may still come. A key that was reset since then is forgiven.
    local known = lost + AHEAD + limit.width
    if known > now and lost > tonumber(redis.call('GET', base .. 'reset:' .. key) or 0) then
        limit.closed = math.max(limit.closed, known)
    end
    redis.call('ZREMRANGEBYSCORE', limit.log, '-inf', '(' .. text(now - limit.width - IDLE))
    limit.size = redis.call('ZCARD', limit.log)
    return limit
end

local function conflict(limit, at)
    local before_it = redis.call('ZCOUNT', limit.log, '-inf', text(at))
    for first = math.min(before_it, limit.size - limit.amount), math.max(0, before_it - limit.amount), -1 do
        local start, finish = score(limit.log, first), score(limit.log, first + limit.amount - 1)
        if math.max(at, finish) - math.min(at, start) < limit.width - ROUNDING then return start + limit.width end
    end
end

local function earliest(limit, at)
    local moved = conflict(limit, at)
    while moved do at, moved = moved, conflict(limit, moved) end
    return at
end

-- Forgets lines that wait for a limit of all users, but of which nothing was heard.
local function forget_overdue(key)
    local lines = base .. 'lines:' .. key
    for _, gone_line in ipairs(redis.call('ZRANGEBYSCORE', lines, '-inf', '(' .. text(now))) do
        redis.call('ZREM', lines, gone_line)
        redis.call('ZREM', base .. 'positions:' .. key, gone_line)
        redis.call('HDEL', base .. 'waiting:' .. key, gone_line)
        redis.call('DEL', base .. 'line:' .. gone_line)
    end
end
