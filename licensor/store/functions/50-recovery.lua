-- Recovery ----------------------------------------------------------------------------------------------------------

local recover

do -- A block, for Lua allows 200 local names beside each other; the files of this folder are one text.

-- Writes were lost: forget every seat, and give the workers one lease to claim what they hold. No new grants meanwhile.
recover = function(c, highest, lease_ms)
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
        call('DEL', base .. ':q', base .. ':packed', base .. ':line', base .. ':agents')
    end
    for _, session in ipairs(call('ZRANGE', c.T .. 'alive', 0, -1)) do
        local w = c.T .. 'w:' .. session
        local packed = call('HGET', w, 'is packed')
        if packed then
            call('HSET', w, 'is top', format('%d', (unfixed(PACKED_FIRST, packed))))
            call('HDEL', w, 'is packed')
        end
        for _, name in ipairs(call('HKEYS', w)) do
            if not is_about_session(name) then
                call('HDEL', w, name)
            end
        end
        call('HSET', w, 'is waits', 0, 'is prod', 0)
        call('ZADD', c.T .. 'alive', c.now + lease_ms, session)
    end
end

-- The member of this L-number in the queue, when it is there and lives.
local function queued_member(c, p, number)
    open_queue(p)
    for _, member in ipairs(call('ZRANGEBYSCORE', p.T .. 'q', '(' .. format('%d', c.now), '+inf')) do
        if number_in(member) == number then
            return member
        end
    end
end

-- One seat that a worker says it holds. Claims are believed while recovering.
local function claim(c, m, held)
    local p = pool_of(c, held.pool)
    later(c, 'SADD', c.T .. 'pools', held.pool)
    local member = queued_member(c, p, held.number)
    if member then
        p.unqueued[#p.unqueued + 1] = member
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

-- A registration that was on its way while its worker registered again elsewhere.
local function is_late(current, began, sequence)
    local its = tonumber(field(current, 'is began') or 0)
    return sequence > 0 and (began < its or (began == its and sequence <= tonumber(field(current, 'is sequence') or 0)))
end

-- Why a new session may not be, as an answer's rest; nothing when it may.
local function refusal_of(c, current, began, sequence)
    if current and field(current, 'is connection') ~= '' and c.now - field(current, 'is beat') < NAME_FRESH_MS then
        return {'name_in_use', field(current, 'is host'), tonumber(field(current, 'is pid'))}
    end
    if current and is_late(current, began, sequence) then
        return {'late'}
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

-- ARGV: name agent host pid version connection fresh-session old-session highest lease began sequence claims waiting
local function register(keys, args)
    local c = begin(keys)
    local name, agent, fresh, old = args[1], args[2], args[7], args[8]
    local began, sequence = tonumber(args[11]), tonumber(args[12])
    local claims, waiting = read_claims(args, 13)
    recover(c, tonumber(args[9]), tonumber(args[10]))
    load(c, {})
    all_pools(c)
    local current = call('HGET', c.T .. 'names', agent .. '/' .. name)
    current = current and member_of(c, current)
    local m, lost
    if current and old == current.id then
        if is_late(current, began, sequence) then
            return answer(c, next_op(c), 'refused', 'late')
        end
        m = current
        lost = settle(c, m, claims, reconcile(c, m, claims, waiting), c.recovering)
    else
        local refusal = refusal_of(c, current, began, sequence)
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
    put(m, 'is began', args[11])
    put(m, 'is sequence', args[12])
    put(m, 'is beat', c.now)
    put(m, 'is claimed', c.epoch)
    later(c, 'ZADD', c.T .. 'alive', c.now + args[10], m.id)
    local op = next_op(c)
    hand_over_all(c)
    join_all(c, m)
    return answer(c, op, 'registered', m.id, tonumber(field(m, 'is slot')), lost)
end

-- ARGV: session connection highest lease sequence, then pool, executions waived at the worker, and those that ran past the lease
local function heartbeat(keys, args)
    local c = begin(keys)
    recover(c, tonumber(args[3]), tonumber(args[4]))
    load(c, {})
    all_pools(c)
    local m = member_of(c, args[1])
    if not m.agent then
        return answer(c, nil, 'refused', 'unknown_session')
    end
    local sequence, its = tonumber(args[5]), tonumber(field(m, 'is sequence') or 0)
    if sequence > 0 and sequence < its then
        return answer(c, nil, 'refused', 'late')
    elseif sequence > its then
        put(m, 'is sequence', args[5]) -- the store lost its registration
    end
    put(m, 'is beat', c.now)
    put(m, 'is connection', args[2])
    later(c, 'ZADD', c.T .. 'alive', c.now + args[4], m.id)
    for i = 6, #args, 3 do
        local p = c.pools[args[i]]
        if p and p.licensed then
            count(c, p, WAIVED, tonumber(args[i + 1]))
            count(c, p, OVERRUN, tonumber(args[i + 2]))
        end
    end
    join_all(c, m)
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

redis.register_function('engenho6_register', register)
redis.register_function('engenho6_heartbeat', heartbeat)
redis.register_function('engenho6_disconnect', disconnect)
redis.register_function('engenho6_goodbye', goodbye)

end
