#!lua name=engenho1
--[[
The rules of keys and seats as Redis runs them. Each function is one transition of the state machine; memory.c is the same
machine in C, and tests/sim/licensor compares the two, operation by operation.

All keys of a tenant T share one hash tag, T = {tenant}: (KEYS[1] is {tenant}):

  T:op               counter       number of the newest transition: order, fencing token, loss detector
  T:limits           hash          what the licence allows: keys, edition, productions, pool:<name>; and recover, epoch
  T:pools            set           pools that ever had a seat
  T:alive            sorted set    sessions by the end of their lease, in ms
  T:names            hash          agent/name -> session
  T:slots:<agent>    hash          slot -> session
  T:w:<session>      hash          the session: who it is, and r:<request> its seats, h:<production> the request that holds it,
                                   x:<request> waived, l:<request> waiting
  T:prod:<session>   counter       productions running on the processor
  T:<pool>:used      counter       consumed seats, busy and queued: the cap
  T:<pool>:seq       counter       L-numbers
  T:<pool>:life:<n>  string, PXAT  life left, yes or no
  T:<pool>:q         sorted set    freed seats with life left, by the end of it
  T:<pool>:line      sorted set    who waits ("session request"), by arrival
  T:<pool>:stat      hash          totals
  T:rq:<request>     string, PX    the answer that a request already got
  T:st:<minute>      hash, EXPIRE  statistics of a minute
  T:clock            hash          last tick, steps of the clock that were seen

Every answer is an array: op, now in ms, word, grants handed to the waiting line, then what the word brings.
A grant is: session, request, token, pool, requested pool, L-number, reused, escalated, waived, life left in ms.

Numbers: `..` prints 14 digits, so only small integers are joined; redis.call prints numbers whole.
]]

local MINUTES_KEPT_S = 90000 -- 25 hours
local NAME_FRESH_MS = 10000  -- a heartbeat younger than this, and an open connection: the name is in use
local AWAY_MS = 5000         -- no tick for so long: nobody could have kept a lease alive

-- Places in a packed seat.
local POOL, NUMBER, TOKEN, KIND, PRODUCTION, REQUESTED, SINCE, LIFE_END, REUSED, USER, OTHERS, ENDED, USED, CAP =
    1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14

-- Neither redis.call nor cmsgpack is there yet while a library loads.
local function call(...)
    return redis.call(...)
end

local function pack(value)
    return cmsgpack.pack(value)
end

local function unpack_one(text)
    return cmsgpack.unpack(text)
end

local function begin(keys)
    local time = call('TIME')
    return {T = keys[1] .. ':', now = time[1] * 1000 + math.floor(time[2] / 1000), handed = {}}
end

local function next_op(c)
    return call('INCR', c.T .. 'op')
end

local function answer(c, op, word, ...)
    return {op or tonumber(call('GET', c.T .. 'op') or 0), c.now, word, c.handed, ...}
end

local function count(c, pool, what, by)
    call('HINCRBY', c.T .. pool .. ':stat', what, by)
    local minute = c.T .. 'st:' .. math.floor(c.now / 60000)
    if call('HINCRBY', minute, pool .. ':' .. what, by) == by then
        call('EXPIRE', minute, MINUTES_KEPT_S)
    end
end

