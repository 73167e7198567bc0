-- By people ---------------------------------------------------------------------------------------------------------

do -- a block: see 50-recovery.lua

-- What operators did and were refused, newest first: T:audit, a list of packed time, who, what, detail.
local AUDIT_MAX = 1000

local function write_audit(c, who, what, detail)
    later(c, 'LPUSH', c.T .. 'audit', pack(c.now, who, what, detail))
    later(c, 'LTRIM', c.T .. 'audit', 0, AUDIT_MAX - 1)
end

-- ARGV: who what detail
local function audit(keys, args)
    local c = begin(keys)
    load(c, {})
    write_audit(c, args[1], args[2], args[3])
    return answer(c, nil, 'done')
end

-- ARGV: how many at most
local function list_audit(keys, args)
    local c = begin(keys)
    load(c, {})
    local entries = {}
    for i, packed in ipairs(call('LRANGE', c.T .. 'audit', 0, args[1] - 1)) do
        entries[i] = {values(packed)}
    end
    return answer(c, nil, 'audit', entries)
end

-- ARGV: token who
local function operator_release(keys, args)
    local c = begin_with_all(keys)
    local token, who = tonumber(args[1]), args[2]
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
                local production = seat[PRODUCTION] ~= '' and ', production ' .. seat[PRODUCTION] or ''
                write_audit(c, who, 'release', 'seat L' .. seat[NUMBER] .. ' of pool ' .. seat[POOL] .. ' taken from '
                    .. field(m, 'is name') .. production .. ', request ' .. request .. ', token ' .. token)
                end_seat(c, m, request, seat, false)
                local op = next_op(c)
                hand_over_all(c)
                return answer(c, op, 'released', 0, 0, seat[POOL], max(c.now - seat[SINCE], 0))
            end
        end
    end
    write_audit(c, who, 'release', 'refused: no seat has token ' .. token)
    return answer(c, nil, 'refused', 'stale')
end

-- ARGV: demo or licensed, who. What the Master says of its own licence, each minute.
local function master(keys, args)
    local c = begin(keys)
    load(c, {})
    if (call('HGET', c.T .. 'limits', 'master') or 'licensed') ~= args[1] then
        write_audit(c, args[2], 'master', args[1] == 'demo' and 'the Master is in demo' or 'the Master is licensed')
    end
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

redis.register_function('engenho6_audit', audit)
redis.register_function('engenho6_list_audit', list_audit)
redis.register_function('engenho6_operator_release', operator_release)
redis.register_function('engenho6_master', master)
redis.register_function('engenho6_limits', set_limits)

end
