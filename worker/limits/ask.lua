-- Reserves a turn, or says how long it will take. The same as MemoryReservations.ask, by the server's clock.
--
-- KEYS[1]  what all keys begin with; a hash tag, so that a cluster keeps them together
-- ARGV     member, line, place, is_renewal, guard, slack, ahead, eagerness, patience, recovery, known epoch, new epoch,
--          then key, seconds, amount, is_shared for each limit
-- returns  is_turn, seconds, now, place, waiting, epoch

local base = KEYS[1]
local time = redis.call('TIME')
local now = time[1] + time[2] / 1e6
local member, line, place = ARGV[1], ARGV[2], tonumber(ARGV[3])
local is_renewal, guard, slack, ahead = ARGV[4] == '1', tonumber(ARGV[5]), tonumber(ARGV[6]), tonumber(ARGV[7])
local eagerness, patience, recovery = tonumber(ARGV[8]), tonumber(ARGV[9]), tonumber(ARGV[10])
local ROUNDING, KEPT, IDLE, LAG, SAMPLE, PASSES, FEW = 1e-5, 7 * 86400, 0.5, 10, 64, 3, 5

local function text(seconds)
    return string.format('%.6f', seconds)
end

-- A server that has lost its data has lost calls that still count: whoever knew it before tells by the epoch.
local epoch = redis.call('GET', base .. 'epoch')
if not epoch then
    epoch = ARGV[12]
    redis.call('SET', base .. 'epoch', epoch)
end
if ARGV[11] ~= '' and ARGV[11] ~= epoch then redis.call('SET', base .. 'lost', text(now), 'NX') end
local lost = tonumber(redis.call('GET', base .. 'lost') or 0)

local line_key = base .. 'line:' .. line
local counts = redis.call('HMGET', line_key, 'last', 'gone')
local last = tonumber(counts[1] or 0)
local gone = math.min(last, tonumber(counts[2] or 0))
if place > last then place = 0 end
local before = math.max(0, (place > 0 and place - 1 or last) - gone)

local function score(log, rank)
    return tonumber(redis.call('ZRANGE', log, rank, rank, 'WITHSCORES')[2])
end

