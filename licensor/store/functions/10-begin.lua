#!lua name=engenho6
--[[
The rules of keys and seats as Redis runs them: the same state machine as memory.c, and tests/sim/licensor compares the two,
operation by operation. The files of this folder are one library, joined in the order of their names when Engenho is built.

One call reads what it needs, computes on tables, and writes at its end, each key once: a call that fails has written nothing.
Acquires and releases come many to a call (engenho6_batch), and share its reads and writes; a seat that is freed and taken again
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
  T:<pool>:q         sorted set    freed seats with life left ("<1e10 + the L-number>:<when it was freed>"), by the end of it
  T:<pool>:packed    string        the same as one text, instead of q: end of life, L-number, when it was freed; soonest to die first
  T:<pool>:line      sorted set    who waits ("session request"), by arrival
  T:<pool>:agents    hash          busy seats by agent, of a pool that reserves seats
  T:<pool>:stat      string        packed counters: the open minute's, and totals
  T:<pool>:holders   hash          who was granted how many in the open minute
  T:usage            sorted set    closed minutes ("<minute>:<pool>" and the record), by minute, until acknowledged
  T:memo:<n>         hash          request -> the answer it got; the newest generation and the one before it count
  T:memo:<n>:<session>:<log>  string, PXAT  the same of ordinary releases, one behind the other, of LOG_REQUESTS requests of a session:
                                   last millisecond of its life, life left, time held, the seat's record, number of the request,
                                   length of the record
  T:clock            hash          last tick, steps of the clock that were seen (backs: by nobody but the store), since when
                                   the memo's generation is, and how many batches were worked out again

Fields of T:w:<session>: a request by its id (which has no space), packed, r a seat, x waived, l waiting; "is <what>" about the
session ("is prod" counts its productions that run, "is top" is the highest number of a request that it sent); "h <production>"
the request whose seat the production has; "p <pool>" the request whose seat all productions share there (holder: pool), and
"c <production>" how many requests of one do; "q <production>" how many held requests of one wait.
"is packed" is all of these as one text, instead of them, of a session that has nothing but seats of requests "<session>:<what>": what
"is top" and "is prod" are, then packed, of each seat, <what> and the record.

What is packed is written by the licensor (ahead_session.c, mirror_pack.c), for it costs one value instead of one for each seat. A
function that changes such a session or queue writes it as fields again; that goes with a transition or another change that
the licensor compares, or it would go on from what is not there any more.

Numbers: `..` prints 14 digits, so only small integers are joined; redis.call prints numbers whole, but as if they had a fraction,
which costs as much as a cheap command: what is written often is printed by format('%d').
]]

local NAME_FRESH_MS = 10000 -- a heartbeat younger than this, and an open connection: the name is in use
local AWAY_MS = 5000        -- no tick for so long: nobody could have kept a lease alive
local MINUTE_MS = 60000
local MINUTES_KEPT = 1500   -- 25 hours of usage that nobody acknowledged
local HOLDERS_MAX = 32      -- of a minute and pool, by name; the rest are "others"
local CHUNK = 64            -- how much of a queue or line is read at once
local AHEAD_MS = 100        -- what was worked out ahead is not older
local TOLD_MAX = 3000       -- of a queue, or fields of a session: longer ones are not told
local TOLD_ALL_MAX = 10000  -- fields of sessions in one answer
local ARGUMENTS = 2000      -- of a command, as many as are passed at once
local ANY_NUMBER = 1e15     -- no request of a session has a higher one
local QUEUED = 1e10         -- added to an L-number where it is a member of the queue, so that members sort by number
local QUEUED_DIGITS = 11
local QUEUE, QUEUE_BYTES = '>I6I6I6', 18            -- of a packed queue, each seat
local LOG_FIRST, LOG_FIRST_BYTES = '>I6I6I6', 18     -- of a logged memo; its seat's record is behind that
local LOG_LAST, LOG_LAST_BYTES = '>I6I2', 8         -- and behind the record
local LOG_REQUESTS = 4096 -- whose answers share a log: mirror.h
local LOG_CHUNK = 16384 -- how much of a log is read at once; more than a memo has
local PACKED_FIRST, PACKED_FIRST_BYTES = '>I6I4', 10 -- of a packed session

-- A request's record in the session's hash, as a table. Its first value: r a seat, x waived (base request, production), l
-- waiting. A seat is written as a byte 1; its texts, packed: pool, use, production, the pool that was asked for ('': the same), user;
-- and its numbers in fixed places, for that is quick to make: reused, ended, shared, others, since, end of life, used, cap, number,
-- token. Valkey's Lua hashes a sample of a long text, from the last letter on: what differs most must be last, or all records of a
-- batch share one hash. Redis's hashes every letter, so that each costs.
local SEAT, SEAT_FIRST, SEAT_LAST, SEAT_BYTES = '>BBBI4I6I6I4I4I6I6', '>BBBI4I6', '>I6I4I4I6I6', 39
local KIND = 1
local POOL, NUMBER, TOKEN, USE, PRODUCTION, REQUESTED, SINCE, LIFE_END, REUSED, USER, OTHERS, ENDED, USED, CAP, SHARED =
    2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16
local BASE, WAIVED_PRODUCTION = 2, 3
local L_USE, L_PRODUCTION, L_USER, L_REUSE, L_SINCE, L_POOLS = 2, 3, 4, 5, 6, 7

-- A memo, as a table: session, last millisecond of its life, "g" and what was granted, or the reason of a refusal. What was
-- granted is written as: 2, waived, last millisecond, life left, held, session; then the seat.
local GIVEN, GIVEN_FIRST, GIVEN_TIMES, GIVEN_SESSION = '>BBI6I6I6s', '>BBI6', '>I6I6', 's'
local M_SESSION, M_DIES, M_WORD, M_WAIVED, M_LEFT, M_HELD, M_SEAT = 1, 2, 3, 4, 5, 6, 7
local M_AT, M_FIRST, M_FULL = 4, 5, 6

-- Places in a pool's counters: of the open minute, and `ALL` further the same since ever.
local OPENED, LAST = 1, 2
local GRANTED, REUSED_N, WAIVED, ESCALATED, NOTIFIED, REFUSED, REFUSED_EDITION, REFUSED_LINE, WAITED, WAIT_MS, OVERRUN, PEAK =
    3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14
local ALL, REFUSED_ALL, PEAK_ALL = 12, 20, 21
local REFUSAL = {pool_limit = REFUSED, edition_limit = REFUSED_EDITION, line_full = REFUSED_LINE}

local NOTHING = {}

-- Nothing of this is there yet while a library loads; begin() sets it.
local call, pack, values, some_values, fixed, unfixed, spread, format, floor, max, min

local function learn_calls()
    call, pack, values, some_values, spread = redis.call, cmsgpack.pack, cmsgpack.unpack, cmsgpack.unpack_limit, unpack
    fixed, unfixed, format = struct.pack, struct.unpack, string.format
    floor, max, min = math.floor, math.max, math.min
end

local function begin(keys)
    learn_calls()
    local time = call('TIME')
    return {T = keys[1] .. ':', now = time[1] * 1000 + floor(time[2] / 1000), handed = {}, pools = {}, members = {}, memos = {},
        memo_list = {}, memo_count = 0, chunk = CHUNK, got = {}, is_new = {}, lives = {}, deaths = {}, writes = {}, said = {}}
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

