"""What Redis does in one go with a collection. The rules are those of `worker.storage.comparing.sql`.

META     number, runs, held_by, held_until; expires with the items
ITEMS    id → 16 bytes of digest, then in which run it was written
ANSWERS  of a message: `changes:0`, `ends`, `missing:0`, ...
RUN      number of the collection, began, ended_by, is_over
SEEN     ids
DRAFTED  id → digest, or nothing for an item that is to be removed
"""

DIGEST_BYTES = 16

_OPEN = """
redis.call('HSETNX', META, 'number', FRESH)
local number = redis.call('HGET', META, 'number')
local runs = redis.call('HGET', META, 'runs') or '0'
"""

_WRITE = """
local function write(id, digest)
  if digest == '' then redis.call('HDEL', ITEMS, id)
  else redis.call('HSET', ITEMS, id, digest .. runs) end
end
local function prolong(kept_ms)
  if kept_ms ~= '' then redis.call('PEXPIREAT', META, NOW + kept_ms) end
  local expires = redis.call('PEXPIRETIME', META)
  if expires > 0 then redis.call('PEXPIREAT', ITEMS, expires)
  elseif expires == -2 then redis.call('UNLINK', ITEMS) end  -- its time was up before we came here
end
"""

COMPARE = (
    """
local META, ITEMS, ANSWERS, RUN, SEEN, DRAFTED = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local FRESH, NOW, run, hold, held_ms, notes = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5], ARGV[6]
local remembered_ms, kept_ms, draft_ms, position, FIRST = ARGV[7], ARGV[8], ARGV[9], ARGV[10], 11
"""
    + _OPEN
    + """
if hold ~= 'ignores' then
  local by = redis.call('HGET', META, 'held_by')
  if by and by ~= run and tonumber(redis.call('HGET', META, 'held_until')) > NOW then return false end
end
if notes == '1' then
  if redis.call('HGET', RUN, 'number') ~= number then
    redis.call('DEL', RUN, SEEN)
    runs = tostring(redis.call('HINCRBY', META, 'runs', 1))
    redis.call('HSET', RUN, 'number', number, 'began', runs)
  end
  redis.call('PEXPIRE', RUN, remembered_ms)
  if not redis.call('HGET', RUN, 'is_over') then
    for i = FIRST, #ARGV, 2 do redis.call('SADD', SEEN, ARGV[i]) end
    redis.call('PEXPIRE', SEEN, remembered_ms)
    if hold == 'takes' then redis.call('HSET', META, 'held_by', run, 'held_until', NOW + held_ms) end
  end
end
local told = redis.call('HGET', ANSWERS, 'changes:' .. position)
if not told then
  local found = {}
  for i = FIRST, #ARGV, 2 do
    local known = redis.call('HGET', ITEMS, ARGV[i])
    if not known then found[#found + 1] = 'c'
    elseif string.sub(known, 1, 16) == ARGV[i + 1] then found[#found + 1] = 's'
    else found[#found + 1] = 'u' end
  end
  told = table.concat(found)
  if not string.find(told, '[cu]') then told = '' end
  redis.call('HSET', ANSWERS, 'changes:' .. position, told)
  redis.call('PEXPIRE', ANSWERS, remembered_ms)
end
"""
    + _WRITE
    + """
local has_changed = false
for i = FIRST, #ARGV, 2 do
  local at = (i - FIRST) / 2 + 1
  if told ~= '' and string.sub(told, at, at) ~= 's' then
    has_changed = true
    if draft_ms == '' then write(ARGV[i], ARGV[i + 1])
    else redis.call('HSET', DRAFTED, ARGV[i], ARGV[i + 1]) end
  end
end
if has_changed then
  if draft_ms == '' then prolong(kept_ms) else redis.call('PEXPIRE', DRAFTED, draft_ms) end
end
return {told, number}
"""
)
"""Returns a change for each item and the collection's number; nothing if another run holds the collection.

The changes are no text if all items are the same: answers are kept for days, and most runs find little.
"""

