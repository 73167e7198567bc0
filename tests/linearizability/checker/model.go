package main

import (
	"slices"
	"sort"
)

// The model is written from the rules of seats, not from the program: pools with a cap, a queue of freed seats that still
// live, a waiting line, processors with a cap of productions, waived executions.

type seat struct {
	session, request, production string
	pool                         string
	number                       uint64
	token, least                 uint64 // token 0: not known yet, only that it is past `least`
	lifeEnd                      int64
	held, reused, escalated      bool
	ended                        bool // its own execution is over, waived ones run on
	others                       int
}

type queued struct {
	lifeEnd int64
	number  uint64
}

type pool struct {
	name  string
	cap   int
	seq   uint64
	busy  int
	queue []queued
	line  []string
}

type ask struct {
	session, request, production string
	pools                        []string
	held                         bool
}

type waived struct{ session, request, base string }

type state struct {
	now    int64
	token  uint64 // the newest one that is known
	pools  []pool
	seats  []seat
	waived []waived
	asks   []ask
	comes  []comes
}

// comes is how often a session came back.
type comes struct {
	session string
	times   int
}

type model struct {
	history *History
	numbers []uint64 // sorted; not nil: only orders in which they follow each other
}

// to gives the next operation its number. False when that is not past all before it, or leaves one out.
func (m *model) to(s *state, number uint64) bool {
	if number <= s.token {
		return false
	}
	at, _ := slices.BinarySearch(m.numbers, s.token+1)
	s.token = number
	return at == len(m.numbers) || number <= m.numbers[at]
}

// toNext gives the next operation a number that no answer told. False when there is none between those that are known.
func (m *model) toNext(s *state) bool {
	if m.numbers == nil {
		return true
	}
	s.token++
	_, known := slices.BinarySearch(m.numbers, s.token)
	return !known
}

func (m *model) first() state {
	s := state{now: m.history.Setup.NowMs}
	for name, limit := range m.history.Setup.Caps {
		s.pools = append(s.pools, pool{name: name, cap: limit})
	}
	sort.Slice(s.pools, func(a, b int) bool { return s.pools[a].name < s.pools[b].name })
	return s
}

func (s *state) copied() *state {
	c := *s
	c.pools = slices.Clone(s.pools)
	for i := range c.pools {
		c.pools[i].queue = slices.Clone(s.pools[i].queue)
		c.pools[i].line = slices.Clone(s.pools[i].line)
	}
	c.seats = slices.Clone(s.seats)
	c.waived = slices.Clone(s.waived)
	c.asks = slices.Clone(s.asks)
	c.comes = slices.Clone(s.comes)
	return &c
}

func samePool(a, b pool) bool {
	return a.seq == b.seq && a.busy == b.busy && slices.Equal(a.queue, b.queue) && slices.Equal(a.line, b.line)
}

func sameAsk(a, b ask) bool { return a.request == b.request && a.session == b.session }

func same(a, b *state) bool {
	return a.now == b.now && a.token == b.token && slices.EqualFunc(a.pools, b.pools, samePool) &&
		slices.Equal(a.seats, b.seats) && slices.Equal(a.waived, b.waived) && slices.EqualFunc(a.asks, b.asks, sameAsk) &&
		slices.Equal(a.comes, b.comes)
}

// Things are kept sorted by request, so that equal states compare equal.

func (s *state) seatOf(request string) *seat {
	for i := range s.seats {
		if s.seats[i].request == request {
			return &s.seats[i]
		}
	}
	return nil
}

func (s *state) addSeat(added seat) {
	at := sort.Search(len(s.seats), func(i int) bool { return s.seats[i].request >= added.request })
	s.seats = slices.Insert(s.seats, at, added)
}

func (s *state) dropSeat(request string) {
	s.seats = slices.DeleteFunc(s.seats, func(x seat) bool { return x.request == request })
}

func (s *state) baseOf(request string) string {
	for _, x := range s.waived {
		if x.request == request {
			return x.base
		}
	}
	return ""
}

func (s *state) addWaived(added waived) {
	at := sort.Search(len(s.waived), func(i int) bool { return s.waived[i].request >= added.request })
	s.waived = slices.Insert(s.waived, at, added)
}

func (s *state) dropWaived(request string) {
	s.waived = slices.DeleteFunc(s.waived, func(x waived) bool { return x.request == request })
}

func (s *state) askOf(request string) *ask {
	for i := range s.asks {
		if s.asks[i].request == request {
			return &s.asks[i]
		}
	}
	return nil
}

func (s *state) addAsk(added ask) {
	at := sort.Search(len(s.asks), func(i int) bool { return s.asks[i].request >= added.request })
	s.asks = slices.Insert(s.asks, at, added)
	for _, name := range added.pools {
		p := s.poolOf(name)
		p.line = append(p.line, added.request)
	}
}

