local function list_pool(p)
    local s = stat_of(p)
    return {p.name, p.cap, p.used - p.queued, p.queued, p.line, s[PEAK_ALL], s[GRANTED + ALL], s[REUSED_N + ALL], s[WAIVED + ALL],
        s[ESCALATED + ALL], s[REFUSED_ALL], s[NOTIFIED + ALL]}
end

-- The clock ---------------------------------------------------------------------------------------------------------

do -- a block: see 50-recovery.lua

local AWAY_MS_LEAST = 1500

-- The life of a busy seat becomes change(life). Returns its record.
local function change_seat(c, seat, change)
    local to, life = change(seat[LIFE_END]), c.T .. seat[POOL] .. ':life:' .. seat[NUMBER]
    seat[LIFE_END] = to
    if to > c.now then
        call('SET', life, 1, 'PXAT', to)
    else
        call('DEL', life)
    end
    return encode(seat)
end

-- The same for all of a packed session. Returns what is packed then.
local function change_packed(c, packed, change)
    local seats = seats_in(packed)
    for i = 2, #seats, 2 do
        seats[i] = change_seat(c, decode(seats[i], 1), change)
    end
    return string.sub(packed, 1, PACKED_FIRST_BYTES) .. (#seats > 0 and pack(spread(seats)) or '')
end

-- Before anything else is read: every life becomes change(life).
local function each_life(c, change)
    for _, name in ipairs(call('SMEMBERS', c.T .. 'pools')) do
        local base = c.T .. name
        open_queue({T = base .. ':', packed_queue = call('GET', base .. ':packed')})
        local q = call('ZRANGE', base .. ':q', 0, -1, 'WITHSCORES')
        for i = 1, #q, 2 do
            local to = change(tonumber(q[i + 1]))
            call('ZADD', base .. ':q', to, q[i])
            call('SET', base .. ':life:' .. number_in(q[i]), 1, 'PXAT', max(to, 1))
        end
    end
    for _, session in ipairs(call('ZRANGE', c.T .. 'alive', 0, -1)) do
        local w = c.T .. 'w:' .. session
        local all = call('HGETALL', w)
        for i = 1, #all, 2 do
            local seat = not string.find(all[i], ' ', 1, true) and decode(all[i + 1], 1)
            if seat and seat[KIND] == 'r' then
                call('HSET', w, all[i], change_seat(c, seat, change))
            elseif all[i] == 'is packed' then
                call('HSET', w, all[i], change_packed(c, all[i + 1], change))
            end
        end
    end
end

local function each_lease(c, change)
    local all = call('ZRANGE', c.T .. 'alive', 0, -1, 'WITHSCORES')
    for i = 1, #all, 2 do
        call('ZADD', c.T .. 'alive', change(tonumber(all[i + 1])), all[i])
    end
end

-- No tick for so long: nobody could have kept a lease alive. More than a tick may be late by, and so much less than the lease
-- that sessions also outlive an absence which is not told: with heartbeats each quarter of a lease, two are missed at most
-- before one arrives.
local function away_after(lease_ms)
    return min(AWAY_MS, max(AWAY_MS_LEAST, floor(lease_ms / 3)))
end

-- The server's clock stepped by `step` ms: every deadline goes with it.
local function shift(c, step)
    each_lease(c, function(at) return at + step end)
    each_life(c, function(at) return at + step end)
    local recovering = tonumber(call('HGET', c.T .. 'limits', 'recover') or 0)
    if recovering > 0 then
        call('HSET', c.T .. 'limits', 'recover', recovering + step)
    end
    call('HINCRBY', c.T .. 'clock', 'steps', 1)
end

-- Deadlines as this tick finds them. Returns the latest time that was ever seen.
local function follow_clock(c, step, steps, lease_ms, reuse_ms)
    local clock = call('HMGET', c.T .. 'clock', 'last', 'steps', 'latest')
    local last = tonumber(clock[1] or c.now)
    if step ~= 0 and (clock[2] or '0') == steps then
        shift(c, step)
        last = last + step
    end
    if c.now - last > away_after(lease_ms) then
        each_lease(c, function(at) return max(at, c.now + lease_ms) end)
    elseif c.now < last then
        each_lease(c, function(at) return min(at, c.now + lease_ms) end)
        each_life(c, function(at) return min(at, c.now + reuse_ms) end)
        later(c, 'HINCRBY', c.T .. 'clock', 'backs', 1)
    end
    local latest = max(tonumber(clock[3] or 0), c.now)
    later(c, 'HSET', c.T .. 'clock', 'last', c.now, 'latest', latest)
    return latest
end

-- A new generation of memos begins once the newest is `memo_ms` old; the oldest is forgotten.
local function turn_memos(c, memo_ms)
    local since = tonumber(call('HGET', c.T .. 'clock', 'memo') or 0)
    if c.now - since >= memo_ms or c.now < since then
        c.memo = c.memo + 1
        later(c, 'HSET', c.T .. 'limits', 'memo', c.memo)
        later(c, 'HSET', c.T .. 'clock', 'memo', c.now)
        later(c, 'UNLINK', c.T .. 'memo:' .. c.memo - 2)
    end
end

-- Sessions whose lease is over, and after a recovery those that claimed nothing. Returns pool -> seats freed.
local function reap(c)
    local orphans = {}
    for _, session in ipairs(call('ZRANGEBYSCORE', c.T .. 'alive', '-inf', c.now)) do
        for pool, seats in pairs(end_session(c, member_of(c, session))) do
            orphans[pool] = (orphans[pool] or 0) + seats
        end
        next_op(c)
    end
    if not c.recovering and c.epoch ~= '0' then
        for _, session in ipairs(call('ZRANGE', c.T .. 'alive', 0, -1)) do
            local m = member_of(c, session)
            if m.agent and field(m, 'is claimed') ~= c.epoch then
                end_session(c, m)
                next_op(c)
            end
        end
    end
    return orphans
end

-- The holders of the open minute that Redis knows; `add` is what comes to them.
local function holders_of(p)
    local names, known = call('HKEYS', p.T .. 'holders'), {}
    for _, who in ipairs(names) do
        known[who] = true
    end
    return {known = known, count = #names, add = {}}
end

-- Who was granted how many, as the licensor counted it: pool, processor, production, granted, ...
local function count_holders(c, args, at)
    for i = at, #args, 4 do
        local p = c.pools[args[i]]
        if p and stat_of(p)[OPENED] ~= 0 then
            p.holders = p.holders or holders_of(p)
            local holders, who = p.holders, args[i + 1] .. '\n' .. args[i + 2]
            if not holders.known[who] and holders.count < HOLDERS_MAX then
                holders.count, holders.known[who] = holders.count + 1, true
            end
            who = holders.known[who] and who or '\n'
            holders.add[who] = (holders.add[who] or 0) + tonumber(args[i + 3])
        end
    end
end

-- Close the minute of a pool when it is over: a record that stays until it is acknowledged. `last` is the highest minute that
-- any pool had closed before this call: ids go up over all pools, or acknowledging one would forget what came after it from
-- a clock that was set back.
local function close_minute(c, p, last)
    local s, key = stat_of(p), p.T .. 'holders'
    local minute = floor(s[OPENED] / MINUTE_MS)
    local holders = {}
    local add = p.holders and p.holders.add or NOTHING
    for who, granted in pairs(add) do
        later(c, 'HINCRBY', key, who, granted)
    end
    if s[OPENED] ~= 0 and minute ~= floor(c.now / MINUTE_MS) then
        local all = call('HGETALL', key)
        for i = 1, #all, 2 do
            holders[all[i]] = tonumber(all[i + 1])
        end
        for who, granted in pairs(add) do
            holders[who] = (holders[who] or 0) + granted
        end
        s[LAST] = minute > last and minute or last + 1
        local record = {p.name, minute * MINUTE_MS, (minute + 1) * MINUTE_MS, p.cap, spread(s, GRANTED, PEAK)}
        for _, who in ipairs(sorted_keys(holders)) do
            record[#record + 1], record[#record + 2] = who, holders[who]
        end
        later(c, 'ZADD', c.T .. 'usage', s[LAST], s[LAST] .. ':' .. p.name .. '\n' .. pack(spread(record)))
        later(c, 'ZREMRANGEBYSCORE', c.T .. 'usage', '-inf', s[LAST] - MINUTES_KEPT)
        later(c, 'DEL', key)
        for i = GRANTED, PEAK do
            s[i] = 0
        end
        s[OPENED] = 0
        p.counted = true
    end
    if p.used > p.queued then
        minute_of(c, p)
    end
end

-- ARGV: step steps lease reuse memo holders... Once a second by each licensor: the only reaper.
local function tick(keys, args)
    local c = begin(keys)
    local latest = follow_clock(c, tonumber(args[1]), args[2], tonumber(args[3]), tonumber(args[4]))
    load(c, {})
    all_pools(c)
    turn_memos(c, tonumber(args[5]))
    local alive = call('ZCARD', c.T .. 'alive')
    local orphans = reap(c)
    for _, m in pairs(c.members) do
        alive = alive - (m.gone and 1 or 0)
    end
    count_holders(c, args, 6)
    local lost, rows = {}, {}
    for _, name in ipairs(c.names) do
        hand_over(c, c.pools[name])
        if orphans[name] then
            lost[#lost + 1], lost[#lost + 2] = name, orphans[name]
        end
    end
    local last = 0
    for _, name in ipairs(c.names) do
        last = max(last, stat_of(c.pools[name])[LAST])
    end
    for i, name in ipairs(c.names) do
        close_minute(c, c.pools[name], last)
        rows[i] = list_pool(c.pools[name])
    end
    local master_says = call('HGET', c.T .. 'limits', 'master')
    return answer(c, nil, 'ticked', call('HGET', c.T .. 'clock', 'steps') or '0', c.recovering and 1 or 0, latest, lost, rows,
        alive, master_says == 'demo' and 1 or 0)
end

-- ARGV: highest lease
local function hello(keys, args)
    local c = begin(keys)
    recover(c, tonumber(args[1]), tonumber(args[2]))
    load(c, {})
    return answer(c, nil, 'hello', c.recovering and 1 or 0)
end

redis.register_function('engenho6_tick', tick)
redis.register_function('engenho6_hello', hello)

end
