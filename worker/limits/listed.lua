-- Which limits were used lately; and forgets the lines of which nothing was heard.
--
-- returns  key;seconds and amount, of each

local found = {}
for _, name in ipairs(redis.call('ZRANGEBYSCORE', base .. 'limits', text(now - LISTED), '+inf')) do
    local shared = string.match(name, '^(|[^|]*);%d+$')
    if shared then forget_overdue(shared) end
    found[#found + 1], found[#found + 2] = name, redis.call('HGET', base .. 'amounts', name)
end
return found