func (s *state) leaveLine(request string) {
	for i := range s.pools {
		s.pools[i].line = slices.DeleteFunc(s.pools[i].line, func(x string) bool { return x == request })
	}
	s.asks = slices.DeleteFunc(s.asks, func(x ask) bool { return x.request == request })
}

func (s *state) poolOf(name string) *pool {
	for i := range s.pools {
		if s.pools[i].name == name {
			return &s.pools[i]
		}
	}
	return nil
}

func (s *state) purge(p *pool) {
	p.queue = slices.DeleteFunc(p.queue, func(x queued) bool { return x.lifeEnd <= s.now })
}

func (s *state) available(p *pool) bool {
	s.purge(p)
	return len(p.queue) > 0 || p.busy < p.cap
}

// take gives a seat of the pool: the queued one that dies first, else a fresh one. Of several that die in the same
// millisecond any may be taken: the one that the answer names, else the lowest number.
func (m *model) take(s *state, p *pool, number uint64, taken *seat) bool {
	if !s.available(p) {
		return false
	}
	p.busy++
	taken.pool = p.name
	if len(p.queue) == 0 {
		p.seq++
		taken.number, taken.lifeEnd, taken.reused = p.seq, s.now+m.history.Setup.LifeMs, false
		return true
	}
	at := 0
	for i := range p.queue {
		if p.queue[i].lifeEnd == p.queue[0].lifeEnd && p.queue[i].number == number {
			at = i
		}
	}
	taken.number, taken.lifeEnd, taken.reused = p.queue[at].number, p.queue[at].lifeEnd, true
	p.queue = slices.Delete(p.queue, at, at+1)
	return true
}

func (s *state) give(x *seat, mayQueue bool) int64 {
	p := s.poolOf(x.pool)
	p.busy--
	if !mayQueue || x.lifeEnd <= s.now {
		return 0
	}
	added := queued{x.lifeEnd, x.number}
	at := sort.Search(len(p.queue), func(i int) bool {
		q := p.queue[i]
		return q.lifeEnd > added.lifeEnd || q.lifeEnd == added.lifeEnd && q.number >= added.number
	})
	p.queue = slices.Insert(p.queue, at, added)
	return x.lifeEnd - s.now
}

// resumed counts how often the session came back: `by` times more from now on.
func (s *state) resumed(session string, by int) int {
	at := sort.Search(len(s.comes), func(i int) bool { return s.comes[i].session >= session })
	if at == len(s.comes) || s.comes[at].session != session {
		s.comes = slices.Insert(s.comes, at, comes{session, 0})
	}
	s.comes[at].times += by
	return s.comes[at].times
}

// holder is the seat that a production of a session holds, and running how many the session holds.
func (s *state) holder(session, production string) (holder *seat, running int) {
	for i := range s.seats {
		x := &s.seats[i]
		if x.session == session && x.held {
			running++
			if x.production == production {
				holder = x
			}
		}
	}
	return holder, running
}

// grant records a new seat. False when its token, where it is known, is not past all before it.
func (m *model) grant(s *state, a *ask, taken seat, observed *Answer) bool {
	taken.session, taken.request, taken.production, taken.held = a.session, a.request, a.production, a.held
	taken.escalated = taken.pool != a.pools[0]
	taken.least = s.token
	if observed != nil {
		taken.token = observed.Token
	} else if !m.history.Asked[a.request] {
		taken.token = m.history.Tokens[a.request]
	}
	if taken.token != 0 {
		taken.least = 0
		if !m.to(s, taken.token) {
			return false
		}
	} else if !m.toNext(s) {
		return false
	}
	s.addSeat(taken)
	return true
}

// serve gives a waiting request its seat if it may run. served: it left the line; ok: tokens are in order.
func (m *model) serve(s *state, request string, p *pool) (served, ok bool) {
	a := *s.askOf(request)
	if a.held {
		holder, running := s.holder(a.session, a.production)
		if holder != nil {
			holder.others++
			s.addWaived(waived{a.session, request, holder.request})
			s.leaveLine(request)
			return true, m.toNext(s)
		}
		if running >= m.history.Setup.Productions {
			return false, true
		}
	}
	var taken seat
	if !m.take(s, p, 0, &taken) {
		return false, true
	}
	s.leaveLine(request)
	return true, m.grant(s, &a, taken, nil)
}

func (m *model) handOver(s *state, name string) bool {
	skip := 0
	p := s.poolOf(name)
	for s.available(p) && skip < len(p.line) {
		served, ok := m.serve(s, p.line[skip], p)
		if !ok {
			return false
		}
		if !served {
			skip++
		}
	}
	return true
}

func (m *model) handOverAll(s *state) bool {
	for i := range s.pools {
		if !m.handOver(s, s.pools[i].name) {
			return false
		}
	}
	return true
}
