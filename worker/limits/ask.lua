-- Reserves a turn, or says how long it will take. The same as MemoryReservations.ask, by the server's clock.
--
-- ARGV     member, line, place, is_renewal, guard, known epoch, turns known of it, new epoch,
--          then key, seconds, amount, is_shared for each limit
-- returns  is_turn, seconds, now, place, waiting, epoch, turns

local member, line, place = ARGV[1], ARGV[2], tonumber(ARGV[3])
local is_renewal, guard, FIRST, KEPT = ARGV[4] == '1', tonumber(ARGV[5]), 9, 7 * 86400

-- A server that has lost its data, or has come back with older data, has lost calls that still count. Who knew it
-- before tells by the epoch and the turns that it has counted: once for each epoch, as all its turns were given before.
local function lost_and_epoch(known, known_turns, new)
    local found = redis.call('MGET', base .. 'lost', base .. 'epoch', base .. 'turns')
    local lost, epoch, turns = tonumber(found[1] or 0), found[2] or new, tonumber(found[3] or 0)
    local is_older = known ~= '' and (known ~= epoch or known_turns > turns)
    if is_older and redis.call('SADD', base .. 'lost_epochs', known) == 1 then
        lost = now
        redis.call('SET', base .. 'lost', text(lost))
        if known == epoch then epoch = new end
    end
    if epoch ~= found[2] then redis.call('SET', base .. 'epoch', epoch) end
    return lost, epoch, turns
end

local lost, epoch, turns = lost_and_epoch(ARGV[6], tonumber(ARGV[7]), ARGV[8])

for i = FIRST, #ARGV, 4 do
    if is_renewal then redis.call('ZREM', log_of(ARGV[i], ARGV[i + 1]), member) end
    if ARGV[i + 3] == '1' then forget_overdue(ARGV[i]) end
end

local line_key = base .. 'line:' .. line
local counts = redis.call('HMGET', line_key, 'last', 'gone')
local last, gone = tonumber(counts[1] or 0), tonumber(counts[2] or 0)
if place > last then place = 0 end
local before = math.max(0, (place > 0 and place - 1 or last) - gone)

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
    share.position = tonumber(redis.call('GET', share.position_key) or 0)
    share.raw = tonumber(redis.call('ZSCORE', share.positions, line) or nil)
    share.own = share.raw and math.max(share.raw, share.position - LAG) or share.position
    others_of(share)
    shares[key] = share
    return share
end

local limits, own_limits, used, amounts = {}, '', {}, {}
for i = FIRST, #ARGV, 4 do
    local key, seconds, amount = ARGV[i], ARGV[i + 1], ARGV[i + 2]
    local limit = limit_of(key, seconds, amount, guard, lost)
    limit.calls = before
    if ARGV[i + 3] == '1' then
        limit.calls = calls_before(share_of(key), limit.amount / limit.cycle)
    else
        own_limits = own_limits .. ' ' .. seconds .. ' ' .. amount
    end
    local name = key .. ';' .. seconds
    used[#used + 1], used[#used + 2] = text(now), name
    amounts[#amounts + 1], amounts[#amounts + 2] = name, amount
    limits[#limits + 1] = limit
end

-- What `limits list` shows: no more than was used in the last day, whether or not anybody looks.
local function list_limits()
    local all, known = base .. 'limits', base .. 'amounts'
    redis.call('ZADD', all, unpack(used))
    redis.call('HSET', known, unpack(amounts))
    local unused = redis.call('ZRANGEBYSCORE', all, '-inf', text(now - LISTED), 'LIMIT', 0, 10)
    if #unused > 0 then
        redis.call('ZREM', all, unpack(unused))
        redis.call('HDEL', known, unpack(unused))
    end
    redis.call('EXPIRE', all, LISTED)
    redis.call('EXPIRE', known, LISTED)
end
list_limits()

local function spaced(limit, at)
    if limit.size == 0 then return at end
    local latest = score(limit.log, limit.size - 1)
    if latest > at then return at end
    local spacing = SPACINGS[limit.size * 2 > limit.amount and 2 or 1]
    return math.max(at, latest + math.min(spacing[1] * limit.width / limit.amount, spacing[2]))
end

local turn, is_moving = now, true
for _, limit in ipairs(limits) do turn = math.max(turn, limit.closed) end
while is_moving do
    is_moving = false
    for _, limit in ipairs(limits) do
        local fit = spaced(limit, earliest(limit, turn))
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

local may_go = is_renewal or idle > IDLE or foreseen <= AHEAD + EAGERNESS * idle
if may_go and turn <= now + AHEAD then
    for _, limit in ipairs(limits) do
        redis.call('ZADD', limit.log, text(turn), member)
        redis.call('EXPIRE', limit.log, math.ceil(limit.width + AHEAD + IDLE) + 2)
    end
    if place > 0 then
        gone = math.min(last, math.max(gone + 1, idle > IDLE and place or 0))
        if gone < last then redis.call('HSET', line_key, 'gone', gone) else redis.call('DEL', line_key) end
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
    return {1, text(turn - now), text(now), place, last - gone, epoch, redis.call('INCR', base .. 'turns')}
end

if place == 0 then
    last = last + 1
    place = last
    redis.call('HSET', line_key, 'last', last)
end
local seconds = math.max(turn - now, foreseen)
redis.call('EXPIRE', line_key, math.ceil(seconds) + KEPT)
for _, share in pairs(shares) do
    redis.call('ZADD', share.lines, 'GT', text(now + seconds + PATIENCE), line)
    if not share.raw then redis.call('ZADD', share.positions, share.own, line) end
    redis.call('HSET', share.waiting, line, last - gone .. own_limits)
    for _, name in ipairs({share.lines, share.positions, share.waiting}) do
        redis.call('EXPIRE', name, math.ceil(seconds) + KEPT)
    end
end
return {0, text(seconds), text(now), place, last - gone, epoch, turns}
