-- Reserves a turn, or says how long it will take. The same as MemoryReservations.ask, by the server's clock.
--
-- KEYS[1]  what all keys begin with; a hash tag, so that a cluster keeps them together
-- ARGV     member, line, place, is_renewal, guard, ahead, patience, recovery, known epoch, new epoch,
--          slack, for how long it holds, then key, seconds, amount, is_shared for each limit
-- returns  is_turn, seconds, now, place, waiting, epoch, slack

local base = KEYS[1]
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local member, line, place = ARGV[1], ARGV[2], tonumber(ARGV[3])
local is_renewal, guard, ahead = ARGV[4] == '1', tonumber(ARGV[5]), tonumber(ARGV[6])
local patience, recovery = tonumber(ARGV[7]), tonumber(ARGV[8])
local ROUNDING, KEPT = 1e-5, 7 * 86400

-- A server that has lost its data has lost calls that still count: whoever knew it before tells by the epoch.
local epoch = redis.call('GET', base .. 'epoch')
if not epoch then
    epoch = ARGV[10]
    redis.call('SET', base .. 'epoch', epoch)
end
if ARGV[9] ~= '' and ARGV[9] ~= epoch then
    redis.call('SET', base .. 'lost', string.format('%.6f', now), 'NX')
end
local lost = tonumber(redis.call('GET', base .. 'lost') or 0)

local slack = tonumber(ARGV[11])
local common = tonumber(redis.call('GET', base .. 'slack') or 0)
if slack >= common then
    redis.call('SET', base .. 'slack', ARGV[11], 'EX', ARGV[12])
else
    slack = common
end

