#!lua name=engenho2
--[[
The rules of keys and seats as Redis runs them: the same state machine as memory.c, and tests/sim/licensor compares the two,
operation by operation.

One call reads what it needs, computes on tables, and writes at its end, each key once: a call that fails has written nothing.
Acquires and releases come many to a call (engenho2_batch), and share its reads and writes; a seat that is freed and taken again
within a call is never written to the queue.

All keys of a tenant share one hash tag, T = {tenant}: (KEYS[1] is {tenant}):

  T:op               counter       number of the newest transition: order, fencing token, loss detector
  T:limits           hash          what the licence allows: keys, productions, pool:<name>; and recover, epoch, memo, master
  T:pools            set           pools that the licence ever had
  T:alive            sorted set    sessions by the end of their lease, in ms
  T:names            hash          agent/name -> session
  T:slots:<agent>    hash          slot -> session
  T:w:<session>      hash          the session: see below
  T:<pool>:used      counter       consumed seats, busy and queued: the cap
  T:<pool>:seq       counter       L-numbers
  T:<pool>:life:<n>  string, PXAT  life left, yes or no
  T:<pool>:q         sorted set    freed seats with life left (1e10 + the L-number), by the end of it
  T:<pool>:line      sorted set    who waits ("session request"), by arrival
  T:<pool>:agents    hash          busy seats by agent, of a pool that reserves seats
  T:<pool>:stat      string        packed counters: the open minute's, and totals
  T:<pool>:holders   hash          who was granted how many in the open minute
  T:usage            sorted set    closed minutes ("<minute>:<pool>" and the record), by minute, until acknowledged
  T:memo:<n>         hash          request -> the answer it got; the newest generation and the one before it count
  T:clock            hash          last tick, steps of the clock that were seen, since when the memo's generation is

Fields of T:w:<session>: a request by its id (which has no space), packed, r a seat, x waived, l waiting; "is <what>" about the
session ("is prod" counts its productions that run, "is top" is the highest number of a request that it sent); "h <production>" the request whose seat the production has; "p <pool>"
the request whose seat all productions share there (holder: pool), and "c <production>" how many requests of one do.

Numbers: `..` prints 14 digits, so only small integers are joined; redis.call prints numbers whole.
]]

local NAME_FRESH_MS = 10000 -- a heartbeat younger than this, and an open connection: the name is in use
local AWAY_MS = 5000        -- no tick for so long: nobody could have kept a lease alive
local MINUTE_MS = 60000
local MINUTES_KEPT = 1500   -- 25 hours of usage that nobody acknowledged
local HOLDERS_MAX = 32      -- of a minute and pool, by name; the rest are "others"
local CHUNK = 64            -- how much of a queue or line is read at once
local ARGUMENTS = 2000      -- of a command, as many as are passed at once
local ANY_NUMBER = 1e15     -- no request of a session has a higher one
local QUEUED = 1e10         -- added to an L-number where it is a member of the queue, so that members sort by number

-- A request's record in the session's hash, as a table. Its first value: r a seat, x waived (base request, production), l
-- waiting. A seat is written as a byte 1; its texts, packed: pool, use, production, requested, user; and its numbers in fixed
-- places, for that is quick to make: reused, ended, shared, others, since, end of life, used, cap, number, token. Lua's hash of
-- a long text looks at every fourth letter or so, from the last one on: what differs most must be last, or all records of
-- a batch share one hash.
local SEAT, SEAT_BYTES = '>BBBI4I6I6I4I4I6I6', 39
local KIND = 1
local POOL, NUMBER, TOKEN, USE, PRODUCTION, REQUESTED, SINCE, LIFE_END, REUSED, USER, OTHERS, ENDED, USED, CAP, SHARED =
    2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
local BASE, WAIVED_PRODUCTION = 2, 3
local L_USE, L_PRODUCTION, L_USER, L_REUSE, L_SINCE, L_POOLS = 2, 3, 4, 5, 6, 7

-- A memo, as a table: session, last millisecond of its life, "g" and what was granted, or the reason of a refusal. What was
-- granted is written as: 2, waived, last millisecond, life left, held, session; then the seat.
local GIVEN = '>BBI6I6I6s'
local M_SESSION, M_DIES, M_WORD, M_WAIVED, M_LEFT, M_HELD, M_SEAT = 1, 2, 3, 4, 5, 6, 7
local M_AT, M_FIRST, M_FULL = 4, 5, 6

-- Places in a pool's counters: of the open minute, and `ALL` further the same since ever.
local OPENED, LAST = 1, 2
local GRANTED, REUSED_N, WAIVED, ESCALATED, NOTIFIED, REFUSED, REFUSED_EDITION, REFUSED_LINE, WAITED, WAIT_MS, OVERRUN, PEAK =
    3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
local ALL, REFUSED_ALL, PEAK_ALL = 12, 20, 21
local REFUSAL = {pool_limit = REFUSED, edition_limit = REFUSED_EDITION, line_full = REFUSED_LINE}

-- Nothing of this is there yet while a library loads; begin() sets it.
local call, pack, values, some_values, fixed, unfixed, spread, floor, max, min

local function begin(keys)
    call, pack, values, some_values, spread = redis.call, cmsgpack.pack, cmsgpack.unpack, cmsgpack.unpack_limit, unpack
    fixed, unfixed = struct.pack, struct.unpack
    floor, max, min = math.floor, math.max, math.min
    local time = call('TIME')
    return {T = keys[1] .. ':', now = time[1] * 1000 + floor(time[2] / 1000), handed = {}, pools = {}, members = {}, memos = {},
        memo_list = {}, memo_count = 0, chunk = CHUNK, got = {}, lives = {}, deaths = {}, writes = {}, said = {}}
end

