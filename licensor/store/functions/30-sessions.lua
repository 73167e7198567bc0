-- Sessions as tables ------------------------------------------------------------------------------------------------

-- A session of which these fields were read; the first five are those of IS. `f` is what the fields are now, false when there
-- is none and true when `things` has it; what is `dirty` is written at the end. `packed`: Redis has its seats as one text; they
-- are `unfolded` when somebody wants one.
local IS = {'is agent', 'is waits', 'is prod', 'is top', 'is packed'}

local function make_member(c, id, fields, got)
    local agent, waits, prod, top, packed = got[1], got[2], got[3], got[4], got[5]
    local f = {['is agent'] = agent, ['is waits'] = waits, ['is prod'] = prod, ['is top'] = top}
    for i = 6, #fields do
        f[fields[i]] = got[i]
    end
    if packed then
        top, prod = unfixed(PACKED_FIRST, packed)
    end
    waits, prod, top = tonumber(waits or 0), tonumber(prod or 0), tonumber(top or 0)
    local m = {id = id, key = c.T .. 'w:' .. id, f = f, things = {}, dirty = {}, gone = false, all = false, agent = agent,
        packed = packed, unfolded = false,
        waits = waits, waits_was = waits, prod = prod, prod_was = prod, top = top, top_was = top}
    c.members[id] = m
    return m
end

-- `m.agent` is false when there is no such session.
local function member_of(c, id)
    return c.members[id] or make_member(c, id, IS, call('HMGET', c.T .. 'w:' .. id, spread(IS)))
end

local function is_about_session(name)
    return string.sub(name, 1, 3) == 'is '
end

-- Of a packed session, by turns: what a request is called behind the session's id and a colon, and its record.
local function seats_in(packed)
    if #packed == PACKED_FIRST_BYTES then
        return NOTHING
    end
    return {values(string.sub(packed, PACKED_FIRST_BYTES + 1))}
end