local function sorted_keys(map)
    local names = {}
    for name in pairs(map) do
        names[#names + 1] = name
    end
    table.sort(names)
    return names
end

local function seat_key(c, session)
    return c.T .. 'w:' .. session
end

-- Every pool that ever had a seat, by name, so that every licensor and the model go in one order.
local function pools_of(c)
    local pools = call('SMEMBERS', c.T .. 'pools')
    table.sort(pools)
    return pools
end

-- Pools -------------------------------------------------------------------------------------------------------------

local function purge(c, pool)
    local dead = call('ZREMRANGEBYSCORE', c.T .. pool .. ':q', '-inf', c.now)
    if dead > 0 then
        call('DECRBY', c.T .. pool .. ':used', dead)
    end
end

-- A seat of the pool: number, end of life, 1 when re-used, seats consumed after it. Nothing when it is full.
local function take(c, pool, cap, reuse_ms)
    local base = c.T .. pool
    purge(c, pool)
    local used = tonumber(call('GET', base .. ':used') or 0)
    if used > cap and used - call('ZCARD', base .. ':q') >= cap then
        return nil
    end
    while true do
        local head = call('ZPOPMIN', base .. ':q')
        if not head[1] then
            break
        end
        if call('PTTL', base .. ':life:' .. head[1]) > 0 then
            return tonumber(head[1]), tonumber(head[2]), 1, used
        end
        used = call('DECR', base .. ':used')
    end
    if used >= cap then
        return nil
    end
    used = call('INCR', base .. ':used')
    local number = call('INCR', base .. ':seq')
    local life_end = c.now + reuse_ms
    call('SET', base .. ':life:' .. number, 1, 'PXAT', life_end)
    call('SADD', c.T .. 'pools', pool)
    return number, life_end, 0, used
end

-- Give a seat back. Queued when its life lasts and `may_queue`. Returns the life left in ms, 0: gone.
local function give(c, pool, number, life_end, may_queue)
    local base = c.T .. pool
    if may_queue and call('PTTL', base .. ':life:' .. number) > 0 then
        call('ZADD', base .. ':q', life_end, number)
        return life_end - c.now
    end
    call('DECR', base .. ':used')
    call('DEL', base .. ':life:' .. number)
    return 0
end

local function available(c, pool, cap)
    purge(c, pool)
    local used = tonumber(call('GET', c.T .. pool .. ':used') or 0)
    return used < cap or used - call('ZCARD', c.T .. pool .. ':q') < cap
end

-- Seats -------------------------------------------------------------------------------------------------------------

local function grant_of(c, session, request, seat, waived)
    return {session, request, seat[TOKEN], seat[POOL], seat[REQUESTED], seat[NUMBER], seat[REUSED],
        seat[POOL] ~= seat[REQUESTED] and 1 or 0, waived, math.max(seat[LIFE_END] - c.now, 0)}
end

local function peak(c, pool, used)
    local busy = used - call('ZCARD', c.T .. pool .. ':q')
    if busy > tonumber(call('HGET', c.T .. pool .. ':stat', 'peak') or 0) then
        call('HSET', c.T .. pool .. ':stat', 'peak', busy)
    end
end

-- `ask` is {kind, production, user, pools}. Returns the grant.
local function grant_seat(c, session, request, ask, pool, cap, number, life_end, reused, used)
    local w = seat_key(c, session)
    local seat = {pool, number, next_op(c), ask.kind, ask.production, ask.pools[1], c.now, life_end, reused, ask.user, 0, 0,
        used, cap}
    call('HSET', w, 'r:' .. request, pack(seat))
    if ask.kind == 'held' then
        call('HSET', w, 'h:' .. ask.production, request)
        call('INCR', c.T .. 'prod:' .. session)
    end
    count(c, pool, reused == 1 and 'reused' or 'granted', 1)
    if pool ~= ask.pools[1] then
        count(c, pool, 'escalated', 1)
    end
    peak(c, pool, used)
    return grant_of(c, session, request, seat, 0)
end

-- The holder has a seat already: this execution is waived. Returns the grant.
local function waive(c, session, request, base_request)
    local w = seat_key(c, session)
    local seat = unpack_one(call('HGET', w, 'r:' .. base_request))
    seat[OTHERS] = seat[OTHERS] + 1
    call('HSET', w, 'r:' .. base_request, pack(seat), 'x:' .. request, base_request)
    next_op(c)
    count(c, seat[POOL], 'waived', 1)
    return grant_of(c, session, request, seat, 1)
end

local function leave_line(c, session, request, ask)
    for _, pool in ipairs(ask.pools) do
        call('ZREM', c.T .. pool .. ':line', session .. ' ' .. request)
    end
    call('HDEL', seat_key(c, session), 'l:' .. request)
    call('HINCRBY', seat_key(c, session), 'waits', -1)
end

-- Serve the head of one waiting request if it may run. True when it left the line.
local function serve(c, member, pool, cap, limits)
    local at = string.find(member, ' ', 1, true)
    local session, request = string.sub(member, 1, at - 1), string.sub(member, at + 1)
    local w = seat_key(c, session)
    local packed = call('HGET', w, 'l:' .. request)
    local ask = unpack_one(packed)
    if ask.kind == 'held' then
        local base_request = call('HGET', w, 'h:' .. ask.production)
        if base_request then
            leave_line(c, session, request, ask)
            c.handed[#c.handed + 1] = waive(c, session, request, base_request)
            return true
        end
        if tonumber(call('GET', c.T .. 'prod:' .. session) or 0) >= limits.productions then
            return false
        end
    end
    local number, life_end, reused, used = take(c, pool, cap, ask.reuse_ms)
    if not number then
        return false
    end
    leave_line(c, session, request, ask)
    c.handed[#c.handed + 1] = grant_seat(c, session, request, ask, pool, cap, number, life_end, reused, used)
    return true
end

-- Seats that are free go to those who wait, in order, except whom the edition's cap blocks.
local function hand_over(c, pool, limits)
    local line = c.T .. pool .. ':line'
    if limits.recovering or call('ZCARD', line) == 0 then
        return
    end
    local cap = tonumber(call('HGET', c.T .. 'limits', 'pool:' .. pool) or 0)
    local skip = 0
    while available(c, pool, cap) do
        local member = call('ZRANGE', line, skip, skip)[1]
        if not member then
            return
        end
        if not serve(c, member, pool, cap, limits) then
            skip = skip + 1
        end
    end
end

local function read_limits(c)
    local got = call('HMGET', c.T .. 'limits', 'productions', 'recover', 'epoch')
    return {productions = tonumber(got[1] or 0), recovering = tonumber(got[2] or 0) > c.now, epoch = got[3] or '0'}
end

local function hand_over_all(c, limits)
    for _, pool in ipairs(pools_of(c)) do
        hand_over(c, pool, limits)
    end
end

-- Tell the other licensors whom a seat was handed to.
local function publish(c)
    for _, grant in ipairs(c.handed) do
        call('PUBLISH', c.T .. 'granted', table.concat(grant, '\n'))
    end
end

-- A seat of a session ends. Returns the life left in ms.
local function end_seat(c, session, request, seat, may_queue)
    local w = seat_key(c, session)
    call('HDEL', w, 'r:' .. request)
    if seat[KIND] == 'held' then
        call('HDEL', w, 'h:' .. seat[PRODUCTION])
        call('DECR', c.T .. 'prod:' .. session)
    end
    return give(c, seat[POOL], seat[NUMBER], seat[LIFE_END], may_queue)
end

-- Everything of a session that starts with r: or l:, by request; in order, so that every licensor does the same.
local function things_of(c, session)
    local all = call('HGETALL', seat_key(c, session))
    local things = {}
    for i = 1, #all, 2 do
        local mark = string.sub(all[i], 1, 2)
        if mark == 'r:' or mark == 'l:' or mark == 'x:' then
            things[#things + 1] = {mark, string.sub(all[i], 3), all[i + 1]}
        end
    end
    table.sort(things, function(a, b) return a[2] < b[2] end)
    return things
end

-- A session is over: its seats are freed, not queued, for its holder may still be running. Returns pool, seats, ...
local function end_session(c, session)
    local w = seat_key(c, session)
    local who = call('HMGET', w, 'agent', 'name', 'slot')
    local freed = {}
    for _, thing in ipairs(things_of(c, session)) do
        if thing[1] == 'r:' then
            local seat = unpack_one(thing[3])
            end_seat(c, session, thing[2], seat, false)
            freed[seat[POOL]] = (freed[seat[POOL]] or 0) + 1
        elseif thing[1] == 'l:' then
            leave_line(c, session, thing[2], unpack_one(thing[3]))
        end
    end
    if who[1] then
        local name = who[1] .. '/' .. who[2]
        if call('HGET', c.T .. 'names', name) == session then
            call('HDEL', c.T .. 'names', name)
        end
        if call('HGET', c.T .. 'slots:' .. who[1], who[3]) == session then
            call('HDEL', c.T .. 'slots:' .. who[1], who[3])
        end
    end
    call('DEL', w, c.T .. 'prod:' .. session)
    call('ZREM', c.T .. 'alive', session)
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
    for _, pool in ipairs(pools_of(c)) do
        call('SET', c.T .. pool .. ':used', 0)
        call('INCRBY', c.T .. pool .. ':seq', gap)
        call('DEL', c.T .. pool .. ':q', c.T .. pool .. ':line')
    end
    for _, session in ipairs(call('ZRANGE', c.T .. 'alive', 0, -1)) do
        local w = seat_key(c, session)
        for _, field in ipairs(call('HKEYS', w)) do
            if string.find(field, '^[rhxl]:') then
                call('HDEL', w, field)
            end
        end
        call('HSET', w, 'waits', 0)
        call('DEL', c.T .. 'prod:' .. session)
        call('ZADD', c.T .. 'alive', c.now + lease_ms, session)
    end
end

-- One seat that a worker says it holds. Claims are believed while recovering.
local function claim(c, session, held)
    local base = c.T .. held.pool
    local w = seat_key(c, session)
    call('SADD', c.T .. 'pools', held.pool)
    if call('ZREM', base .. ':q', held.number) == 0 then
        call('INCR', base .. ':used')
    end
    if held.number > tonumber(call('GET', base .. ':seq') or 0) then
        call('SET', base .. ':seq', held.number)
    end
    if held.token > tonumber(call('GET', c.T .. 'op') or 0) then
        call('SET', c.T .. 'op', held.token)
    end
    -- Nobody knows how old it is: it has no life left, and is gone when it is freed.
    call('DEL', base .. ':life:' .. held.number)
    local seat = {held.pool, held.number, held.token, held.kind, held.production, held.pool, c.now, c.now, 0, '', 0, 0, 0, 0}
    call('HSET', w, 'r:' .. held.request, pack(seat))
    if held.kind == 'held' then
        call('HSET', w, 'h:' .. held.production, held.request)
        call('INCR', c.T .. 'prod:' .. session)
    end
end

-- What a session's waived requests hang on: base request -> how many of them are still claimed. Others are forgotten.
local function reconcile_waived(c, session, things, claims)
    local others = {}
    for _, thing in ipairs(things) do
        if thing[1] == 'x:' then
            if claims[thing[2]] then
                others[thing[3]] = (others[thing[3]] or 0) + 1
            else
                call('HDEL', seat_key(c, session), 'x:' .. thing[2])
            end
        end
    end
    return others
end

-- A session that comes back: what it does not hold any more is freed; what it no longer waits for leaves the line.
-- Returns the tokens it claims that are not its own.
local function reconcile(c, session, claims, waiting, limits)
    local things = things_of(c, session)
    local others = reconcile_waived(c, session, things, claims)
    local mine, lost = {}, {}
    for _, thing in ipairs(things) do
        local mark, request = thing[1], thing[2]
        if mark == 'r:' then
            local seat = unpack_one(thing[3])
            local held = claims[request] and claims[request].token == seat[TOKEN]
            seat[ENDED] = held and seat[ENDED] or 1
            seat[OTHERS] = others[request] or 0
            if seat[ENDED] == 1 and seat[OTHERS] == 0 then
                end_seat(c, session, request, seat, false)
            else
                call('HSET', seat_key(c, session), 'r:' .. request, pack(seat))
                mine[seat[TOKEN]] = true
            end
        elseif mark == 'l:' and not waiting[request] then
            leave_line(c, session, request, unpack_one(thing[3]))
        end
    end
    for _, request in ipairs(sorted_keys(claims)) do
        local held = claims[request]
        if not mine[held.token] then
            mine[held.token] = true
            if limits.recovering then
                claim(c, session, held)
            else
                lost[#lost + 1] = held.token
            end
        end
    end
    return lost
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

-- ARGV: name agent host pid version connection fresh-session old-session highest lease keys... claims waiting
local function register(keys, args)
    local c = begin(keys)
    local name, agent, host, pid, version, connection = args[1], args[2], args[3], args[4], args[5], args[6]
    local fresh, old, highest, lease_ms = args[7], args[8], tonumber(args[9]), tonumber(args[10])
    local claims, waiting = read_claims(args, 11)
    recover(c, highest, lease_ms)
    local limits = read_limits(c)
    local path = agent .. '/' .. name
    local current = call('HGET', c.T .. 'names', path)
    local session, slot, lost = fresh, nil, {}
    if old ~= '' and current == old then
        session = old
        slot = tonumber(call('HGET', seat_key(c, old), 'slot'))
        lost = reconcile(c, session, claims, waiting, limits)
    else
        if current then
            local was = call('HMGET', seat_key(c, current), 'connection', 'beat', 'host', 'pid', 'slot')
            if was[1] ~= '' and c.now - tonumber(was[2]) < NAME_FRESH_MS then
                return answer(c, next_op(c), 'refused', 'name_in_use', was[3], tonumber(was[4]))
            end
            slot = tonumber(was[5])
        end
        local allowed = tonumber(call('HGET', c.T .. 'limits', 'keys') or 0)
        local taken = call('ZCARD', c.T .. 'alive') - (current and 1 or 0)
        if taken >= allowed then
            return answer(c, next_op(c), 'refused', 'no_key', taken, allowed)
        end
        if current then
            end_session(c, current)
        end
        slot = slot or lowest_slot(c, agent)
        if old ~= '' and limits.recovering and call('EXISTS', seat_key(c, old)) == 0 then
            session = old
        end
        call('HSET', c.T .. 'names', path, session)
        call('HSET', c.T .. 'slots:' .. agent, slot, session)
        call('HSET', seat_key(c, session), 'name', name, 'agent', agent, 'slot', slot, 'since', c.now, 'waits', 0)
        if session == old then
            lost = reconcile(c, session, claims, waiting, limits)
        else
            for i, request in ipairs(sorted_keys(claims)) do
                lost[i] = claims[request].token
            end
        end
    end
    call('HSET', seat_key(c, session), 'host', host, 'pid', pid, 'version', version, 'connection', connection, 'beat', c.now,
        'claimed', limits.epoch)
    call('ZADD', c.T .. 'alive', c.now + lease_ms, session)
    local op = next_op(c)
    hand_over_all(c, limits)
    publish(c)
    return answer(c, op, 'registered', session, slot, lost)
end

local function waited_pools(c)
    local waited = {}
    for _, pool in ipairs(pools_of(c)) do
        if call('ZCARD', c.T .. pool .. ':line') > 0 then
            waited[#waited + 1] = pool
        end
    end
    return waited
end

-- ARGV: session connection highest lease, then pool and count of executions waived at the worker
local function heartbeat(keys, args)
    local c = begin(keys)
    local session, connection, highest, lease_ms = args[1], args[2], tonumber(args[3]), tonumber(args[4])
    recover(c, highest, lease_ms)
    local w = seat_key(c, session)
    local claimed = call('HGET', w, 'claimed')
    if not claimed then
        return answer(c, nil, 'refused', 'unknown_session')
    end
    call('HSET', w, 'beat', c.now, 'connection', connection)
    call('ZADD', c.T .. 'alive', c.now + lease_ms, session)
    for i = 5, #args, 2 do
        if call('HEXISTS', c.T .. 'limits', 'pool:' .. args[i]) == 1 then
            count(c, args[i], 'waived', tonumber(args[i + 1]))
        end
    end
    local limits = read_limits(c)
    return answer(c, nil, 'alive', limits.recovering and claimed ~= limits.epoch and 1 or 0, waited_pools(c))
end

-- ARGV: session connection
local function disconnect(keys, args)
    local c = begin(keys)
    local w = seat_key(c, args[1])
    if call('HGET', w, 'connection') == args[2] then
        call('HSET', w, 'connection', '')
    end
    return answer(c, nil, 'done')
end

-- ARGV: session
local function goodbye(keys, args)
    local c = begin(keys)
    if call('EXISTS', seat_key(c, args[1])) == 0 then
        return answer(c, nil, 'refused', 'unknown_session')
    end
    end_session(c, args[1])
    local op = next_op(c)
    hand_over_all(c, read_limits(c))
    publish(c)
    return answer(c, op, 'done')
end

-- Requests ----------------------------------------------------------------------------------------------------------

-- The answer that this request already got, or nothing.
local function repeated(c, session, request)
    local w = seat_key(c, session)
    local known = call('HMGET', w, 'r:' .. request, 'x:' .. request, 'l:' .. request)
    if known[1] then
        return answer(c, nil, 'granted', grant_of(c, session, request, unpack_one(known[1]), 0))
    end
    if known[2] then
        return answer(c, nil, 'granted', grant_of(c, session, request, unpack_one(call('HGET', w, 'r:' .. known[2])), 1))
    end
    if known[3] then
        local ask = unpack_one(known[3])
        return answer(c, nil, 'waiting', call('ZRANK', c.T .. ask.pools[1] .. ':line', session .. ' ' .. request))
    end
    local memo = call('GET', c.T .. 'rq:' .. request)
    if not memo then
        return nil
    end
    memo = unpack_one(memo)
    if memo.session ~= session then
        return answer(c, nil, 'refused', 'bad_request')
    end
    if memo.seat then
        return answer(c, nil, 'granted', grant_of(c, session, request, memo.seat, memo.waived))
    end
    return answer(c, nil, 'refused', memo.reason, memo.full)
end

local function remember(c, request, memo, memo_ms)
    memo.at = c.now
    call('SET', c.T .. 'rq:' .. request, pack(memo), 'PX', memo_ms)
end

local function refuse(c, session, request, ask, reason, full, memo_ms)
    local op = next_op(c)
    if reason ~= 'unknown_pool' then
        count(c, ask.pools[1], 'refused', 1)
    end
    remember(c, request, {session = session, reason = reason, full = full, pools = ask.pools, production = ask.production},
        memo_ms)
    return answer(c, op, 'refused', reason, full)
end

local function stand_in_line(c, session, request, ask)
    local op = next_op(c)
    local first
    for i, pool in ipairs(ask.pools) do
        local line = c.T .. pool .. ':line'
        call('SADD', c.T .. 'pools', pool)
        if call('ZCARD', line) == 0 then
            call('PUBLISH', c.T .. 'waited', pool)
        end
        call('ZADD', line, op, session .. ' ' .. request)
        if i == 1 then
            first = call('ZRANK', line, session .. ' ' .. request)
        end
    end
    ask.since = c.now
    call('HSET', seat_key(c, session), 'l:' .. request, pack(ask))
    call('HINCRBY', seat_key(c, session), 'waits', 1)
    return answer(c, op, 'waiting', first)
end

-- The pools of a chain with their caps, and which one is not licensed.
local function caps_of(c, pools)
    local fields = {}
    for i, pool in ipairs(pools) do
        fields[i] = 'pool:' .. pool
    end
    local got = call('HMGET', c.T .. 'limits', unpack(fields))
    for i, pool in ipairs(pools) do
        if not got[i] then
            return nil, pool
        end
        got[i] = tonumber(got[i])
    end
    return got
end

-- Try each pool of the chain. Returns the grant, or what is full: pool, in use, limit, ...
local function try_chain(c, session, request, ask, caps)
    local full = {}
    for i, pool in ipairs(ask.pools) do
        local number, life_end, reused, used = take(c, pool, caps[i], ask.reuse_ms)
        if number then
            return grant_seat(c, session, request, ask, pool, caps[i], number, life_end, reused, used)
        end
        full[#full + 1] = pool
        full[#full + 1] = tonumber(call('GET', c.T .. pool .. ':used') or 0)
        full[#full + 1] = caps[i]
    end
    return nil, full
end

local function line_is_full(c, pools, line_max)
    for _, pool in ipairs(pools) do
        if call('ZCARD', c.T .. pool .. ':line') >= line_max then
            return true
        end
    end
    return false
end

-- ARGV: session request kind production user wait reuse memo line-max pools...
local function acquire(keys, args)
    local c = begin(keys)
    local session, request = args[1], args[2]
    local wait, memo_ms, line_max = args[6] == '1', tonumber(args[8]), tonumber(args[9])
    local ask = {kind = args[3], production = args[4], user = args[5], reuse_ms = tonumber(args[7]), pools = {}}
    for i = 10, #args do
        ask.pools[i - 9] = args[i]
    end
    local w = seat_key(c, session)
    if call('EXISTS', w) == 0 then
        return answer(c, nil, 'refused', 'unknown_session')
    end
    local before = repeated(c, session, request)
    if before then
        return before
    end
    local caps, unknown = caps_of(c, ask.pools)
    if ask.kind == 'notified' then
        if caps then
            count(c, ask.pools[1], 'notified', 1)
        end
        return answer(c, next_op(c), 'granted', {session, request, 0, ask.pools[1], ask.pools[1], 0, 0, 0, 0, 0})
    end
    if not caps then
        return refuse(c, session, request, ask, 'unknown_pool', {unknown, 0, 0}, memo_ms)
    end
    local limits = read_limits(c)
    local reason, full
    if limits.recovering then
        if not wait then
            return answer(c, nil, 'refused', 'recovering')
        end
    else
        if ask.kind == 'held' then
            local base_request = call('HGET', w, 'h:' .. ask.production)
            if base_request then
                local grant = waive(c, session, request, base_request)
                return answer(c, nil, 'granted', grant)
            end
            local running = tonumber(call('GET', c.T .. 'prod:' .. session) or 0)
            if running >= limits.productions then
                reason, full = 'edition_limit', {'', running, limits.productions}
            end
        end
        if not reason then
            for _, pool in ipairs(ask.pools) do
                hand_over(c, pool, limits)
            end
            local grant
            grant, full = try_chain(c, session, request, ask, caps)
            publish(c)
            if grant then
                return answer(c, grant[3], 'granted', grant)
            end
            reason = 'pool_limit'
        end
    end
    if not wait then
        return refuse(c, session, request, ask, reason, full, memo_ms)
    end
    if line_is_full(c, ask.pools, line_max) then
        return refuse(c, session, request, ask, 'line_full', {ask.pools[1], line_max, line_max}, memo_ms)
    end
    return stand_in_line(c, session, request, ask)
end

-- The seat of `base_request` has nobody left: it goes back.
local function seat_over(c, session, base_request, seat)
    local life_left = end_seat(c, session, base_request, seat, true)
    local op = next_op(c)
    local limits = read_limits(c)
    hand_over(c, seat[POOL], limits)
    if seat[KIND] == 'held' and tonumber(call('HGET', seat_key(c, session), 'waits') or 0) > 0 then
        hand_over_all(c, limits)
    end
    publish(c)
    return op, life_left
end

-- A request that is not there: answered before, or stale.
local function release_unknown(c, session, request, token)
    local memo = call('GET', c.T .. 'rq:' .. request)
    memo = memo and unpack_one(memo)
    if memo and memo.session == session and memo.seat and memo.seat[TOKEN] == token then
        return answer(c, nil, 'released', memo.life_left > 0 and 1 or 0, memo.life_left, memo.seat[POOL], memo.held)
    end
    return answer(c, nil, 'refused', 'stale')
end

-- ARGV: session request token memo
local function release(keys, args)
    local c = begin(keys)
    local session, request, token, memo_ms = args[1], args[2], tonumber(args[3]), tonumber(args[4])
    local w = seat_key(c, session)
    local known = call('HMGET', w, 'r:' .. request, 'x:' .. request, 'l:' .. request)
    if known[3] then
        leave_line(c, session, request, unpack_one(known[3]))
        return answer(c, next_op(c), 'released', 0, 0, '', 0)
    end
    local base_request = known[1] and request or known[2]
    if not base_request then
        return release_unknown(c, session, request, token)
    end
    local seat = unpack_one(known[1] or call('HGET', w, 'r:' .. base_request))
    if seat[TOKEN] ~= token or (known[1] and seat[ENDED] == 1) then
        return release_unknown(c, session, request, token)
    end
    if known[1] then
        seat[ENDED] = 1
    else
        call('HDEL', w, 'x:' .. request)
        seat[OTHERS] = seat[OTHERS] - 1
    end
    local op, life_left = nil, 0
    if seat[ENDED] == 1 and seat[OTHERS] == 0 then
        op, life_left = seat_over(c, session, base_request, seat)
    else
        call('HSET', w, 'r:' .. base_request, pack(seat))
        op = next_op(c)
    end
    local held = c.now - seat[SINCE]
    remember(c, request, {session = session, seat = seat, waived = known[1] and 0 or 1, life_left = life_left, held = held},
        memo_ms)
    return answer(c, op, 'released', life_left > 0 and 1 or 0, life_left, seat[POOL], held)
end

-- Who has the token: session and request.
local function find_token(c, token)
    for _, session in ipairs(call('ZRANGE', c.T .. 'alive', 0, -1)) do
        for _, thing in ipairs(things_of(c, session)) do
            if thing[1] == 'r:' then
                local seat = unpack_one(thing[3])
                if seat[TOKEN] == token then
                    return session, thing[2], seat
                end
            end
        end
    end
end

-- ARGV: token
local function operator_release(keys, args)
    local c = begin(keys)
    local session, request, seat = find_token(c, tonumber(args[1]))
    if not session then
        return answer(c, nil, 'refused', 'stale')
    end
    for _, thing in ipairs(things_of(c, session)) do
        if thing[1] == 'x:' and thing[3] == request then
            call('HDEL', seat_key(c, session), 'x:' .. thing[2])
        end
    end
    end_seat(c, session, request, seat, false)
    local op = next_op(c)
    hand_over_all(c, read_limits(c))
    publish(c)
    return answer(c, op, 'released', 0, 0, seat[POOL], c.now - seat[SINCE])
end

-- The clock and the licence -----------------------------------------------------------------------------------------

local function each_life(c, change)
    for _, pool in ipairs(pools_of(c)) do
        local q = call('ZRANGE', c.T .. pool .. ':q', 0, -1, 'WITHSCORES')
        for i = 1, #q, 2 do
            local to = change(tonumber(q[i + 1]))
            call('ZADD', c.T .. pool .. ':q', to, q[i])
            call('SET', c.T .. pool .. ':life:' .. q[i], 1, 'PXAT', math.max(to, 1))
        end
    end
    for _, session in ipairs(call('ZRANGE', c.T .. 'alive', 0, -1)) do
        local w = seat_key(c, session)
        for _, thing in ipairs(things_of(c, session)) do
            if thing[1] == 'r:' then
                local seat = unpack_one(thing[3])
                local to = change(seat[LIFE_END])
                seat[LIFE_END] = to
                call('HSET', w, 'r:' .. thing[2], pack(seat))
                if to > c.now then
                    call('SET', c.T .. seat[POOL] .. ':life:' .. seat[NUMBER], 1, 'PXAT', to)
                else
                    call('DEL', c.T .. seat[POOL] .. ':life:' .. seat[NUMBER])
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

local function list_pool(c, pool)
    purge(c, pool)
    local stat = call('HMGET', c.T .. pool .. ':stat', 'peak', 'granted', 'reused', 'waived', 'escalated', 'refused', 'notified')
    local used = tonumber(call('GET', c.T .. pool .. ':used') or 0)
    local queued = call('ZCARD', c.T .. pool .. ':q')
    local row = {pool, tonumber(call('HGET', c.T .. 'limits', 'pool:' .. pool) or 0), used - queued, queued,
        call('ZCARD', c.T .. pool .. ':line')}
    for i = 1, 7 do
        row[#row + 1] = tonumber(stat[i] or 0)
    end
    return row
end

-- ARGV: step steps lease reuse. Once a second by each licensor: the only reaper.
local function tick(keys, args)
    local c = begin(keys)
    local step, steps, lease_ms, reuse_ms = tonumber(args[1]), args[2], tonumber(args[3]), tonumber(args[4])
    local clock = call('HMGET', c.T .. 'clock', 'last', 'steps', 'latest')
    local last = tonumber(clock[1] or c.now)
    if step ~= 0 and (clock[2] or '0') == steps then
        shift(c, step)
        last = last + step
    end
    if c.now - last > AWAY_MS then
        each_lease(c, function(at) return math.max(at, c.now + lease_ms) end)
    elseif c.now < last then
        each_lease(c, function(at) return math.min(at, c.now + lease_ms) end)
        each_life(c, function(at) return math.min(at, c.now + reuse_ms) end)
    end
    local latest = math.max(tonumber(clock[3] or 0), c.now)
    call('HSET', c.T .. 'clock', 'last', c.now, 'latest', latest)
    local limits = read_limits(c)
    local orphans = {}
    for _, session in ipairs(call('ZRANGEBYSCORE', c.T .. 'alive', '-inf', c.now)) do
        for pool, seats in pairs(end_session(c, session)) do
            orphans[pool] = (orphans[pool] or 0) + seats
        end
        next_op(c)
    end
    if not limits.recovering and limits.epoch ~= '0' then
        for _, session in ipairs(call('ZRANGE', c.T .. 'alive', 0, -1)) do
            if call('HGET', seat_key(c, session), 'claimed') ~= limits.epoch then
                end_session(c, session)
                next_op(c)
            end
        end
    end
    local lost = {}
    for _, pool in ipairs(pools_of(c)) do
        purge(c, pool)
        hand_over(c, pool, limits)
        if orphans[pool] then
            lost[#lost + 1] = pool
            lost[#lost + 1] = orphans[pool]
        end
    end
    publish(c)
    local rows = {}
    for i, pool in ipairs(pools_of(c)) do
        rows[i] = list_pool(c, pool)
    end
    return answer(c, nil, 'ticked', call('HGET', c.T .. 'clock', 'steps') or '0', limits.recovering and 1 or 0, latest, lost,
        rows, call('ZCARD', c.T .. 'alive'))
end

-- ARGV: highest lease
local function hello(keys, args)
    local c = begin(keys)
    recover(c, tonumber(args[1]), tonumber(args[2]))
    return answer(c, nil, 'hello', read_limits(c).recovering and 1 or 0)
end

-- ARGV: keys productions, then pool and cap
local function set_limits(keys, args)
    local c = begin(keys)
    local key = c.T .. 'limits'
    for _, field in ipairs(call('HKEYS', key)) do
        if string.sub(field, 1, 5) == 'pool:' then
            call('HDEL', key, field)
        end
    end
    call('HSET', key, 'keys', args[1], 'productions', args[2])
    for i = 3, #args, 2 do
        call('HSET', key, 'pool:' .. args[i], args[i + 1])
        call('SADD', c.T .. 'pools', args[i])
    end
    local op = next_op(c)
    hand_over_all(c, read_limits(c))
    publish(c)
    return answer(c, op, 'done')
end

-- What people see ---------------------------------------------------------------------------------------------------

local function list_queued(c, pool, seats)
    local q = call('ZRANGE', c.T .. pool .. ':q', 0, -1, 'WITHSCORES')
    for i = 1, #q, 2 do
        seats[#seats + 1] = {pool, tonumber(q[i]), 'queued', '', '', '', 'held', pool, 0, q[i + 1] - c.now, 0, ''}
    end
end

local function list_session(c, session, seats, only)
    for _, thing in ipairs(things_of(c, session)) do
        if thing[1] == 'r:' then
            local seat = unpack_one(thing[3])
            if only == '' or only == seat[POOL] then
                seats[#seats + 1] = {seat[POOL], seat[NUMBER], 'busy', session, seat[PRODUCTION], thing[2], seat[KIND],
                    seat[REQUESTED], seat[SINCE], math.max(seat[LIFE_END] - c.now, 0), seat[TOKEN], seat[USER]}
            end
        elseif thing[1] == 'l:' then
            local ask = unpack_one(thing[3])
            if only == '' or only == ask.pools[1] then
                seats[#seats + 1] = {ask.pools[1], 0, 'waiting', session, ask.production, thing[2], ask.kind, ask.pools[1],
                    ask.since, 0, 0, ask.user}
            end
        end
    end
end

-- ARGV: pool, or empty for all
local function list(keys, args)
    local c = begin(keys)
    local pools, seats, processors = {}, {}, {}
    for _, pool in ipairs(pools_of(c)) do
        if args[1] == '' or args[1] == pool then
            pools[#pools + 1] = list_pool(c, pool)
            list_queued(c, pool, seats)
        end
    end
    local alive = call('ZRANGE', c.T .. 'alive', 0, -1, 'WITHSCORES')
    for i = 1, #alive, 2 do
        local w = call('HMGET', seat_key(c, alive[i]), 'name', 'agent', 'host', 'pid', 'slot')
        processors[#processors + 1] = {alive[i], w[1], w[2], w[3], tonumber(w[4]), tonumber(w[5]), alive[i + 1] - c.now,
            tonumber(call('GET', c.T .. 'prod:' .. alive[i]) or 0)}
        list_session(c, alive[i], seats, args[1])
    end
    return answer(c, nil, 'list', pools, seats, processors)
end

-- ARGV: request. What is known of it: word, session, pool, requested, number, token, since, in use, limit, life, reason
local function explain(keys, args)
    local c = begin(keys)
    local request = args[1]
    for _, session in ipairs(call('ZRANGE', c.T .. 'alive', 0, -1)) do
        local w = seat_key(c, session)
        local known = call('HMGET', w, 'r:' .. request, 'x:' .. request, 'l:' .. request, 'name')
        local base = known[1] or (known[2] and call('HGET', w, 'r:' .. known[2]))
        if base then
            local s = unpack_one(base)
            return answer(c, nil, 'explained', known[1] and (s[REUSED] == 1 and 'reused' or 'granted') or 'waived', known[4],
                s[POOL], s[REQUESTED], s[NUMBER], s[TOKEN], s[SINCE], s[USED], s[CAP], math.max(s[LIFE_END] - c.now, 0), '')
        end
        if known[3] then
            local ask = unpack_one(known[3])
            local rank = call('ZRANK', c.T .. ask.pools[1] .. ':line', session .. ' ' .. request)
            return answer(c, nil, 'explained', 'waiting', known[4], ask.pools[1], ask.pools[1], rank, 0, ask.since,
                tonumber(call('GET', c.T .. ask.pools[1] .. ':used') or 0),
                tonumber(call('HGET', c.T .. 'limits', 'pool:' .. ask.pools[1]) or 0), 0, '')
        end
    end
    local memo = call('GET', c.T .. 'rq:' .. request)
    if not memo then
        return answer(c, nil, 'refused', 'bad_request')
    end
    memo = unpack_one(memo)
    local name = call('HGET', seat_key(c, memo.session), 'name') or ''
    if memo.seat then
        local s = memo.seat
        return answer(c, nil, 'explained', 'released', name, s[POOL], s[REQUESTED], s[NUMBER], s[TOKEN], s[SINCE], s[USED],
            s[CAP], memo.life_left, '')
    end
    return answer(c, nil, 'explained', 'refused', name, memo.full[1], memo.pools[1], 0, 0, memo.at, memo.full[2], memo.full[3],
        0, memo.reason)
end

redis.register_function('engenho1_hello', hello)
redis.register_function('engenho1_limits', set_limits)
redis.register_function('engenho1_register', register)
redis.register_function('engenho1_heartbeat', heartbeat)
redis.register_function('engenho1_disconnect', disconnect)
redis.register_function('engenho1_goodbye', goodbye)
redis.register_function('engenho1_acquire', acquire)
redis.register_function('engenho1_release', release)
redis.register_function('engenho1_operator_release', operator_release)
redis.register_function('engenho1_tick', tick)
redis.register_function('engenho1_list', list)
redis.register_function('engenho1_explain', explain)