ENDS = """
local RUN, SEEN, ANSWERS, message, is_last, total = KEYS[1], KEYS[2], KEYS[3], ARGV[1], ARGV[2], ARGV[3]
local told = redis.call('HGET', ANSWERS, 'ends')
if not told then
  local is_complete = is_last == '1'
  if total ~= '' then is_complete = redis.call('SCARD', SEEN) == tonumber(total) end
  told = is_complete and redis.call('HEXISTS', RUN, 'ended_by') == 0 and 'yes' or 'no'
  redis.call('HSET', ANSWERS, 'ends', told)
end
if told == 'no' then return 0 end
redis.call('HSETNX', RUN, 'ended_by', message)
return 1
"""
"""Returns whether the message ends its run."""

DELETED = (
    """
local META, ITEMS, ANSWERS, RUN, SEEN, DRAFTED = KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local FRESH, NOW, position, after, together = ARGV[1], tonumber(ARGV[2]), ARGV[3], ARGV[4], ARGV[5]
local remembered_ms, kept_ms, draft_ms = ARGV[6], ARGV[7], ARGV[8]
"""
    + _OPEN
    + """
local told, ids, following = redis.call('HGET', ANSWERS, 'missing:' .. position), {}, '0'
if told then
  ids, following = unpack(cjson.decode(told))
else
  local began = tonumber(redis.call('HGET', RUN, 'began') or 0)
  if redis.call('HGET', RUN, 'number') == number and not redis.call('HGET', RUN, 'is_over') then
    local found = redis.call('HSCAN', ITEMS, after == '' and '0' or after, 'COUNT', together)
    following = found[1]
    for i = 1, #found[2], 2 do
      local id, written = found[2][i], tonumber(string.sub(found[2][i + 1], 17))
      if written < began and redis.call('SISMEMBER', SEEN, id) == 0 then ids[#ids + 1] = id end
    end
  end
  redis.call('HSET', ANSWERS, 'missing:' .. position, cjson.encode({ids, following}))
  redis.call('PEXPIRE', ANSWERS, remembered_ms)
end
"""
    + _WRITE
    + """
for _, id in ipairs(ids) do
  if draft_ms == '' then write(id, '') else redis.call('HSET', DRAFTED, id, '') end
end
if #ids > 0 then
  if draft_ms == '' then prolong(kept_ms) else redis.call('PEXPIRE', DRAFTED, draft_ms) end
end
return {ids, following, number}
"""
)
"""Returns ids that are missing, where to go on (`0` at the end), and the collection's number."""

END = """
local META, RUN, SEEN, run = KEYS[1], KEYS[2], KEYS[3], ARGV[1]
if redis.call('EXISTS', RUN) == 1 then redis.call('HSET', RUN, 'is_over', '1') end
redis.call('UNLINK', SEEN)
if redis.call('HGET', META, 'held_by') == run then redis.call('HDEL', META, 'held_by', 'held_until') end
"""

CONFIRM = (
    """
local META, ITEMS, DRAFTED, number, NOW, kept_ms = KEYS[1], KEYS[2], KEYS[3], ARGV[1], tonumber(ARGV[2]), ARGV[3]
if redis.call('HGET', META, 'number') ~= number then return end
local runs = redis.call('HGET', META, 'runs') or '0'
"""
    + _WRITE
    + """
local has_changed = false
for i = 4, #ARGV do
  local digest = redis.call('HGET', DRAFTED, ARGV[i])
  if digest then
    has_changed = true
    write(ARGV[i], digest)
  end
end
if has_changed then prolong(kept_ms) end
"""
)

INVALIDATE = """
local META, ITEMS, DRAFTS = KEYS[1], KEYS[2], KEYS[3]
if #ARGV == 0 then
  redis.call('UNLINK', META, ITEMS, DRAFTS)
  return
end
redis.call('HDEL', ITEMS, ARGV[1])
"""