local function unfold_field(m, name, value)
    m.unfolded[#m.unfolded + 1] = name
    if not m.dirty[name] then
        m.f[name] = value
    end
end

local function unfold(m)
    if not m.packed or m.unfolded then
        return
    end
    m.unfolded = {}
    local seats = seats_in(m.packed)
    for i = 1, #seats, 2 do
        local request, record = m.id .. ':' .. seats[i], seats[i + 1]
        unfold_field(m, request, record)
        local _, _, use, production = some_values(record, 3, 1)
        if use == 'held' then
            unfold_field(m, 'h ' .. production, request)
        end
    end
end

local function field(m, name)
    if m.packed and not is_about_session(name) then
        unfold(m)
    end
    local value = m.f[name]
    if value == nil then
        value = call('HGET', m.key, name)
        m.f[name] = value
    end
    return value
end

local function put(m, name, value)
    m.f[name], m.dirty[name] = value, true
end

local function drop(m, name)
    m.f[name], m.dirty[name] = false, true
end

-- The record of a request, or false.
local function thing(m, request)
    local t = m.things[request]
    if not t then
        local packed = field(m, request)
        t = packed and decode(packed, 1)
        m.things[request] = t
    end
    return t
end

-- How many held requests of a production wait: when one of them gets its seat, the others need none.
local function count_waits(m, production, by)
    local name = 'q ' .. production
    local count = (field(m, name) or 0) + by
    if count > 0 then
        put(m, name, count)
    else
        drop(m, name)
    end
end

-- The record is new, or other than before: it is written at the end. Who waits is kept once.
local function keep(m, request, t)
    if t[KIND] == 'l' and t[L_USE] == 'held' then
        count_waits(m, t[L_PRODUCTION], 1)
    end
    m.things[request], m.f[request], m.dirty[request] = t, true, true
end

local function forget(m, request)
    m.things[request] = false
    drop(m, request)
end

-- Every request of a session, by its id, so that every licensor does the same: request, record.
local function things_of(m)
    if not m.all then
        m.all = true
        unfold(m)
        local all = call('HGETALL', m.key)
        for i = 1, #all, 2 do
            if m.f[all[i]] == nil then
                m.f[all[i]] = all[i + 1]
            end
        end
    end
    local requests = {}
    for name, value in pairs(m.f) do
        if value and not string.find(name, ' ', 1, true) then
            requests[#requests + 1] = name
        end
    end
    table.sort(requests)
    local things = {}
    for i, request in ipairs(requests) do
        things[i] = {request, thing(m, request)}
    end
    return things
end

-- Writing -----------------------------------------------------------------------------------------------------------

local function write_pool(c, p, mset)
    if p.fresh + p.reused > 0 then
        count(c, p, GRANTED, p.fresh)
        count(c, p, REUSED_N, p.reused)
        peak(c, p, p.top)
    end
    local q, line = p.T .. 'q', p.T .. 'line'
    if p.used ~= p.used_was then
        mset[#mset + 1], mset[#mset + 2] = p.T .. 'used', format('%d', p.used)
    end
    if p.seq ~= p.seq_was then
        mset[#mset + 1], mset[#mset + 2] = p.T .. 'seq', format('%d', p.seq)
    end
    if p.counted then
        mset[#mset + 1], mset[#mset + 2] = p.T .. 'stat', pack(spread(p.s))
    end
    if p.dead > 0 or #p.unqueued > 0 or #p.freed > 0 then
        open_queue(p)
    end
    if p.dead > 0 then
        call('ZREMRANGEBYSCORE', q, '-inf', c.now)
    end
    call_with(p.unqueued, 'ZREM', q)
    local freed = {}
    for i, number in ipairs(p.freed) do
        freed[2 * i - 1], freed[2 * i] = format('%d', p.lives[i]), format('%d:%d', number + QUEUED, c.now)
    end
    call_with(freed, 'ZADD', q)
    call_with(p.left, 'ZREM', line)
    for _, stand in ipairs(p.stands) do
        if stand then
            call('ZADD', line, stand[2], stand[1])
        end
    end
    for agent in pairs(p.agents_changed or {}) do
        call('HSET', p.T .. 'agents', agent, p.agents[agent])
    end
end

-- A packed session that changes is written as fields from now on.
local function write_unfolded(m)
    local changed = m.prod ~= m.prod_was or m.top ~= m.top_was
    for name in pairs(m.dirty) do
        changed = changed or not is_about_session(name)
    end
    if not changed then
        return
    end
    unfold(m)
    for _, name in ipairs(m.unfolded) do
        m.dirty[name] = true
    end
    put(m, 'is prod', format('%d', m.prod))
    put(m, 'is top', format('%d', m.top))
    drop(m, 'is packed')
end

local function write_member(m)
    if m.gone then
        call('DEL', m.key)
        return
    end
    if m.packed then
        write_unfolded(m)
    end
    if m.waits ~= m.waits_was then
        put(m, 'is waits', format('%d', m.waits))
    end
    if m.prod ~= m.prod_was then
        put(m, 'is prod', format('%d', m.prod))
    end
    if m.top ~= m.top_was and m.agent then
        put(m, 'is top', format('%d', m.top))
    end
    local set, unset, n, gone, f = {}, {}, 0, 0, m.f
    for name in pairs(m.dirty) do
        local value = f[name]
        if value then
            set[n + 1], set[n + 2] = name, value == true and encode(m.things[name]) or value
            n = n + 2
        else
            gone = gone + 1
            unset[gone] = name
        end
    end
    call_with(set, 'HSET', m.key)
    call_with(unset, 'HDEL', m.key)
end

-- The only place that writes, but for what comes before everything is read: recover(), shift().
local function finish(c)
    local mset = {}
    if c.op ~= c.op_was then
        mset[1], mset[2] = c.T .. 'op', format('%d', c.op)
    end
    for _, p in pairs(c.pools) do
        write_pool(c, p, mset)
    end
    if #mset > 0 then
        call('MSET', spread(mset))
    end
    for _, life in ipairs(c.lives) do
        call('SET', life[1], 1, 'PXAT', life[2])
    end
    call_with(c.deaths, 'DEL')
    for _, m in pairs(c.members) do
        write_member(m)
    end
    call_with(c.memo_list, 'HSET', c.T .. 'memo:' .. c.memo)
    for _, write in ipairs(c.writes) do
        call(spread(write))
    end
    for _, said in ipairs(c.said) do
        call('PUBLISH', c.T .. said[1], said[2])
    end
end

local function answer(c, op, word, ...)
    finish(c)
    return {op or c.op, c.now, word, c.handed, ...}
end

