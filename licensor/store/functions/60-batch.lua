-- Acquires and releases, many to a call -----------------------------------------------------------------------------

local memo_of

do -- a block: see 50-recovery.lua

local SAY_GRANTED, SAY_WAITING, SAY_RELEASED, SAY_REFUSED = 1, 2, 3, 4

-- The answers of a batch are one text. Packed: now; then for each word, op, number of grants handed over, ten values for each
-- of them, and what the word brings. The ordinary answers have fixed places instead, for that is four times as quick to make:
-- fresh or re-used seat of the pool that was asked first: op, L-number, life left; released: op, life left, time held, and
-- packed, the pool.
local SAY_FRESH, SAY_REUSED, SAY_BACK = 5, 6, 7
local PLAIN_GRANT, PLAIN_BACK = '>BI6I6I6', '>BI6I6I6'

local function say(c, op, word, ...)
    local out, handed = c.out, c.handed
    local n = #out
    if #handed == 0 then
        out[n + 1] = pack(word, op, 0, ...)
        return
    end
    out[n + 1] = pack(word, op, #handed)
    for i, grant in ipairs(handed) do
        out[n + 1 + i] = pack(spread(grant))
    end
    out[n + 2 + #handed] = select('#', ...) > 0 and pack(...) or ''
    c.handed = {}
end

local function say_granted(c, grant)
    say(c, c.op, SAY_GRANTED, spread(grant, 3))
end

local function say_waiting(c, ahead)
    say(c, c.op, SAY_WAITING, ahead)
end

local function say_released(c, op, life_left, pool, held)
    say(c, op, SAY_RELEASED, life_left, pool, held)
end

-- `full` is pool, in use, limit, ...
local function say_refused(c, reason, full)
    say(c, c.op, SAY_REFUSED, reason, #full, spread(full))
end

do

-- What is logged of a request, whose number is this, in one generation: looked for from the end of the log.
local function log_entry(key, number)
    local to = call('STRLEN', key)
    while to > 0 do
        local from = max(0, to - LOG_CHUNK)
        local text = call('GETRANGE', key, from, to - 1)
        local last = #text
        while last > 0 do
            local its, length = unfixed(LOG_LAST, text, last - LOG_LAST_BYTES + 1)
            local first = last - LOG_LAST_BYTES - length - LOG_FIRST_BYTES + 1
            if first < 1 then
                break -- it begins before this part
            end
            if its == number then
                return string.sub(text, first, last - LOG_LAST_BYTES)
            end
            last = first - 1
        end
        if last == #text then
            return nil -- no log
        end
        to = from + last
    end
end

-- A memo that the licensor logged: only of requests "<session>:<number>".
local function logged_memo(c, request)
    local session, number = string.match(request, '^(.+):([1-9]%d*)$')
    number = tonumber(number or 0)
    if not session or number > ANY_NUMBER then
        return nil
    end
    local log = session .. ':' .. format('%d', floor(number / LOG_REQUESTS))
    for generation = c.memo, c.memo - 1, -1 do
        local entry = log_entry(c.T .. 'memo:' .. generation .. ':' .. log, number)
        if entry then
            local dies, left, held = unfixed(LOG_FIRST, entry)
            return {session, dies, 'g', 0, left, held, decode(entry, LOG_FIRST_BYTES + 1)}
        end
    end
end

local function read_memo(packed)
    if string.byte(packed) == 2 then
        local _, waived, dies, left, held, session, seat = unfixed(GIVEN, packed)
        return {session, dies, 'g', waived, left, held, decode(packed, seat)}
    end
    return {values(packed)}
end

-- The answer that this request already got, or nothing. A request whose answer is forgotten may have got another one since, which
-- stands in the log.
memo_of = function(c, request)
    local packed = c.memos[request]
    if not packed and c.is_new[request] then
        return nil
    end
    if not packed then
        packed = c.got[request]
        if packed == nil then
            packed = call('HGET', c.T .. 'memo:' .. c.memo, request) or call('HGET', c.T .. 'memo:' .. c.memo - 1, request)
            c.got[request] = packed
        end
    end
    local memo = packed and read_memo(packed)
    if not memo or c.now > memo[M_DIES] then
        memo = logged_memo(c, request)
    end
    return memo and c.now <= memo[M_DIES] and memo or nil
end

end

local function remember(c, request, memo)
    local list, n = c.memo_list, c.memo_count
    c.memos[request], list[n + 1], list[n + 2] = memo, request, memo
    c.memo_count = n + 2
end

local function remember_given(c, m, request, seat, waived, life_left, held)
    remember(c, request, c.given[waived] .. fixed(GIVEN_TIMES, life_left, held) .. fixed(GIVEN_SESSION, m.id) .. seat)
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
    local known = not m.agent or number <= m.top
    if not known then
        m.top = number
    end
    if not p or p.line > 0 or p.used - p.queued >= p.cap or not m.agent or f[request] ~= false
        or known
        or (hold ~= '' and (f[hold] ~= false or m.prod >= c.productions)) then
        if not known then
            c.is_new[request] = true
        end
        return acquire_any(c, m, request, ask, packed)
    end
    local now, seat, life_end, reused = c.now, take(c, p, m.agent, c.reuse_ms)
    local op, busy = c.op + 1, p.used - p.queued
    c.op = op
    local record = p.packed .. packed .. c.seat[reused] .. fixed(SEAT_LAST, life_end, p.used, p.cap, seat, op)
    local dirty = m.dirty
    f[request], dirty[request] = record, true
    if hold ~= '' then
        f[hold], dirty[hold] = request, true
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
    local out = c.out
    out[#out + 1] = fixed(PLAIN_GRANT, reused == 1 and SAY_REUSED or SAY_FRESH, op, seat, life_end - now)
end

-- A request that is not there: answered before, or stale.
local function release_unknown(c, m, request, token)
    local memo = memo_of(c, request)
    local word = memo and memo[M_SESSION] == m.id and memo[M_WORD]
    if word == 'g' and memo[M_SEAT][TOKEN] == token then
        say_released(c, c.op, memo[M_LEFT], memo[M_SEAT][POOL], memo[M_HELD])
    elseif word == 'stale' then
        say_released(c, c.op, 0, '', 0) -- it left its line, and says so again
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
        -- Remembered, or its acquire, read late by a licensor that was stopped, would be a new one.
        local first = t[L_POOLS]
        leave_line(c, m, request, t)
        remember(c, request, pack(m.id, c.now + c.memo_ms, 'stale', c.now, first, first, 0, 0))
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
    local dirty = m.dirty
    f[request], dirty[request], m.things[request] = false, true, nil
    if use == 'held' then
        local hold = 'h ' .. production
        f[hold], dirty[hold] = false, true
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
    local out = c.out
    out[#out + 1] = fixed(PLAIN_BACK, SAY_BACK, op, life_left, held) .. p.text
end

-- Read what all these requests need of their sessions, one call for each session; and whether those were answered before
-- whose number the session may have sent before.
local function read_members(c, ops, first)
    local wanted, counts, i, acquires = {}, {}, first, 0
    while ops[i] do
        local session = ops[i + 1]
        local fields, n = wanted[session], counts[session]
        if not fields then
            fields, n = {spread(IS)}, #IS
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
        unfold(make_member(c, session, fields, call('HMGET', c.T .. 'w:' .. session, spread(fields))))
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

-- What changes when a tick moves deadlines or begins a generation of memos, and when a batch was not as it was worked out ahead: those
-- on their way behind it rest on it, even where its answers are the same, for what the licensor packs is packed by nobody else.
local function clock_of(T)
    local clock = redis.call('HMGET', T .. 'clock', 'steps', 'backs', 'memo', 'again')
    return (clock[1] or '') .. ' ' .. (clock[2] or '') .. ' ' .. (clock[3] or '') .. ' ' .. (clock[4] or '')
end

local function pack_list(out, list)
    for from = 1, #list, ARGUMENTS do
        out[#out + 1] = pack(spread(list, from, min(from + ARGUMENTS - 1, #list)))
    end
end

-- What ordinary requests ask of the pools and sessions of this call, as it is from now on (mirror.c reads it). Packed: op before and
-- after, clock, limit of productions, generation of memos, whether it recovers; number of pools, and for each: name, cap, used,
-- sequence and counters as Redis has them, the packed queue or '', length of the other queue and that queue, or name and -1; number of sessions, and for each: its id,
-- how many texts, and its fields, or 0.
local function state_of(c)
    local T, names = c.T, sorted_keys(c.pools)
    local out = {pack(c.op_was, format('%d', c.op), clock_of(T), c.productions, c.memo,
        c.recovering and 1 or 0, #names)}
    for _, name in ipairs(names) do
        local p = c.pools[name]
        local packed, length = call('GET', p.T .. 'packed') or '', call('ZCARD', p.T .. 'q')
        if p.licensed and not p.shared and not p.reserve and call('ZCARD', p.T .. 'line') == 0 and length <= TOLD_MAX then
            local is = call('MGET', p.T .. 'used', p.T .. 'seq', p.T .. 'stat')
            out[#out + 1] = pack(name, p.cap, is[1] or '', tonumber(is[2] or 0), is[3] or '', packed, length)
            pack_list(out, call('ZRANGE', p.T .. 'q', 0, -1, 'WITHSCORES'))
        else
            out[#out + 1] = pack(name, -1)
        end
    end
    local ids, told = sorted_keys(c.members), 0
    out[#out + 1] = pack(#ids)
    for _, id in ipairs(ids) do
        local key, all = c.members[id].key, NOTHING
        local fields = call('HLEN', key)
        if fields <= TOLD_MAX and told <= TOLD_ALL_MAX then
            all, told = call('HGETALL', key), told + fields
        end
        out[#out + 1] = pack(id, #all)
        pack_list(out, all)
    end
    return table.concat(out)
end

-- ARGV: packed, an array: reuse, memo, line-max, whether the state is asked for, number of asks; each ask: use, wait, number of pools, pools; then an acquire
-- is: number of its ask, session, request, its number in the session (0: none), "h <production>" when it is held, and packed use, production, '' and user; and a release: 0, session, request, token.
-- Returns the answers, and after them the state when it is asked for or `tells`.
local function batch(keys, packed, tells)
    local c = begin(keys)
    local ops = values(packed)
    c.reuse_ms, c.memo_ms, c.line_max, c.asks, c.out = ops[1], ops[2], ops[3], {}, {pack(c.now)}
    -- What all seats and answers of this call have in common.
    c.seat = {[0] = fixed(SEAT_FIRST, 0, 0, 0, 0, c.now), fixed(SEAT_FIRST, 1, 0, 0, 0, c.now)}
    c.given = {[0] = fixed(GIVEN_FIRST, 2, 0, c.now + c.memo_ms), fixed(GIVEN_FIRST, 2, 1, c.now + c.memo_ms)}
    local names, at = {}, 6
    for n = 1, ops[5] do
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
    local text = table.concat(c.out)
    return (tells or ops[4] == 1) and {text, state_of(c)} or text
end

redis.register_function('engenho6_batch', function(keys, args) return batch(keys, args[1], false) end)

-- Acquires and releases that the licensor has worked out ahead (ahead.c), on the state as it knows it. If Redis still has that
-- state, only what is to be written is written; else the requests are worked out here, and the state is told.
--
-- ARGV: packed, when it was worked out and when the first seat in question dies, in ms; the requests, as batch() has them; the clock;
-- and packed, an array each: keys that are compared; their values, '' for none; lives; commands, each an array of its words; commands
-- whose last words are the other arguments, one each, and which go first. Returns the time, or the answers and the state.
local function ahead(keys, args)
    learn_calls()
    local time = call('TIME')
    local now = time[1] * 1000 + floor(time[2] / 1000)
    local since, dies = values(args[1])
    local is_same = since <= now and now - since <= AHEAD_MS and now < dies and clock_of(keys[1] .. ':') == args[3]
    if is_same then
        local expected, lives = values(args[5]), values(args[6])
        for i, value in ipairs(call('MGET', spread(values(args[4])))) do
            is_same = is_same and (value or '') == expected[i]
        end
        is_same = is_same and (#lives == 0 or call('EXISTS', spread(lives)) == #lives)
    end
    if not is_same then
        call('HINCRBY', keys[1] .. ':clock', 'again', 1)
        return batch(keys, args[2], true)
    end
    for i, command in ipairs(values(args[8])) do
        command[#command + 1] = args[8 + i]
        call(spread(command))
    end
    for _, command in ipairs(values(args[7])) do
        call(spread(command))
    end
    return now
end

redis.register_function('engenho6_ahead', ahead)

end
