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

local function list_seat_queued(c, p, number, life_end, freed, seats)
    seats[#seats + 1] = {p.name, number, 'queued', '', '', '', 'held', p.name, freed, life_end - c.now, 0, ''}
end

local function list_queued(c, p, seats)
    if p.packed_queue then
        for at = p.dead * QUEUE_BYTES + 1, #p.packed_queue, QUEUE_BYTES do
            local life_end, number, freed = unfixed(QUEUE, p.packed_queue, at)
            list_seat_queued(c, p, number, life_end, freed, seats)
        end
        return
    end
    local q = call('ZRANGE', p.T .. 'q', p.dead, -1, 'WITHSCORES')
    for i = 1, #q, 2 do
        list_seat_queued(c, p, number_in(q[i]), q[i + 1], tonumber(string.sub(q[i], QUEUED_DIGITS + 2)), seats)
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
        local may_have = not m.packed or string.sub(request, 1, #session + 1) == session .. ':'
        local t = may_have and thing(m, request)
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

redis.register_function('engenho6_list', list)
redis.register_function('engenho6_explain', explain)
redis.register_function('engenho6_usage', usage)
redis.register_function('engenho6_acknowledge', acknowledge)
