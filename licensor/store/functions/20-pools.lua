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

-- How many of a packed queue are dead.
local function dead_of(queue, now)
    local dead = 0
    while dead * QUEUE_BYTES < #queue and unfixed(QUEUE, queue, dead * QUEUE_BYTES + 1) <= now do
        dead = dead + 1
    end
    return dead
end

-- A pool as it is now: the dead of its queue are gone.
local function make_pool(c, name, state, at, limit)
    local T, used, seq, queue = c.T .. name .. ':', tonumber(state[at] or 0), tonumber(state[at + 1] or 0), state[at + 3]
    local line, dead, queued = call('ZCARD', T .. 'line'), nil, nil
    if queue then
        dead, queued = dead_of(queue, c.now), #queue / QUEUE_BYTES
    else
        dead, queued = call('ZCOUNT', T .. 'q', '-inf', c.now), call('ZCARD', T .. 'q')
    end
    queued = queued - dead
    -- All at once: a table that grows is copied each time it has doubled.
    local text = pack(name)
    local p = {name = name, T = T, text = text, packed = '\1' .. text, stat = state[at + 2], licensed = false, cap = 0,
        used = used - dead, used_was = used, seq = seq, seq_was = seq, fresh = 0, reused = 0, top = 0,
        dead = dead, queued = queued, in_redis = queued, queue = NOTHING, living = NOTHING, head = 1, fetched = 0,
        lives = {}, freed = {}, unqueued = {}, packed_queue = queue,
        line = line, line_in_redis = line, standing = {}, stood = 0, stands = {}, unstood = {}, left = {}}
    read_limit(p, limit)
    c.pools[name] = p
    return p
end

-- Read the counter, the limits and these pools.
local function load(c, names)
    local keys, fields = {c.T .. 'op'}, {'productions', 'recover', 'epoch', 'memo'}
    for _, name in ipairs(names) do
        local base, n = c.T .. name, #keys
        keys[n + 1], keys[n + 2], keys[n + 3], keys[n + 4] = base .. ':used', base .. ':seq', base .. ':stat', base .. ':packed'
        fields[#fields + 1] = 'pool:' .. name
    end
    local state, limits = call('MGET', spread(keys)), call('HMGET', c.T .. 'limits', spread(fields))
    c.op = c.op or tonumber(state[1] or 0)
    c.op_was = c.op_was or c.op
    c.productions, c.recovering = tonumber(limits[1] or 0), tonumber(limits[2] or 0) > c.now
    c.epoch, c.memo = limits[3] or '0', tonumber(limits[4] or 0)
    for i, name in ipairs(names) do
        make_pool(c, name, state, 4 * i - 2, limits[4 + i])
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
        local up = (at - at % 2) / 2
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

-- A queue that is packed becomes the sorted set, for what takes of it or changes it.
local function open_queue(p)
    local packed, members, n = p.packed_queue, {}, 0
    if not packed then
        return
    end
    p.packed_queue = false
    for at = 1, #packed, QUEUE_BYTES do
        local life_end, number, freed = unfixed(QUEUE, packed, at)
        members[n + 1], members[n + 2] = format('%d', life_end), format('%d:%d', number + QUEUED, freed)
        n = n + 2
    end
    call('DEL', p.T .. 'packed')
    call_with(members, 'ZADD', p.T .. 'q')
end

-- The L-number of a member of the queue.
local function number_in(member)
    return string.sub(member, 1, QUEUED_DIGITS) - QUEUED
end

-- The next of the queue that Redis has, and whether their lives are left: p.living.
local function fetch_queue(c, p)
    open_queue(p)
    local from = p.dead + p.fetched
    local queue, life, keys = call('ZRANGE', p.T .. 'q', from, from + c.chunk - 1, 'WITHSCORES'), p.T .. 'life:', {}
    for i = 1, #queue, 2 do
        keys[(i + 1) / 2] = life .. number_in(queue[i])
    end
    p.queue, p.living, p.head = queue, call('MGET', spread(keys)), 1
    p.fetched = p.fetched + #keys
end

-- Number and end of life of the queue's head, which is not empty; and whether it still lives.
local function dequeue(c, p)
    p.queued = p.queued - 1
    if p.head > #p.queue and p.fetched < p.in_redis then
        fetch_queue(c, p)
    end
    local head = p.head
    local member = p.queue[head]
    if member then
        local number, life_end = number_in(member), tonumber(p.queue[head + 1])
        local sooner = p.lives[1]
        if not sooner or life_end < sooner or (life_end == sooner and number < p.freed[1]) then
            p.head = head + 2
            p.unqueued[#p.unqueued + 1] = member
            return number, life_end, p.living[(head + 1) / 2]
        end
    end
    local number, life_end = pop(p)
    return number, life_end, true
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
        local number, life_end, living = dequeue(c, p)
        if living then
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
    return '\1' .. pack(t[POOL], t[USE], t[PRODUCTION], t[REQUESTED] ~= t[POOL] and t[REQUESTED] or '', t[USER])
        .. fixed(SEAT, t[REUSED], t[ENDED], t[SHARED], t[OTHERS], t[SINCE], t[LIFE_END], t[USED], t[CAP], t[NUMBER], t[TOKEN])
end

local function decode(text, from)
    if string.byte(text, from) ~= 1 then
        return {values(text)}
    end
    local reused, ended, shared, others, since, life_end, used, cap, number, token = unfixed(SEAT, text, #text - SEAT_BYTES + 1)
    local _, pool, use, production, requested, user = some_values(text, 5, from)
    requested = requested ~= '' and requested or pool
    return {'r', pool, number, token, use, production, requested, since, life_end, reused, user, others, ended, used, cap, shared}
end

