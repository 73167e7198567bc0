-- The waiting line --------------------------------------------------------------------------------------------------

-- The n-th that stands, counted over those that left within this call: {who} or false; nothing past the end.
local function stands_at(p, n)
    while n > p.stood and p.stood < p.line_in_redis do
        local more = call('ZRANGE', p.T .. 'line', p.stood, p.stood + CHUNK - 1)
        for i, who in ipairs(more) do
            p.standing[p.stood + i] = who
        end
        p.stood = p.stood + #more
    end
    if n <= p.line_in_redis then
        local who = p.standing[n]
        return not p.unstood[who] and who
    end
    local stand = p.stands[n - p.line_in_redis]
    if stand == nil then
        return nil
    end
    return stand and stand[1]
end

-- How many are before it.
local function rank_of(p, who)
    local ahead, n = 0, 1
    while true do
        local other = stands_at(p, n)
        if other == who or other == nil then
            return ahead
        end
        ahead, n = ahead + (other and 1 or 0), n + 1
    end
end

local function leave_line(c, m, request, ask)
    local who = m.id .. ' ' .. request
    for i = L_POOLS, #ask do
        local p = pool_of(c, ask[i])
        p.line = p.line - 1
        local mine = false
        for at, stand in ipairs(p.stands) do
            if stand and stand[1] == who then
                p.stands[at], mine = false, true
            end
        end
        if not mine then
            p.unstood[who] = true
            p.left[#p.left + 1] = who
        end
    end
    forget(m, request)
    m.waits = m.waits - 1
    if ask[L_USE] == 'held' then
        count_waits(m, ask[L_PRODUCTION], -1)
    end
end

local function hand(c, grant)
    c.handed[#c.handed + 1] = grant
    c.said[#c.said + 1] = {'granted', table.concat(grant, '\n')}
end

-- Seats -------------------------------------------------------------------------------------------------------------

local function grant_of(c, m, request, seat, waived)
    return {m.id, request, seat[TOKEN], seat[POOL], seat[REQUESTED], seat[NUMBER], seat[REUSED],
        seat[POOL] ~= seat[REQUESTED] and 1 or 0, waived, max(seat[LIFE_END] - c.now, 0)}
end

-- One request of a production begins on a seat, or ends there. A shared seat has several productions.
local function production_begins(m, base, production)
    local running = field(m, 'c ' .. production)
    if not running then
        put(m, 'h ' .. production, base)
        m.prod = m.prod + 1
    end
    put(m, 'c ' .. production, (running or 0) + 1)
end

local function production_ends(m, seat, production)
    if seat[SHARED] == 1 then
        local running = field(m, 'c ' .. production) - 1
        if running == 0 then
            drop(m, 'c ' .. production)
            drop(m, 'h ' .. production)
            m.prod = m.prod - 1
        else
            put(m, 'c ' .. production, running)
        end
    end
end

-- The seat is the holder's from now on.
local function hold(m, request, seat)
    if seat[SHARED] == 1 then
        put(m, 'p ' .. seat[POOL], request)
        production_begins(m, request, seat[PRODUCTION])
    elseif seat[USE] == 'held' then
        put(m, 'h ' .. seat[PRODUCTION], request)
        m.prod = m.prod + 1
    end
end

-- A seat of a session ends. Returns the life left in ms.
local function end_seat(c, m, request, seat, may_queue)
    forget(m, request)
    if seat[SHARED] == 1 then
        drop(m, 'p ' .. seat[POOL])
    elseif seat[USE] == 'held' then
        drop(m, 'h ' .. seat[PRODUCTION])
        m.prod = m.prod - 1
    end
    return give(c, pool_of(c, seat[POOL]), m.agent, seat, may_queue)
end

-- `use`, `production`, `user` and first pool of what was asked. Returns the grant.
local function grant_seat(c, m, request, asked, p, number, life_end, reused)
    local seat = {'r', p.name, number, next_op(c), asked[1], asked[2], asked[4], c.now, life_end, reused, asked[3], 0, 0, p.used,
        p.cap, p.shared and asked[1] == 'held' and 1 or 0}
    keep(m, request, seat)
    hold(m, request, seat)
    count(c, p, reused == 1 and REUSED_N or GRANTED, 1)
    if p.name ~= asked[4] then
        count(c, p, ESCALATED, 1)
    end
    peak(c, p, p.used - p.queued)
    return grant_of(c, m, request, seat, 0)
end

-- The holder has the seat of `base` already: shown, not counted.
local function waive(c, m, request, base, production)
    local seat = thing(m, base)
    seat[OTHERS] = seat[OTHERS] + 1
    keep(m, base, seat)
    keep(m, request, {'x', base, production})
    if seat[SHARED] == 1 then
        production_begins(m, base, production)
    end
    next_op(c)
    count(c, pool_of(c, seat[POOL]), WAIVED, 1)
    return grant_of(c, m, request, seat, 1)
end

-- Who stands in a line: its session and request.
local function standing(c, who)
    local at = string.find(who, ' ', 1, true)
    return member_of(c, string.sub(who, 1, at - 1)), string.sub(who, at + 1)
end

-- Serve one that waits in the line of `p`, if it may run. True when it left the line.
local function serve(c, p, who)
    local m, request = standing(c, who)
    local ask = thing(m, request)
    local production, base = ask[L_PRODUCTION], nil
    if ask[L_USE] == 'held' then
        base = field(m, 'h ' .. production)
        if not base then
            if m.prod >= c.productions then
                return false
            end
            base = p.shared and field(m, 'p ' .. p.name)
        end
    end
    local grant
    if base then
        leave_line(c, m, request, ask)
        grant = waive(c, m, request, base, production)
    else
        local number, life_end, reused = take(c, p, m.agent, ask[L_REUSE])
        if not number then
            return false
        end
        leave_line(c, m, request, ask)
        grant = grant_seat(c, m, request, {ask[L_USE], production, ask[L_USER], ask[L_POOLS]}, p, number, life_end, reused)
    end
    count(c, p, WAITED, 1)
    count(c, p, WAIT_MS, max(c.now - ask[L_SINCE], 0))
    hand(c, grant)
    return true
end

-- The production has a seat: what else of it waits is waived and leaves the line.
local function join_production(c, m, production)
    if not field(m, 'q ' .. production) then
        return
    end
    for _, entry in ipairs(things_of(m)) do
        local t = entry[2]
        if t[KIND] == 'l' and t[L_USE] == 'held' and t[L_PRODUCTION] == production then
            serve(c, pool_of(c, t[L_POOLS]), m.id .. ' ' .. entry[1])
        end
    end
end

-- The session's productions share a seat of `p`: those that wait for it are waived, as far as the edition's cap lets them.
local function join_pool(c, m, p)
    if not p.shared or m.waits == 0 or not field(m, 'p ' .. p.name) then
        return
    end
    local n = 1
    while true do
        local who = stands_at(p, n)
        if who == nil then
            return
        end
        if who and string.sub(who, 1, #m.id + 1) == m.id .. ' ' then
            local _, request = standing(c, who)
            local ask = thing(m, request)
            if ask[L_USE] == 'held' and serve(c, p, who) then
                join_production(c, m, ask[L_PRODUCTION])
            end
        end
        n = n + 1
    end
end

-- Whatever of a session waits although its holder has a seat: that seat did not come by the line.
local function join_all(c, m)
    if c.recovering or m.waits == 0 then
        return
    end
    for _, entry in ipairs(things_of(m)) do
        local t = entry[2]
        if t[KIND] == 'l' and t[L_USE] == 'held' and field(m, 'h ' .. t[L_PRODUCTION]) then
            serve(c, pool_of(c, t[L_POOLS]), m.id .. ' ' .. entry[1])
        end
    end
    for _, name in ipairs(all_pools(c)) do
        join_pool(c, m, c.pools[name])
    end
end

-- Seats that are free go to those who wait, in order, except whom the edition's cap or a reservation blocks; and with each
-- what else waits for the same seat is waived.
local function hand_over(c, p)
    if c.recovering or p.line == 0 then
        return
    end
    local n = 1
    while p.used - p.queued < p.cap do
        local who = stands_at(p, n)
        if who == nil then
            return
        end
        if who then
            local m, request = standing(c, who)
            local ask = thing(m, request)
            if serve(c, p, who) and ask[L_USE] == 'held' then
                join_production(c, m, ask[L_PRODUCTION])
                join_pool(c, m, p)
            end
        end
        n = n + 1
    end
end

local function hand_over_all(c)
    for _, name in ipairs(all_pools(c)) do
        hand_over(c, c.pools[name])
    end
end

-- A session is over: its seats are freed, not queued, for its holder may still be running. Returns pool -> seats.
local function end_session(c, m)
    local freed = {}
    for _, entry in ipairs(things_of(m)) do
        local request, t = entry[1], entry[2]
        if t[KIND] == 'r' then
            end_seat(c, m, request, t, false)
            freed[t[POOL]] = (freed[t[POOL]] or 0) + 1
        elseif t[KIND] == 'l' then
            leave_line(c, m, request, t)
        end
    end
    local name, slots = m.agent .. '/' .. field(m, 'is name'), c.T .. 'slots:' .. m.agent
    if call('HGET', c.T .. 'names', name) == m.id then
        later(c, 'HDEL', c.T .. 'names', name)
    end
    if call('HGET', slots, field(m, 'is slot')) == m.id then
        later(c, 'HDEL', slots, field(m, 'is slot'))
    end
    later(c, 'ZREM', c.T .. 'alive', m.id)
    m.gone, m.agent = true, false
    return freed
end