local function later(c, ...)
    c.writes[#c.writes + 1] = {...}
end

local function sorted_keys(map)
    local names = {}
    for name in pairs(map) do
        names[#names + 1] = name
    end
    table.sort(names)
    return names
end

local function next_op(c)
    c.op = c.op + 1
    return c.op
end

-- Pools -------------------------------------------------------------------------------------------------------------

-- A pool's limit is its cap, or packed: cap, whether productions share a seat, and agent, seats, ... that are reserved.
local function read_limit(p, limit)
    p.licensed, p.cap = limit and true or false, 0
    if not limit then
        return
    end
    p.cap = tonumber(limit)
    if not p.cap then
        local parts = {values(limit)}
        p.cap, p.shared = parts[1], parts[2] == 1
        for i = 3, #parts, 2 do
            p.reserve = p.reserve or {}
            p.reserve[parts[i]] = parts[i + 1]
        end
    end
end

-- A pool as it is now: the dead of its queue are gone.
local function make_pool(c, name, state, at, limit)
    local p = {name = name, T = c.T .. name .. ':', packed = '\1' .. pack(name), fresh = 0, reused = 0, top = 0, queue = {}, head = 1, fetched = 0, lives = {}, freed = {},
        unqueued = {}, standing = {}, stood = 0,
        stands = {}, unstood = {}, left = {}}
    read_limit(p, limit)
    p.used_was, p.seq_was, p.stat = tonumber(state[at] or 0), tonumber(state[at + 1] or 0), state[at + 2]
    p.dead = call('ZCOUNT', p.T .. 'q', '-inf', c.now)
    p.used, p.seq = p.used_was - p.dead, p.seq_was
    p.in_redis = call('ZCARD', p.T .. 'q') - p.dead
    p.queued = p.in_redis
    p.line_in_redis = call('ZCARD', p.T .. 'line')
    p.line = p.line_in_redis
    c.pools[name] = p
    return p
end

-- Read the counter, the limits and these pools.
local function load(c, names)
    local keys, fields = {c.T .. 'op'}, {'productions', 'recover', 'epoch', 'memo'}
    for _, name in ipairs(names) do
        local base, n = c.T .. name, #keys
        keys[n + 1], keys[n + 2], keys[n + 3] = base .. ':used', base .. ':seq', base .. ':stat'
        fields[#fields + 1] = 'pool:' .. name
    end
    local state, limits = call('MGET', spread(keys)), call('HMGET', c.T .. 'limits', spread(fields))
    c.op = c.op or tonumber(state[1] or 0)
    c.op_was = c.op_was or c.op
    c.productions, c.recovering = tonumber(limits[1] or 0), tonumber(limits[2] or 0) > c.now
    c.epoch, c.memo = limits[3] or '0', tonumber(limits[4] or 0)
    for i, name in ipairs(names) do
        make_pool(c, name, state, 3 * i - 1, limits[4 + i])
    end
end

local function pool_of(c, name)
    if not c.pools[name] then
        load(c, {name})
    end
    return c.pools[name]
end

-- Every pool that the licence ever had, by name, so that every licensor and the model go in one order.
local function all_pools(c)
    if not c.names then
        c.names = call('SMEMBERS', c.T .. 'pools')
        table.sort(c.names)
        local missing = {}
        for _, name in ipairs(c.names) do
            if not c.pools[name] then
                missing[#missing + 1] = name
            end
        end
        if #missing > 0 then
            load(c, missing)
        end
    end
    return c.names
end

local function begin_with_all(keys)
    local c = begin(keys)
    load(c, {})
    all_pools(c)
    return c
end

-- The queue is what Redis has, read from its head as far as it is needed, and a heap of what was freed within this call:
-- `lives` and `freed`, soonest to die first, then by number.

local function push(p, number, life_end)
    local lives, freed, at = p.lives, p.freed, #p.lives + 1
    while at > 1 do
        local up = floor(at / 2)
        if life_end > lives[up] or (life_end == lives[up] and number > freed[up]) then
            break
        end
        lives[at], freed[at] = lives[up], freed[up]
        at = up
    end
    lives[at], freed[at] = life_end, number
end

local function pop(p)
    local lives, freed, count = p.lives, p.freed, #p.lives
    local number, life_end, last_life, last = freed[1], lives[1], lives[count], freed[count]
    lives[count], freed[count] = nil, nil
    count = count - 1
    local at = 1
    while 2 * at <= count do
        local down = 2 * at
        if down < count and (lives[down + 1] < lives[down] or (lives[down + 1] == lives[down] and freed[down + 1] < freed[down])) then
            down = down + 1
        end
        if last_life < lives[down] or (last_life == lives[down] and last < freed[down]) then
            break
        end
        lives[at], freed[at] = lives[down], freed[down]
        at = down
    end
    if count > 0 then
        lives[at], freed[at] = last_life, last
    end
    return number, life_end
end

local function enqueue(p, number, life_end)
    p.queued = p.queued + 1
    push(p, number, life_end)
end

-- Number and end of life of the queue's head, which is not empty; and whether Redis has it.
local function dequeue(c, p)
    p.queued = p.queued - 1
    if p.head > #p.queue and p.fetched < p.in_redis then
        local from = p.dead + p.fetched
        p.queue, p.head = call('ZRANGE', p.T .. 'q', from, from + c.chunk - 1, 'WITHSCORES'), 1
        p.fetched = p.fetched + #p.queue / 2
    end
    local member = p.queue[p.head]
    if member then
        local number, life_end = member - QUEUED, tonumber(p.queue[p.head + 1])
        local sooner = p.lives[1]
        if not sooner or life_end < sooner or (life_end == sooner and number < p.freed[1]) then
            p.head = p.head + 2
            p.unqueued[#p.unqueued + 1] = member
            return number, life_end, true
        end
    end
    local number, life_end = pop(p)
    return number, life_end, false
end

local function agents_of(p)
    if not p.agents then
        p.agents = {}
        local all = call('HGETALL', p.T .. 'agents')
        for i = 1, #all, 2 do
            p.agents[all[i]] = tonumber(all[i + 1])
        end
    end
    return p.agents
end

local function busy_by(p, agent, by)
    if p.reserve then
        local agents = agents_of(p)
        agents[agent] = (agents[agent] or 0) + by
        p.agents_changed = p.agents_changed or {}
        p.agents_changed[agent] = true
    end
end

-- Whether somebody of this agent may take a seat: what is free is more than what others have reserved and do not use.
local function has_room(p, agent)
    local free = p.cap - p.used + p.queued
    if free <= 0 or not p.reserve then
        return free > 0
    end
    local agents, kept = agents_of(p), 0
    for other, seats in pairs(p.reserve) do
        if other ~= agent then
            kept = kept + max(0, seats - (agents[other] or 0))
        end
    end
    return free > kept
end

-- A seat of the pool: number, end of life, 1 when re-used. Nothing when it is full.
local function take(c, p, agent, reuse_ms)
    local reserves = p.reserve
    if p.used - p.queued >= p.cap or (reserves and not has_room(p, agent)) then
        return nil
    end
    while p.queued > 0 do
        local number, life_end, in_redis = dequeue(c, p)
        if not in_redis or call('PTTL', p.T .. 'life:' .. number) > 0 then
            if reserves then
                busy_by(p, agent, 1)
            end
            return number, life_end, 1
        end
        p.used = p.used - 1
    end
    p.used, p.seq = p.used + 1, p.seq + 1
    local life_end = c.now + reuse_ms
    c.lives[#c.lives + 1] = {p.T .. 'life:' .. p.seq, life_end}
    if reserves then
        busy_by(p, agent, 1)
    end
    return p.seq, life_end, 0
end

-- Give a seat back. Queued when its life lasts and `may_queue`. Returns the life left in ms, 0: gone.
local function give(c, p, agent, seat, may_queue)
    busy_by(p, agent, -1)
    local life_left = seat[LIFE_END] - c.now
    if may_queue and life_left > 0 then
        enqueue(p, seat[NUMBER], seat[LIFE_END])
        return life_left
    end
    p.used = p.used - 1
    if life_left > 0 then
        c.deaths[#c.deaths + 1] = p.T .. 'life:' .. seat[NUMBER]
    end
    return 0
end

-- Statistics --------------------------------------------------------------------------------------------------------

local function stat_of(p)
    if not p.s then
        p.s = p.stat and {values(p.stat)} or {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
    end
    return p.s
end

-- The minute's counters, open from now on.
local function minute_of(c, p)
    local s = stat_of(p)
    p.counted = true
    if s[OPENED] == 0 then
        s[OPENED], s[PEAK] = c.now, p.used - p.queued
    end
    return s
end

local function count(c, p, what, by)
    local s = minute_of(c, p)
    s[what] = s[what] + by
    if what < REFUSED then
        s[what + ALL] = s[what + ALL] + by
    elseif what <= REFUSED_LINE then
        s[REFUSED_ALL] = s[REFUSED_ALL] + by
    end
end

local function peak(c, p, busy)
    local s = minute_of(c, p)
    s[PEAK] = max(s[PEAK], busy)
    s[PEAK_ALL] = max(s[PEAK_ALL], busy)
end

-- Records -----------------------------------------------------------------------------------------------------------

local function encode(t)
    if t[KIND] ~= 'r' then
        return pack(spread(t))
    end
    return '\1' .. pack(t[POOL], t[USE], t[PRODUCTION], t[REQUESTED], t[USER])
        .. fixed(SEAT, t[REUSED], t[ENDED], t[SHARED], t[OTHERS], t[SINCE], t[LIFE_END], t[USED], t[CAP], t[NUMBER], t[TOKEN])
end

local function decode(text, from)
    if string.byte(text, from) ~= 1 then
        return {values(text)}
    end
    local reused, ended, shared, others, since, life_end, used, cap, number, token = unfixed(SEAT, text, #text - SEAT_BYTES + 1)
    local _, pool, use, production, requested, user = some_values(text, 5, from)
    return {'r', pool, number, token, use, production, requested, since, life_end, reused, user, others, ended, used, cap, shared}
end

-- Sessions as tables ------------------------------------------------------------------------------------------------

local function make_member(c, id, fields, got)
    local f = {}
    for i, field in ipairs(fields) do
        f[field] = got[i]
    end
    local m = {id = id, key = c.T .. 'w:' .. id, f = f, things = {}, set = {}, unset = {}, changed = {}}
    m.agent, m.waits, m.prod = f['is agent'], tonumber(f['is waits'] or 0), tonumber(f['is prod'] or 0)
    m.top = tonumber(f['is top'] or 0)
    m.waits_was, m.prod_was, m.top_was = m.waits, m.prod, m.top
    c.members[id] = m
    return m
end

local IS = {'is agent', 'is waits', 'is prod', 'is top'}

-- `m.agent` is false when there is no such session.
local function member_of(c, id)
    return c.members[id] or make_member(c, id, IS, call('HMGET', c.T .. 'w:' .. id, spread(IS)))
end

local function field(m, name)
    local value = m.f[name]
    if value == nil then
        value = call('HGET', m.key, name)
        m.f[name] = value
    end
    return value
end

local function put(m, name, value)
    m.f[name], m.set[name] = value, value
    m.unset[name] = nil
end

local function drop(m, name)
    m.f[name] = false
    m.set[name], m.changed[name] = nil, nil
    m.unset[name] = true
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

-- The record is new, or other than before: it is written at the end.
local function keep(m, request, t)
    m.things[request], m.f[request], m.changed[request] = t, true, true
    m.set[request], m.unset[request] = nil, nil
end

local function forget(m, request)
    m.things[request] = false
    drop(m, request)
end

-- Every request of a session, by its id, so that every licensor does the same: request, record.
local function things_of(m)
    if not m.all then
        m.all = true
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

-- A command with a list after its key, some at a time: Lua passes 8,000 arguments at most.
local function call_with(list, command, key)
    for from = 1, #list, ARGUMENTS do
        if key then
            call(command, key, spread(list, from, min(from + ARGUMENTS - 1, #list)))
        else
            call(command, spread(list, from, min(from + ARGUMENTS - 1, #list)))
        end
    end
end

local function write_pool(c, p, mset)
    if p.fresh + p.reused > 0 then
        count(c, p, GRANTED, p.fresh)
        count(c, p, REUSED_N, p.reused)
        peak(c, p, p.top)
    end
    local q, line = p.T .. 'q', p.T .. 'line'
    if p.used ~= p.used_was then
        mset[#mset + 1], mset[#mset + 2] = p.T .. 'used', p.used
    end
    if p.seq ~= p.seq_was then
        mset[#mset + 1], mset[#mset + 2] = p.T .. 'seq', p.seq
    end
    if p.counted then
        mset[#mset + 1], mset[#mset + 2] = p.T .. 'stat', pack(spread(p.s))
    end
    if p.dead > 0 then
        call('ZREMRANGEBYSCORE', q, '-inf', c.now)
    end
    call_with(p.unqueued, 'ZREM', q)
    local freed = {}
    for i, number in ipairs(p.freed) do
        freed[2 * i - 1], freed[2 * i] = p.lives[i], number + QUEUED
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

local function write_member(m)
    if m.gone then
        call('DEL', m.key)
        return
    end
    if m.waits ~= m.waits_was then
        m.set['is waits'] = m.waits
    end
    if m.prod ~= m.prod_was then
        m.set['is prod'] = m.prod
    end
    if m.top ~= m.top_was and m.agent then
        m.set['is top'] = m.top
    end
    local set, n = {}, 0
    for request in pairs(m.changed) do
        set[n + 1], set[n + 2] = request, encode(m.things[request])
        n = n + 2
    end
    for name, value in pairs(m.set) do
        set[n + 1], set[n + 2] = name, value
        n = n + 2
    end
    call_with(set, 'HSET', m.key)
    local unset = {}
    for name in pairs(m.unset) do
        unset[#unset + 1] = name
    end
    call_with(unset, 'HDEL', m.key)
end

-- The only place that writes, but for what comes before everything is read: recover(), shift().
local function finish(c)
    local mset = {}
    if c.op ~= c.op_was then
        mset[1], mset[2] = c.T .. 'op', c.op
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

-- Serve one that waits in the line of `p`, if it may run. True when it left the line.
local function serve(c, p, who)
    local at = string.find(who, ' ', 1, true)
    local m, request = member_of(c, string.sub(who, 1, at - 1)), string.sub(who, at + 1)
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

-- Seats that are free go to those who wait, in order, except whom the edition's cap or a reservation blocks.
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
            serve(c, p, who)
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

-- Recovery ----------------------------------------------------------------------------------------------------------

-- Writes were lost: forget every seat, and give the workers one lease to claim what they hold. No new grants meanwhile.
local function recover(c, highest, lease_ms)
    local gap = highest - tonumber(call('GET', c.T .. 'op') or 0)
    if gap <= 0 then
        return
    end
    call('SET', c.T .. 'op', highest)
    call('HINCRBY', c.T .. 'limits', 'epoch', 1)
    call('HSET', c.T .. 'limits', 'recover', c.now + lease_ms)
    for _, name in ipairs(call('SMEMBERS', c.T .. 'pools')) do
        local base = c.T .. name
        call('SET', base .. ':used', 0)
        call('INCRBY', base .. ':seq', gap)
        call('DEL', base .. ':q', base .. ':line', base .. ':agents')
    end
    for _, session in ipairs(call('ZRANGE', c.T .. 'alive', 0, -1)) do
        local w = c.T .. 'w:' .. session
        for _, name in ipairs(call('HKEYS', w)) do
            if string.sub(name, 1, 3) ~= 'is ' then
                call('HDEL', w, name)
            end
        end
        call('HSET', w, 'is waits', 0, 'is prod', 0)
        call('ZADD', c.T .. 'alive', c.now + lease_ms, session)
    end
end

-- One seat that a worker says it holds. Claims are believed while recovering.
local function claim(c, m, held)
    local p = pool_of(c, held.pool)
    later(c, 'SADD', c.T .. 'pools', held.pool)
    if tonumber(call('ZSCORE', p.T .. 'q', held.number + QUEUED) or 0) > c.now then
        p.unqueued[#p.unqueued + 1] = held.number + QUEUED
        p.queued = p.queued - 1
    else
        p.used = p.used + 1
    end
    busy_by(p, m.agent, 1)
    p.seq = max(p.seq, held.number)
    c.op = max(c.op, held.token)
    local second = held.kind == 'held' and field(m, 'h ' .. held.production)
    local kind = second and 'request' or held.kind
    local shared = p.shared and kind == 'held' and not field(m, 'p ' .. p.name) and 1 or 0
    -- Nobody knows how old it is: it has no life left, and is gone when it is freed.
    c.deaths[#c.deaths + 1] = p.T .. 'life:' .. held.number
    local seat = {'r', held.pool, held.number, held.token, kind, held.production, held.pool, c.now, c.now, 0, '', 0, 0, 0, 0, shared}
    keep(m, held.request, seat)
    hold(m, held.request, seat)
end

-- A second request on a seat that was claimed.
local function claim_waived(m, base, held)
    local seat = thing(m, base)
    seat[OTHERS] = seat[OTHERS] + 1
    keep(m, base, seat)
    keep(m, held.request, {'x', base, held.production})
    if seat[SHARED] == 1 then
        production_begins(m, base, held.production)
    end
end

-- The claims of a session, in the order of their requests; those that are not its own are returned.
local function settle(c, m, claims, mine, believe)
    local lost = {}
    for _, request in ipairs(sorted_keys(claims)) do
        local held = claims[request]
        local base = mine[held.token]
        if believe and not base then
            mine[held.token] = request
            claim(c, m, held)
        elseif believe and not thing(m, request) then
            claim_waived(m, base, held)
        elseif not base then
            mine[held.token] = request
            lost[#lost + 1] = held.token
        end
    end
    return lost
end

-- A session that comes back: what it does not hold any more is freed; what it no longer waits for leaves the line.
-- Returns the tokens that are its own, and the requests that have them.
local function reconcile(c, m, claims, waiting)
    local things, mine = things_of(m), {}
    for _, entry in ipairs(things) do
        local request, t = entry[1], entry[2]
        if t[KIND] == 'x' and not claims[request] then
            local seat = thing(m, t[BASE])
            seat[OTHERS] = seat[OTHERS] - 1
            keep(m, t[BASE], seat)
            production_ends(m, seat, t[WAIVED_PRODUCTION])
            forget(m, request)
        elseif t[KIND] == 'l' and not waiting[request] then
            leave_line(c, m, request, t)
        end
    end
    for _, entry in ipairs(things) do
        local request, seat = entry[1], entry[2]
        if seat[KIND] == 'r' then
            local held = claims[request] and claims[request].token == seat[TOKEN]
            if not held and seat[ENDED] == 0 then
                seat[ENDED] = 1
                keep(m, request, seat)
                production_ends(m, seat, seat[PRODUCTION])
            end
            if seat[ENDED] == 1 and seat[OTHERS] == 0 then
                end_seat(c, m, request, seat, false)
            else
                mine[seat[TOKEN]] = request
            end
        end
    end
    return mine
end

-- Sessions ----------------------------------------------------------------------------------------------------------

local function lowest_slot(c, agent)
    local slots = c.T .. 'slots:' .. agent
    local slot = 0
    while call('HEXISTS', slots, slot) == 1 do
        slot = slot + 1
    end
    return slot
end

local function read_claims(args, at)
    local claims, waiting = {}, {}
    local n = tonumber(args[at])
    at = at + 1
    for _ = 1, n do
        claims[args[at]] = {request = args[at], token = tonumber(args[at + 1]), pool = args[at + 2],
            number = tonumber(args[at + 3]), production = args[at + 4], kind = args[at + 5]}
        at = at + 6
    end
    for i = at, #args do
        waiting[args[i]] = true
    end
    return claims, waiting
end

-- Why a new session may not be, as an answer's rest; nothing when it may.
local function refusal_of(c, current)
    if current and field(current, 'is connection') ~= '' and c.now - field(current, 'is beat') < NAME_FRESH_MS then
        return {'name_in_use', field(current, 'is host'), tonumber(field(current, 'is pid'))}
    end
    local allowed = tonumber(call('HGET', c.T .. 'limits', 'keys') or 0)
    local taken = call('ZCARD', c.T .. 'alive') - (current and 1 or 0)
    return taken >= allowed and {'no_key', taken, allowed} or nil
end

local function new_member(c, session, name, agent, slot)
    local m = member_of(c, session)
    later(c, 'HSET', c.T .. 'names', agent .. '/' .. name, session)
    later(c, 'HSET', c.T .. 'slots:' .. agent, slot, session)
    m.agent = agent
    put(m, 'is name', name)
    put(m, 'is agent', agent)
    put(m, 'is slot', slot)
    put(m, 'is since', c.now)
    put(m, 'is waits', 0)
    put(m, 'is prod', 0)
    return m
end

-- ARGV: name agent host pid version connection fresh-session old-session highest lease claims waiting
local function register(keys, args)
    local c = begin(keys)
    local name, agent, fresh, old = args[1], args[2], args[7], args[8]
    local claims, waiting = read_claims(args, 11)
    recover(c, tonumber(args[9]), tonumber(args[10]))
    load(c, {})
    all_pools(c)
    local current = call('HGET', c.T .. 'names', agent .. '/' .. name)
    current = current and member_of(c, current)
    local m, lost
    if current and old == current.id then
        m = current
        lost = settle(c, m, claims, reconcile(c, m, claims, waiting), c.recovering)
    else
        local refusal = refusal_of(c, current)
        if refusal then
            return answer(c, next_op(c), 'refused', spread(refusal))
        end
        local slot = current and tonumber(field(current, 'is slot')) or lowest_slot(c, agent)
        if current then
            end_session(c, current)
        end
        local revive = old ~= '' and c.recovering and not member_of(c, old).agent and not (current and current.id == old)
        m = new_member(c, revive and old or fresh, name, agent, slot)
        if revive then
            m.top = ANY_NUMBER -- what it sent before is not known any more
        end
        lost = settle(c, m, claims, {}, revive)
    end
    put(m, 'is host', args[3])
    put(m, 'is pid', args[4])
    put(m, 'is version', args[5])
    put(m, 'is connection', args[6])
    put(m, 'is beat', c.now)
    put(m, 'is claimed', c.epoch)
    later(c, 'ZADD', c.T .. 'alive', c.now + args[10], m.id)
    local op = next_op(c)
    hand_over_all(c)
    return answer(c, op, 'registered', m.id, tonumber(field(m, 'is slot')), lost)
end

-- ARGV: session connection highest lease, then pool, executions waived at the worker, and those that ran past the lease
local function heartbeat(keys, args)
    local c = begin(keys)
    recover(c, tonumber(args[3]), tonumber(args[4]))
    load(c, {})
    all_pools(c)
    local m = member_of(c, args[1])
    if not m.agent then
        return answer(c, nil, 'refused', 'unknown_session')
    end
    put(m, 'is beat', c.now)
    put(m, 'is connection', args[2])
    later(c, 'ZADD', c.T .. 'alive', c.now + args[4], m.id)
    for i = 5, #args, 3 do
        local p = c.pools[args[i]]
        if p and p.licensed then
            count(c, p, WAIVED, tonumber(args[i + 1]))
            count(c, p, OVERRUN, tonumber(args[i + 2]))
        end
    end
    local waited = {}
    for _, name in ipairs(all_pools(c)) do
        if c.pools[name].line > 0 then
            waited[#waited + 1] = name
        end
    end
    return answer(c, nil, 'alive', c.recovering and field(m, 'is claimed') ~= c.epoch and 1 or 0, waited)
end

-- ARGV: session connection
local function disconnect(keys, args)
    local c = begin(keys)
    load(c, {})
    local m = member_of(c, args[1])
    if m.agent and field(m, 'is connection') == args[2] then
        put(m, 'is connection', '')
    end
    return answer(c, nil, 'done')
end

-- ARGV: session
local function goodbye(keys, args)
    local c = begin_with_all(keys)
    local m = member_of(c, args[1])
    if not m.agent then
        return answer(c, nil, 'refused', 'unknown_session')
    end
    end_session(c, m)
    local op = next_op(c)
    hand_over_all(c)
    return answer(c, op, 'done')
end

-- Acquires and releases, many to a call -----------------------------------------------------------------------------

local SAY_GRANTED, SAY_WAITING, SAY_RELEASED, SAY_REFUSED = 1, 2, 3, 4

-- The answers of a batch are one flat array: now; then for each op, word, number of grants handed over, ten values for
-- each of them, and what the word brings.
local function say(c, op, word)
    local out, n, handed = c.out, c.n, c.handed
    out[n + 1], out[n + 2], out[n + 3] = op, word, #handed
    n = n + 3
    if #handed > 0 then
        for _, grant in ipairs(handed) do
            for i = 1, 10 do
                out[n + i] = grant[i]
            end
            n = n + 10
        end
        c.handed = {}
    end
    c.n = n
    return out, n
end

local function say_granted(c, g)
    local out, n = say(c, c.op, SAY_GRANTED)
    out[n + 1], out[n + 2], out[n + 3], out[n + 4], out[n + 5], out[n + 6], out[n + 7], out[n + 8] =
        g[3], g[4], g[5], g[6], g[7], g[8], g[9], g[10]
    c.n = n + 8
end

local function say_waiting(c, ahead)
    local out, n = say(c, c.op, SAY_WAITING)
    out[n + 1] = ahead
    c.n = n + 1
end

local function say_released(c, op, life_left, pool, held)
    local out, n = say(c, op, SAY_RELEASED)
    out[n + 1], out[n + 2], out[n + 3] = life_left, pool, held
    c.n = n + 3
end

-- `full` is pool, in use, limit, ...
local function say_refused(c, reason, full)
    local out, n = say(c, c.op, SAY_REFUSED)
    out[n + 1], out[n + 2] = reason, #full
    for i, value in ipairs(full) do
        out[n + 2 + i] = value
    end
    c.n = n + 2 + #full
end

local NOTHING = {}

-- The answer that this request already got, or nothing.
local function memo_of(c, request)
    local packed = c.memos[request]
    if not packed then
        packed = c.got[request]
        if packed == nil then
            packed = call('HGET', c.T .. 'memo:' .. c.memo, request) or call('HGET', c.T .. 'memo:' .. c.memo - 1, request)
            c.got[request] = packed
        end
        if not packed then
            return nil
        end
    end
    local memo
    if string.byte(packed) == 2 then
        local _, waived, dies, left, held, session, seat = unfixed(GIVEN, packed)
        memo = {session, dies, 'g', waived, left, held, decode(packed, seat)}
    else
        memo = {values(packed)}
    end
    return c.now <= memo[M_DIES] and memo or nil
end

local function remember(c, request, memo)
    local list, n = c.memo_list, c.memo_count
    c.memos[request], list[n + 1], list[n + 2] = memo, request, memo
    c.memo_count = n + 2
end

local function remember_given(c, m, request, seat, waived, life_left, held)
    remember(c, request, fixed(GIVEN, 2, waived, c.now + c.memo_ms, life_left, held, m.id) .. seat)
end

-- The request again: it gets the answer that it got. Returns whether there was one.
local function repeated(c, m, request)
    local t = thing(m, request)
    if t then
        if t[KIND] == 'r' then
            say_granted(c, grant_of(c, m, request, t, 0))
        elseif t[KIND] == 'x' then
            say_granted(c, grant_of(c, m, request, thing(m, t[BASE]), 1))
        else
            say_waiting(c, rank_of(pool_of(c, t[L_POOLS]), m.id .. ' ' .. request))
        end
        return true
    end
    local memo = memo_of(c, request)
    if not memo then
        return false
    end
    if memo[M_SESSION] ~= m.id then
        say_refused(c, 'bad_request', NOTHING)
    elseif memo[M_WORD] == 'g' then
        say_granted(c, grant_of(c, m, request, memo[M_SEAT], memo[M_WAIVED]))
    else
        say_refused(c, memo[M_WORD], {spread(memo, M_FULL)})
    end
    return true
end

local function refuse(c, m, request, ask, reason, full)
    next_op(c)
    if REFUSAL[reason] then
        count(c, pool_of(c, ask.pools[1]), REFUSAL[reason], 1)
    end
    remember(c, request, pack(m.id, c.now + c.memo_ms, reason, c.now, ask.pools[1], spread(full)))
    say_refused(c, reason, full)
end

local function stand_in_line(c, m, request, ask, production, user)
    local op = next_op(c)
    local ahead = pool_of(c, ask.pools[1]).line
    for _, name in ipairs(ask.pools) do
        local p = pool_of(c, name)
        if p.line == 0 then
            c.said[#c.said + 1] = {'waited', name}
        end
        p.line = p.line + 1
        p.stands[#p.stands + 1] = {m.id .. ' ' .. request, op}
    end
    keep(m, request, {'l', ask.use, production, user, c.reuse_ms, c.now, spread(ask.pools)})
    m.waits = m.waits + 1
    say_waiting(c, ahead)
end

-- Waived, or a seat of the first pool of the chain that has one. Returns the grant; or nothing, why, and what is full.
local function try(c, m, request, ask, production, user)
    for _, name in ipairs(ask.pools) do
        hand_over(c, c.pools[name])
    end
    if ask.use == 'held' then
        local base = field(m, 'h ' .. production)
        if base then
            return waive(c, m, request, base, production)
        end
        if m.prod >= c.productions then
            return nil, 'edition_limit', {'', m.prod, c.productions}
        end
    end
    local full = {}
    for _, name in ipairs(ask.pools) do
        local p = c.pools[name]
        local base = p.shared and ask.use == 'held' and field(m, 'p ' .. name)
        if base then
            return waive(c, m, request, base, production)
        end
        local number, life_end, reused = take(c, p, m.agent, c.reuse_ms)
        if number then
            return grant_seat(c, m, request, {ask.use, production, user, ask.pools[1]}, p, number, life_end, reused)
        end
        full[#full + 1], full[#full + 2], full[#full + 3] = name, p.used - p.queued, p.cap
    end
    return nil, 'pool_limit', full
end

local function acquire_any(c, m, request, ask, packed)
    local _, production, _, user = values(packed)
    if not m.agent then
        return say_refused(c, 'unknown_session', NOTHING)
    end
    if repeated(c, m, request) then
        return
    end
    local first = ask.pools[1]
    if ask.use == 'notified' then
        if not ask.unknown then
            count(c, c.pools[first], NOTIFIED, 1)
        end
        next_op(c)
        return say_granted(c, {m.id, request, 0, first, first, 0, 0, 0, 0, 0})
    end
    if ask.unknown then
        return refuse(c, m, request, ask, 'unknown_pool', {ask.unknown, 0, 0})
    end
    local reason, full
    if c.recovering then
        if not ask.wait then
            return say_refused(c, 'recovering', NOTHING)
        end
    else
        local grant
        grant, reason, full = try(c, m, request, ask, production, user)
        if grant then
            return say_granted(c, grant)
        end
    end
    if not ask.wait then
        return refuse(c, m, request, ask, reason, full)
    end
    for _, name in ipairs(ask.pools) do
        if c.pools[name].line >= c.line_max then
            return refuse(c, m, request, ask, 'line_full', {first, c.line_max, c.line_max})
        end
    end
    stand_in_line(c, m, request, ask, production, user)
end

-- An acquire that nothing is in the way of: a request that nobody has heard of, a pool without line and reservations. The
-- same as acquire_any, in as few steps as there are; what is out of the ordinary is left to that.
local function acquire(c, m, request, number, ask, hold, packed)
    local p, f = ask.plain, m.f
    local known = number <= m.top
    if not known then
        m.top = number
    end
    if not p or p.line > 0 or p.used - p.queued >= p.cap or not m.agent or f[request] ~= false
        or (known and (c.got[request] or c.memos[request]))
        or (hold ~= '' and (f[hold] ~= false or m.prod >= c.productions)) then
        return acquire_any(c, m, request, ask, packed)
    end
    local now, seat, life_end, reused = c.now, take(c, p, m.agent, c.reuse_ms)
    local op, busy = c.op + 1, p.used - p.queued
    c.op = op
    local record = p.packed .. packed .. fixed(SEAT, reused, 0, 0, 0, now, life_end, p.used, p.cap, seat, op)
    f[request], m.set[request], m.unset[request] = record, record, nil
    if hold ~= '' then
        f[hold], m.set[hold], m.unset[hold] = request, request, nil
        m.prod = m.prod + 1
    end
    if reused == 1 then
        p.reused = p.reused + 1
    else
        p.fresh = p.fresh + 1
    end
    if busy > p.top then
        p.top = busy
    end
    local out, n, name = c.out, c.n, p.name
    out[n + 1], out[n + 2], out[n + 3], out[n + 4], out[n + 5], out[n + 6], out[n + 7], out[n + 8], out[n + 9], out[n + 10], out[n + 11] =
        op, SAY_GRANTED, 0, op, name, name, seat, reused, 0, 0, life_end - now
    c.n = n + 11
end

-- A request that is not there: answered before, or stale.
local function release_unknown(c, m, request, token)
    local memo = memo_of(c, request)
    if memo and memo[M_SESSION] == m.id and memo[M_WORD] == 'g' and memo[M_SEAT][TOKEN] == token then
        say_released(c, c.op, memo[M_LEFT], memo[M_SEAT][POOL], memo[M_HELD])
    else
        say_refused(c, 'stale', NOTHING)
    end
end

-- The seat has nobody left: it goes back. Returns the number of the transition and the life left.
local function seat_over(c, m, base, seat)
    local life_left = end_seat(c, m, base, seat, true)
    local op = next_op(c)
    hand_over(c, pool_of(c, seat[POOL]))
    if seat[USE] == 'held' and m.waits > 0 then
        hand_over_all(c)
    end
    return op, life_left
end

local function release_any(c, m, request, token)
    local t = m.agent and thing(m, request)
    if t and t[KIND] == 'l' then
        leave_line(c, m, request, t)
        return say_released(c, next_op(c), 0, '', 0)
    end
    local is_own = t and t[KIND] == 'r'
    local base = is_own and request or t and t[BASE]
    local seat = base and thing(m, base)
    if not seat or seat[TOKEN] ~= token or (is_own and seat[ENDED] == 1) then
        return release_unknown(c, m, request, token)
    end
    local packed = encode(seat)
    if is_own then
        seat[ENDED] = 1
        production_ends(m, seat, seat[PRODUCTION])
    else
        seat[OTHERS] = seat[OTHERS] - 1
        forget(m, request)
        production_ends(m, seat, t[WAIVED_PRODUCTION])
    end
    local op, life_left = nil, 0
    if seat[ENDED] == 1 and seat[OTHERS] == 0 then
        op, life_left = seat_over(c, m, base, seat)
    else
        keep(m, base, seat)
        op = next_op(c)
    end
    local held = max(c.now - seat[SINCE], 0)
    remember_given(c, m, request, packed, is_own and 0 or 1, life_left, held)
    say_released(c, op, life_left, seat[POOL], held)
end

-- A release that nobody waits for, of a seat that nobody else is on. The same as release_any, in as few steps as there are.
local function release(c, m, request, token)
    local f = m.f
    local record = f[request]
    if type(record) ~= 'string' or string.byte(record) ~= 1 or m.waits > 0 then
        return release_any(c, m, request, token)
    end
    local _, ended, shared, others, since, life_end, _, _, number, its = unfixed(SEAT, record, #record - SEAT_BYTES + 1)
    local _, name, use, production = some_values(record, 3, 1)
    local p = pool_of(c, name)
    if its ~= token or ended + shared + others > 0 or p.line > 0 or p.reserve or not m.agent then
        return release_any(c, m, request, token)
    end
    f[request], m.set[request], m.unset[request], m.things[request] = false, nil, true, nil
    if use == 'held' then
        local hold = 'h ' .. production
        f[hold], m.set[hold], m.unset[hold] = false, nil, true
        m.prod = m.prod - 1
    end
    local now = c.now
    local life_left, held, op = life_end - now, now - since, c.op + 1
    if held < 0 then
        held = 0 -- the clock stepped back
    end
    c.op = op
    if life_left > 0 then
        p.queued = p.queued + 1
        push(p, number, life_end)
    else
        life_left = 0
        p.used = p.used - 1
    end
    remember_given(c, m, request, record, 0, life_left, held)
    local out, n = c.out, c.n
    out[n + 1], out[n + 2], out[n + 3], out[n + 4], out[n + 5], out[n + 6] = op, SAY_RELEASED, 0, life_left, name, held
    c.n = n + 6
end

-- Read what all these requests need of their sessions, one call for each session; and whether those were answered before
-- whose number the session may have sent before.
local function read_members(c, ops, first)
    local wanted, counts, i, acquires = {}, {}, first, 0
    while ops[i] do
        local session = ops[i + 1]
        local fields, n = wanted[session], counts[session]
        if not fields then
            fields, n = {'is agent', 'is waits', 'is prod', 'is top'}, 4
            wanted[session] = fields
        end
        n = n + 1
        fields[n] = ops[i + 2]
        if ops[i] == 0 then
            i = i + 4
        else
            if ops[i + 4] ~= '' then
                n = n + 1
                fields[n] = ops[i + 4]
            end
            acquires = acquires + 1
            i = i + 6
        end
        counts[session] = n
    end
    for session, fields in pairs(wanted) do
        make_member(c, session, fields, call('HMGET', c.T .. 'w:' .. session, spread(fields)))
    end
    c.chunk = acquires + 1 -- as many of the queue as may be taken
    local asked, tops, n = {}, {}, 0
    i = first
    while ops[i] do
        if ops[i] == 0 then
            i = i + 4
        else
            local session, number = ops[i + 1], ops[i + 3]
            local m = c.members[session]
            if m.agent and number > (tops[session] or m.top) then
                tops[session] = number
                c.got[ops[i + 2]] = false
            else
                n = n + 1
                asked[n] = ops[i + 2]
            end
            i = i + 6
        end
    end
    if n > 0 then
        local now = call('HMGET', c.T .. 'memo:' .. c.memo, spread(asked))
        local before = call('HMGET', c.T .. 'memo:' .. c.memo - 1, spread(asked))
        for at, request in ipairs(asked) do
            c.got[request] = now[at] or before[at]
        end
    end
end

-- ARGV: packed, an array: reuse, memo, line-max, number of asks; each ask: use, wait, number of pools, pools; then an acquire
-- is: number of its ask, session, request, its number in the session (0: none), "h <production>" when it is held, and packed use, production, first pool and user; and a release: 0, session, request, token.
local function batch(keys, args)
    local c = begin(keys)
    local ops = values(args[1])
    c.reuse_ms, c.memo_ms, c.line_max, c.asks, c.out, c.n = ops[1], ops[2], ops[3], {}, {c.now}, 1
    local names, at = {}, 5
    for n = 1, ops[4] do
        local ask = {use = ops[at], held = ops[at] == 'held', wait = ops[at + 1] == 1, pools = {}}
        for i = 1, ops[at + 2] do
            ask.pools[i] = ops[at + 2 + i]
            names[ops[at + 2 + i]] = true
        end
        at = at + 3 + ops[at + 2]
        c.asks[n] = ask
    end
    load(c, sorted_keys(names))
    for _, ask in ipairs(c.asks) do
        for _, name in ipairs(ask.pools) do
            ask.unknown = ask.unknown or (not c.pools[name].licensed and name)
        end
        local p = c.pools[ask.pools[1]]
        if #ask.pools == 1 and not ask.unknown and ask.use ~= 'notified' and not c.recovering and not p.shared and not p.reserve then
            ask.plain = p
        end
    end
    read_members(c, ops, at)
    while ops[at] do
        local m = c.members[ops[at + 1]]
        if ops[at] == 0 then
            release(c, m, ops[at + 2], ops[at + 3])
            at = at + 4
        else
            acquire(c, m, ops[at + 2], ops[at + 3], c.asks[ops[at]], ops[at + 4], ops[at + 5])
            at = at + 6
        end
    end
    finish(c)
    return c.out
end

-- By people ---------------------------------------------------------------------------------------------------------

-- ARGV: token
local function operator_release(keys, args)
    local c = begin_with_all(keys)
    local token = tonumber(args[1])
    for _, session in ipairs(call('ZRANGE', c.T .. 'alive', 0, -1)) do
        local m = member_of(c, session)
        for _, entry in ipairs(things_of(m)) do
            local request, seat = entry[1], entry[2]
            if seat[KIND] == 'r' and seat[TOKEN] == token then
                for _, other in ipairs(things_of(m)) do
                    if other[2][KIND] == 'x' and other[2][BASE] == request then
                        production_ends(m, seat, other[2][WAIVED_PRODUCTION])
                        forget(m, other[1])
                    end
                end
                if seat[ENDED] == 0 then
                    production_ends(m, seat, seat[PRODUCTION])
                end
                end_seat(c, m, request, seat, false)
                local op = next_op(c)
                hand_over_all(c)
                return answer(c, op, 'released', 0, 0, seat[POOL], max(c.now - seat[SINCE], 0))
            end
        end
    end
    return answer(c, nil, 'refused', 'stale')
end

-- ARGV: demo or licensed. What the Master says of its own licence.
local function master(keys, args)
    local c = begin(keys)
    load(c, {})
    later(c, 'HSET', c.T .. 'limits', 'master', args[1])
    return answer(c, nil, 'done')
end

-- ARGV: keys productions, then for each pool: name, cap, whether productions share a seat, number of reservations, and
-- agent, seats for each
local function set_limits(keys, args)
    local c = begin(keys)
    local key, at = c.T .. 'limits', 3
    for _, name in ipairs(call('HKEYS', key)) do
        if string.sub(name, 1, 5) == 'pool:' then
            later(c, 'HDEL', key, name)
        end
    end
    later(c, 'HSET', key, 'keys', args[1], 'productions', args[2])
    load(c, {})
    all_pools(c)
    c.productions = tonumber(args[2])
    local reserves = false
    for _, name in ipairs(c.names) do
        read_limit(c.pools[name], false)
        c.pools[name].shared, c.pools[name].reserve = nil, nil
    end
    while args[at] do
        local p, limit = pool_of(c, args[at]), args[at + 1]
        local reserved = tonumber(args[at + 3])
        if args[at + 2] == '1' or reserved > 0 then
            local parts = {tonumber(limit), tonumber(args[at + 2])}
            for i = 1, 2 * reserved, 2 do
                parts[i + 2], parts[i + 3] = args[at + 3 + i], tonumber(args[at + 4 + i])
            end
            limit = pack(spread(parts))
        end
        read_limit(p, limit)
        reserves = reserves or p.reserve
        later(c, 'HSET', key, 'pool:' .. p.name, limit)
        later(c, 'SADD', c.T .. 'pools', p.name)
        later(c, 'DEL', p.T .. 'agents')
        p.agents = {}
        at = at + 4 + 2 * reserved
    end
    c.names = sorted_keys(c.pools)
    if reserves then
        -- Who has how many was not counted before.
        for _, session in ipairs(call('ZRANGE', c.T .. 'alive', 0, -1)) do
            local m = member_of(c, session)
            for _, entry in ipairs(things_of(m)) do
                if entry[2][KIND] == 'r' then
                    busy_by(pool_of(c, entry[2][POOL]), m.agent, 1)
                end
            end
        end
    end
    local op = next_op(c)
    hand_over_all(c)
    for _, p in pairs(c.pools) do
        for agent in pairs(p.agents_changed or NOTHING) do
            later(c, 'HSET', p.T .. 'agents', agent, p.agents[agent])
        end
        p.agents_changed = nil
    end
    return answer(c, op, 'done')
end

-- The clock ---------------------------------------------------------------------------------------------------------

-- Before anything else is read: every life becomes change(life).
local function each_life(c, change)
    for _, name in ipairs(call('SMEMBERS', c.T .. 'pools')) do
        local base = c.T .. name
        local q = call('ZRANGE', base .. ':q', 0, -1, 'WITHSCORES')
        for i = 1, #q, 2 do
            local to = change(tonumber(q[i + 1]))
            call('ZADD', base .. ':q', to, q[i])
            call('SET', base .. ':life:' .. q[i] - QUEUED, 1, 'PXAT', max(to, 1))
        end
    end
    for _, session in ipairs(call('ZRANGE', c.T .. 'alive', 0, -1)) do
        local w = c.T .. 'w:' .. session
        local all = call('HGETALL', w)
        for i = 1, #all, 2 do
            local seat = not string.find(all[i], ' ', 1, true) and decode(all[i + 1], 1)
            if seat and seat[KIND] == 'r' then
                local to, life = change(seat[LIFE_END]), c.T .. seat[POOL] .. ':life:' .. seat[NUMBER]
                seat[LIFE_END] = to
                call('HSET', w, all[i], encode(seat))
                if to > c.now then
                    call('SET', life, 1, 'PXAT', to)
                else
                    call('DEL', life)
                end
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
    if c.now - last > AWAY_MS then
        each_lease(c, function(at) return max(at, c.now + lease_ms) end)
    elseif c.now < last then
        each_lease(c, function(at) return min(at, c.now + lease_ms) end)
        each_life(c, function(at) return min(at, c.now + reuse_ms) end)
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

-- Who was granted how many, as the licensor counted it: pool, processor, production, granted, ...
local function count_holders(c, args, at)
    for i = at, #args, 4 do
        local p = c.pools[args[i]]
        if p and stat_of(p)[OPENED] ~= 0 then
            local key, who = p.T .. 'holders', args[i + 1] .. '\n' .. args[i + 2]
            p.holders = p.holders or {count = call('HLEN', key), known = {}}
            local known = p.holders.known[who] or call('HEXISTS', key, who) == 1
            if not known and p.holders.count < HOLDERS_MAX then
                p.holders.count, known = p.holders.count + 1, true
            end
            who = known and who or '\n'
            p.holders.known[who] = true
            p.holders[#p.holders + 1] = {who, args[i + 3]}
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
    for _, told in ipairs(p.holders or NOTHING) do
        later(c, 'HINCRBY', key, told[1], told[2])
    end
    if s[OPENED] ~= 0 and minute ~= floor(c.now / MINUTE_MS) then
        local all = call('HGETALL', key)
        for i = 1, #all, 2 do
            holders[all[i]] = tonumber(all[i + 1])
        end
        for _, told in ipairs(p.holders or NOTHING) do
            holders[told[1]] = (holders[told[1]] or 0) + told[2]
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

local function list_pool(p)
    local s = stat_of(p)
    return {p.name, p.cap, p.used - p.queued, p.queued, p.line, s[PEAK_ALL], s[GRANTED + ALL], s[REUSED_N + ALL], s[WAIVED + ALL],
        s[ESCALATED + ALL], s[REFUSED_ALL], s[NOTIFIED + ALL]}
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

-- What people see ---------------------------------------------------------------------------------------------------

-- ARGV: max. The oldest records of closed minutes.
local function usage(keys, args)
    local c = begin(keys)
    load(c, {})
    local records = {}
    for i, member in ipairs(call('ZRANGE', c.T .. 'usage', 0, args[1] - 1)) do
        local at = string.find(member, '\n', 1, true)
        records[i] = {string.sub(member, 1, at - 1), values(string.sub(member, at + 1))}
    end
    return answer(c, nil, 'usage', records)
end

-- ARGV: id of the last record that was stored. It and those before it are forgotten.
local function acknowledge(keys, args)
    local c = begin(keys)
    load(c, {})
    local minute, pool = string.match(args[1], '^(%d+):(.+)$')
    if not minute then
        return answer(c, nil, 'refused', 'bad_request')
    end
    later(c, 'ZREMRANGEBYSCORE', c.T .. 'usage', '-inf', '(' .. minute)
    for _, member in ipairs(call('ZRANGEBYSCORE', c.T .. 'usage', minute, minute)) do
        local at = string.find(member, '\n', 1, true)
        if string.sub(member, #minute + 2, at - 1) <= pool then
            later(c, 'ZREM', c.T .. 'usage', member)
        end
    end
    return answer(c, nil, 'done')
end

local function list_queued(c, p, seats)
    local q = call('ZRANGE', p.T .. 'q', p.dead, -1, 'WITHSCORES')
    for i = 1, #q, 2 do
        seats[#seats + 1] = {p.name, q[i] - QUEUED, 'queued', '', '', '', 'held', p.name, 0, q[i + 1] - c.now, 0, ''}
    end
end

local function list_session(c, m, seats, only)
    for _, entry in ipairs(things_of(m)) do
        local request, t = entry[1], entry[2]
        if t[KIND] == 'l' then
            if only == '' or only == t[L_POOLS] then
                seats[#seats + 1] = {t[L_POOLS], 0, 'waiting', m.id, t[L_PRODUCTION], request, t[L_USE], t[L_POOLS], t[L_SINCE], 0,
                    0, t[L_USER]}
            end
        else
            local seat = t[KIND] == 'r' and t or thing(m, t[BASE])
            if only == '' or only == seat[POOL] then
                seats[#seats + 1] = {seat[POOL], seat[NUMBER], t == seat and 'busy' or 'waived', m.id,
                    t == seat and seat[PRODUCTION] or t[WAIVED_PRODUCTION], request, seat[USE], seat[REQUESTED], seat[SINCE],
                    max(seat[LIFE_END] - c.now, 0), seat[TOKEN], seat[USER]}
            end
        end
    end
end

-- ARGV: pool, or empty for all
local function list(keys, args)
    local c = begin_with_all(keys)
    local pools, seats, processors = {}, {}, {}
    for _, name in ipairs(c.names) do
        if args[1] == '' or args[1] == name then
            pools[#pools + 1] = list_pool(c.pools[name])
            list_queued(c, c.pools[name], seats)
        end
    end
    local alive = call('ZRANGE', c.T .. 'alive', 0, -1, 'WITHSCORES')
    for i = 1, #alive, 2 do
        local m = member_of(c, alive[i])
        local is = call('HMGET', m.key, 'is name', 'is host', 'is pid', 'is slot')
        processors[#processors + 1] = {m.id, is[1], m.agent, is[2], is[3], tonumber(is[4]), alive[i + 1] - c.now, m.prod}
        list_session(c, m, seats, args[1])
    end
    return answer(c, nil, 'list', pools, seats, processors)
end

-- ARGV: request. What is known of it: word, session, pool, requested, number, token, since, in use, limit, life, reason
local function explain(keys, args)
    local c = begin(keys)
    load(c, {})
    local request = args[1]
    for _, session in ipairs(call('ZRANGE', c.T .. 'alive', 0, -1)) do
        local m = member_of(c, session)
        local t = thing(m, request)
        if t and t[KIND] == 'l' then
            local p = pool_of(c, t[L_POOLS])
            return answer(c, nil, 'explained', 'waiting', field(m, 'is name'), p.name, p.name,
                rank_of(p, session .. ' ' .. request), 0, t[L_SINCE], p.used, p.cap, 0, '')
        elseif t then
            local s = t[KIND] == 'r' and t or thing(m, t[BASE])
            return answer(c, nil, 'explained', t ~= s and 'waived' or s[REUSED] == 1 and 'reused' or 'granted',
                field(m, 'is name'), s[POOL], s[REQUESTED], s[NUMBER], s[TOKEN], s[SINCE], s[USED], s[CAP],
                max(s[LIFE_END] - c.now, 0), '')
        end
    end
    local memo = memo_of(c, request)
    if not memo then
        return answer(c, nil, 'refused', 'bad_request')
    end
    local name = field(member_of(c, memo[M_SESSION]), 'is name') or ''
    if memo[M_WORD] == 'g' then
        local s = memo[M_SEAT]
        return answer(c, nil, 'explained', 'released', name, s[POOL], s[REQUESTED], s[NUMBER], s[TOKEN], s[SINCE], s[USED],
            s[CAP], memo[M_LEFT], '')
    end
    return answer(c, nil, 'explained', 'refused', name, memo[M_FULL], memo[M_FIRST], 0, 0, memo[M_AT], memo[M_FULL + 1],
        memo[M_FULL + 2], 0, memo[M_WORD])
end

redis.register_function('engenho2_hello', hello)
redis.register_function('engenho2_limits', set_limits)
redis.register_function('engenho2_register', register)
redis.register_function('engenho2_heartbeat', heartbeat)
redis.register_function('engenho2_disconnect', disconnect)
redis.register_function('engenho2_goodbye', goodbye)
redis.register_function('engenho2_batch', batch)
redis.register_function('engenho2_operator_release', operator_release)
redis.register_function('engenho2_tick', tick)
redis.register_function('engenho2_list', list)
redis.register_function('engenho2_explain', explain)
redis.register_function('engenho2_master', master)
redis.register_function('engenho2_usage', usage)
redis.register_function('engenho2_acknowledge', acknowledge)