local line_key, turns_key = base .. 'line:' .. line, base .. 'turns:' .. line
local limits = {}
for i = 13, #ARGV, 4 do
    local key, seconds = ARGV[i], tonumber(ARGV[i + 1])
    local limit = {
        key = key, width = seconds + guard + slack, amount = tonumber(ARGV[i + 2]), is_shared = ARGV[i + 3] == '1',
        log = base .. 'log:' .. key .. ';' .. ARGV[i + 1], lines = base .. 'lines:' .. key, closed = 0, others = 0,
        name = key .. ';' .. ARGV[i + 1] .. ';' .. ARGV[i + 2],
    }
    local learned = redis.call('HMGET', base .. 'learned:' .. key, 'until', 'share', 'at')
    if learned[1] then limit.closed = tonumber(learned[1]) end
    if learned[2] then
        local share = math.min(1, learned[2] + (now - learned[3]) / recovery)
        limit.amount = math.max(1, math.floor(limit.amount * share))
    end
    if lost > 0 then limit.closed = math.max(limit.closed, lost + limit.width) end
    if is_renewal then redis.call('ZREM', limit.log, member) end
    redis.call('ZREMRANGEBYSCORE', limit.log, '-inf', string.format('(%.6f', now - limit.width - 1))
    limit.past = redis.call('ZCOUNT', limit.log, '-inf', string.format('%.6f', now - limit.width))
    limit.size = redis.call('ZCARD', limit.log)
    if limit.is_shared then
        limit.others = redis.call('ZCOUNT', limit.lines, string.format('%.6f', now), '+inf')
        local own = redis.call('ZSCORE', limit.lines, line)
        if own and tonumber(own) >= now then limit.others = limit.others - 1 end
    end
    limits[#limits + 1] = limit
end

local function score(log, rank)
    return tonumber(redis.call('ZRANGE', log, rank, rank, 'WITHSCORES')[2])
end

local function earliest(limit, at)
    while true do
        local before = redis.call('ZCOUNT', limit.log, '-inf', string.format('%.6f', at))
        local moved = nil
        for first = math.max(0, before - limit.amount), math.min(before, limit.size - limit.amount) do
            local start, last = score(limit.log, first), score(limit.log, first + limit.amount - 1)
            if math.max(at, last) - math.min(at, start) < limit.width - ROUNDING then
                moved = math.max(moved or at, start + limit.width)
            end
        end
        if not moved then return at end
        at = moved
    end
end

local function spaced(limit, at)
    if limit.size == 0 then return at end
    local last = score(limit.log, limit.size - 1)
    if last > at then return at end
    local even, is_used = limit.width / limit.amount, (limit.size - limit.past) * 2 > limit.amount
    return math.max(at, last + (is_used and math.min(0.8 * even, 0.02) or math.min(0.3 * even, 0.005)))
end

local function turn_of(is_spaced)
    local turn, is_moving = now, true
    for _, limit in ipairs(limits) do turn = math.max(turn, limit.closed) end
    while is_moving do
        is_moving = false
        for _, limit in ipairs(limits) do
            local fit = earliest(limit, turn)
            if is_spaced then fit = spaced(limit, fit) end
            if fit > turn then turn, is_moving = fit, true end
        end
    end
    return turn
end

local free, turn = turn_of(false), turn_of(true)

-- How long the messages before this one in its line take, each line having its share.
local counts = redis.call('HMGET', line_key, 'last', 'gone')
local last, gone = tonumber(counts[1] or 0), tonumber(counts[2] or 0)
if place > last then place = 0 end
local before = math.max(0, (place > 0 and place - 1 or last) - gone)
if is_renewal then redis.call('ZREM', turns_key, member) end
redis.call('ZREMRANGEBYSCORE', turns_key, '-inf', string.format('(%.6f', now))
local reserved = redis.call('ZCARD', turns_key)
local foreseen, is_fair = 0, true
for _, limit in ipairs(limits) do
    local calls, used = before * (limit.others + 1), limit.size - limit.past
    local behind = calls - (limit.amount - used)
    foreseen = math.max(foreseen, limit.closed - now)
    if behind >= 0 then
        local index = behind % limit.amount
        local start = index < used and score(limit.log, limit.past + index) or now
        foreseen = math.max(foreseen, start + limit.width * (math.floor(behind / limit.amount) + 1) - now)
    end
    local share = limit.amount / limit.width / (limit.others + 1)
    if limit.others > 0 and reserved > share * ahead then is_fair = false end
    redis.call('ZADD', base .. 'seen', string.format('%.6f', now), limit.name)
end

local is_next = is_renewal or (foreseen <= ahead and is_fair)
if turn <= now + ahead and (free <= now or is_next) then
    local at = string.format('%.6f', turn)
    for _, limit in ipairs(limits) do
        redis.call('ZADD', limit.log, at, member)
        redis.call('EXPIRE', limit.log, math.ceil(limit.width + ahead) + 2)
    end
    redis.call('ZADD', turns_key, at, member)
    redis.call('EXPIRE', turns_key, math.ceil(ahead) + 2)
    if place > gone then
        gone = place
        redis.call('HSET', line_key, 'gone', gone)
    end
    if gone >= last then
        for _, limit in ipairs(limits) do
            if limit.is_shared then redis.call('ZREM', limit.lines, line) end
        end
    end
    return {1, string.format('%.6f', turn - now), string.format('%.6f', now), place, last - gone, epoch, string.format('%.6f', slack)}
end

if place == 0 then
    last = last + 1
    place = last
    redis.call('HSET', line_key, 'last', last)
end
local seconds = math.max(turn - now, foreseen)
redis.call('EXPIRE', line_key, math.ceil(seconds) + KEPT)
for _, limit in ipairs(limits) do
    if limit.is_shared then
        redis.call('ZADD', limit.lines, string.format('%.6f', now + seconds + patience), line)
        redis.call('ZREMRANGEBYSCORE', limit.lines, '-inf', string.format('(%.6f', now))
        redis.call('EXPIRE', limit.lines, math.ceil(seconds) + KEPT)
    end
end
return {0, string.format('%.6f', seconds), string.format('%.6f', now), place, last - gone, epoch, string.format('%.6f', slack)}