-- The lines that wait for a limit of all users: each goes one step in turn, as in fairness.py.
local shares = {}
local function others_of(share)
    local floor, names, steps = share.position - LAG, {}, {}
    share.count = redis.call('ZCOUNT', share.positions, floor, '+inf') - (share.raw and share.raw >= floor and 1 or 0)
    share.looked_at, share.free, share.bounded = 0, 0, {}
    if share.count == 0 then return end
    local found = redis.call('ZRANGEBYSCORE', share.positions, floor, '+inf', 'WITHSCORES', 'LIMIT', 0, SAMPLE + 1)
    for i = 1, #found, 2 do
        if found[i] ~= line and share.looked_at < SAMPLE then
            share.looked_at = share.looked_at + 1
            local ahead_of_us = share.own + before - tonumber(found[i + 1])
            if ahead_of_us > 0 then names[#names + 1], steps[#steps + 1] = found[i], ahead_of_us end
        end
    end
    if #names == 0 then return end
    for i, known in ipairs(redis.call('HMGET', share.waiting, unpack(names))) do
        local waiting, own = string.match(known or '0', '^(%d+)(.*)$')
        local most = math.min(steps[i], tonumber(waiting))
        if most > FEW and own ~= '' then
            local other = {most = most, limits = {}}
            for seconds, amount in string.gmatch(own, '(%d+) (%d+)') do
                other.limits[#other.limits + 1] = {seconds = tonumber(seconds), amount = tonumber(amount)}
            end
            share.bounded[#share.bounded + 1] = other
        else
            share.free = share.free + most
        end
    end
end

local function calls_before(share, rate)
    if share.count == 0 then return before end
    local calls = math.huge
    for _ = 1, #share.bounded > 0 and PASSES or 1 do
        local seconds, sum = calls / rate, share.free
        for _, other in ipairs(share.bounded) do
            local most = other.most
            for _, own in ipairs(other.limits) do most = math.min(most, own.amount * (1 + seconds / own.seconds)) end
            sum = sum + most
        end
        calls = before + sum * share.count / share.looked_at
    end
    return calls
end

local function share_of(key)
    if shares[key] then return shares[key] end
    local share = {
        lines = base .. 'lines:' .. key, positions = base .. 'positions:' .. key, waiting = base .. 'waiting:' .. key,
        position_key = base .. 'position:' .. key,
    }
    for _, gone_line in ipairs(redis.call('ZRANGEBYSCORE', share.lines, '-inf', '(' .. text(now))) do
        redis.call('ZREM', share.lines, gone_line)
        redis.call('ZREM', share.positions, gone_line)
        redis.call('HDEL', share.waiting, gone_line)
        redis.call('DEL', base .. 'line:' .. gone_line)
    end
    share.position = tonumber(redis.call('GET', share.position_key) or 0)
    share.raw = tonumber(redis.call('ZSCORE', share.positions, line) or nil)
    share.own = share.raw and math.max(share.raw, share.position - LAG) or share.position
    others_of(share)
    shares[key] = share
    return share
end

local limits, own_limits = {}, ''
for i = 13, #ARGV, 4 do
    local key, seconds = ARGV[i], tonumber(ARGV[i + 1])
    local limit = {
        width = seconds + guard + slack, cycle = seconds + guard, amount = tonumber(ARGV[i + 2]), closed = 0,
        log = base .. 'log:' .. key .. ';' .. ARGV[i + 1], calls = before,
    }
    local learned = redis.call('HMGET', base .. 'learned:' .. key, 'until', 'share', 'at')
    if learned[1] then limit.closed = tonumber(learned[1]) end
    if learned[2] then
        local share = math.min(1, learned[2] + (now - learned[3]) / recovery)
        limit.amount = math.max(1, math.floor(limit.amount * share))
    end
    -- Turns that were given before may still come.
    if lost > 0 then limit.closed = math.max(limit.closed, lost + ahead + limit.width) end
    if is_renewal then redis.call('ZREM', limit.log, member) end
    redis.call('ZREMRANGEBYSCORE', limit.log, '-inf', '(' .. text(now - limit.width - IDLE))
    limit.size = redis.call('ZCARD', limit.log)
    if ARGV[i + 3] == '1' then
        limit.calls = calls_before(share_of(key), limit.amount / limit.cycle)
    else
        own_limits = own_limits .. ' ' .. ARGV[i + 1] .. ' ' .. ARGV[i + 2]
    end
    redis.call('ZADD', base .. 'seen', text(now), key .. ';' .. ARGV[i + 1] .. ';' .. ARGV[i + 2])
    limits[#limits + 1] = limit
end

local function conflict(limit, at)
    local before_it = redis.call('ZCOUNT', limit.log, '-inf', text(at))
    for first = math.min(before_it, limit.size - limit.amount), math.max(0, before_it - limit.amount), -1 do
        local start, finish = score(limit.log, first), score(limit.log, first + limit.amount - 1)
        if math.max(at, finish) - math.min(at, start) < limit.width - ROUNDING then return start + limit.width end
    end
end

local function spaced(limit, at)
    if limit.size == 0 then return at end
    local latest = score(limit.log, limit.size - 1)
    if latest > at then return at end
    local even, is_used = limit.width / limit.amount, limit.size * 2 > limit.amount
    return math.max(at, latest + (is_used and math.min(0.8 * even, 0.02) or math.min(0.3 * even, 0.005)))
end

local turn, is_moving = now, true
for _, limit in ipairs(limits) do turn = math.max(turn, limit.closed) end
while is_moving do
    is_moving = false
    for _, limit in ipairs(limits) do
        local fit, moved = turn, conflict(limit, turn)
        while moved do fit, moved = moved, conflict(limit, moved) end
        fit = spaced(limit, fit)
        if fit > turn then turn, is_moving = fit, true end
    end
end

local foreseen, idle = 0, math.huge
for _, limit in ipairs(limits) do
    local opens = math.max(now, limit.closed)
    local past = redis.call('ZCOUNT', limit.log, '-inf', text(opens - limit.width))
    local used = limit.size - past
    local behind = math.floor(limit.calls) - (limit.amount - used)
    foreseen = math.max(foreseen, opens - now)
    if behind >= 0 then
        local index = behind % limit.amount
        local start = index < used and score(limit.log, past + index) or opens
        foreseen = math.max(foreseen, start + limit.width + math.floor(behind / limit.amount) * limit.cycle - now)
    end
    local free = limit.size >= limit.amount and score(limit.log, limit.size - limit.amount) + limit.width or -math.huge
    idle = math.min(idle, now - math.max(limit.closed, free))
end
idle = math.max(0, idle)

local may_go = is_renewal or idle > IDLE or foreseen <= ahead + eagerness * idle
if may_go and turn <= now + ahead then
    for _, limit in ipairs(limits) do
        redis.call('ZADD', limit.log, text(turn), member)
        redis.call('EXPIRE', limit.log, math.ceil(limit.width + ahead + IDLE) + 2)
    end
    if place > 0 then
        gone = math.min(last, math.max(gone + 1, idle > IDLE and place or 0))
        redis.call('HSET', line_key, 'gone', gone)
    end
    for _, share in pairs(shares) do
        if share.own > share.position then redis.call('SET', share.position_key, share.own, 'EX', KEPT) end
        if gone >= last then
            redis.call('ZREM', share.lines, line)
            redis.call('ZREM', share.positions, line)
            redis.call('HDEL', share.waiting, line)
        elseif share.raw then
            redis.call('ZADD', share.positions, share.own + 1, line)
            redis.call('HSET', share.waiting, line, last - gone .. own_limits)
        end
    end
    return {1, text(turn - now), text(now), place, last - gone, epoch}
end

if place == 0 then
    last = last + 1
    place = last
    redis.call('HSET', line_key, 'last', last)
end
local seconds = math.max(turn - now, foreseen)
redis.call('EXPIRE', line_key, math.ceil(seconds) + KEPT)
for _, share in pairs(shares) do
    redis.call('ZADD', share.lines, 'GT', text(now + seconds + patience), line)
    if not share.raw then redis.call('ZADD', share.positions, share.own, line) end
    redis.call('HSET', share.waiting, line, last - gone .. own_limits)
    for _, name in ipairs({share.lines, share.positions, share.waiting}) do
        redis.call('EXPIRE', name, math.ceil(seconds) + KEPT)
    end
end
return {0, text(seconds), text(now), place, last - gone, epoch}
