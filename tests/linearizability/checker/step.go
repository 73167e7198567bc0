package main

import (
	"slices"
)

// step says whether the operation may give this answer in this state, and what the state is after it.
func (m *model) step(before *state, operation *Operation) (bool, *state) {
	// Its own number is at most the highest that its answer knew of, and what was numbered past that came later.
	if highest := operation.Out.HighestOp; highest != 0 && before.token > highest {
		return false, before
	}
	s := before.copied()
	var ok bool
	switch operation.Op {
	case "acquire":
		ok = m.acquire(s, operation)
	case "handed":
		ok = m.handed(s, operation)
	case "release":
		ok = m.release(s, operation)
	case "resume":
		ok = m.resume(s, operation)
	case "pool":
		ok = m.pool(s, operation)
	case "move":
		s.now = operation.Now
		ok = true
	}
	return ok, s
}

func unknown(operation *Operation) bool { return operation.Out.Word == "unknown" }

// number gives an operation that changed something its number: the highest that its answer knew of, where a licensor
// answers in the order of Redis; one more than the one before it, where no answer tells. False when that is not past all
// before it.
func (m *model) number(s *state, operation *Operation) bool {
	if m.numbers == nil {
		return true
	}
	if unknown(operation) || operation.Again || operation.Out.HighestOp == 0 {
		return m.toNext(s)
	}
	return m.to(s, operation.Out.HighestOp)
}

// later: the answer is of a moment after the operation took effect: what was pushed, and what was asked again.
func (o *Operation) later() bool { return o.Again || o.Op == "handed" }

// shows says whether the answer describes this seat. A token that was not known is known from now on.
func (s *state) shows(x *seat, isWaived bool, operation *Operation) bool {
	out := &operation.Out
	if out.Word != "granted" || out.Waived != isWaived || out.Pool != x.pool || out.Number != x.number ||
		out.Reused != x.reused || out.Escalated != x.escalated ||
		!operation.later() && out.Life != max(x.lifeEnd-s.now, 0) {
		return false
	}
	if x.token == 0 {
		if out.Token <= x.least {
			return false
		}
		x.token, x.least = out.Token, 0
	}
	return x.token == out.Token
}

func (m *model) acquire(s *state, operation *Operation) bool {
	if done, ok := s.repeated(operation); done {
		return ok
	}
	if unknown(operation) && s.resumed(operation.Session, 0) != operation.Resumed {
		return true // it did not happen before its session came back, and what happens later is another operation
	}
	a := ask{operation.Session, operation.Request, operation.Production, operation.Pools, operation.Held}
	out := &operation.Out
	reason := "pool_limit"
	if a.held {
		holder, running := s.holder(a.session, a.production)
		if holder != nil {
			holder.others++
			s.addWaived(waived{a.session, a.request, holder.request})
			return m.number(s, operation) && (unknown(operation) || s.shows(holder, true, operation))
		}
		if running >= m.history.Setup.Productions {
			reason = "edition_limit"
		}
	}
	if reason == "pool_limit" {
		for _, name := range a.pools {
			if !m.handOver(s, name) {
				return false
			}
		}
		for _, name := range a.pools {
			var taken seat
			if m.take(s, s.poolOf(name), out.Number, &taken) {
				return m.granted(s, &a, taken, operation)
			}
		}
	}
	if !operation.Wait {
		if unknown(operation) || operation.Again {
			return unknown(operation) || out.Word == "refused" && out.Reason == reason
		}
		return out.Word == "refused" && out.Reason == reason && m.number(s, operation)
	}
	ahead := len(s.poolOf(a.pools[0]).line)
	s.addAsk(a)
	return m.number(s, operation) &&
		(unknown(operation) || out.Word == "waiting" && (operation.later() || out.Ahead == ahead))
}

func (m *model) granted(s *state, a *ask, taken seat, operation *Operation) bool {
	if unknown(operation) {
		return m.grant(s, a, taken, nil)
	}
	return operation.Out.Word == "granted" && m.grant(s, a, taken, &operation.Out) &&
		s.shows(s.seatOf(a.request), false, operation)
}

// repeated: the request got an answer before, and gets the same.
func (s *state) repeated(operation *Operation) (done, ok bool) {
	out := &operation.Out
	if x := s.seatOf(operation.Request); x != nil {
		return true, unknown(operation) || s.shows(x, false, operation)
	}
	if base := s.baseOf(operation.Request); base != "" {
		return true, unknown(operation) || s.shows(s.seatOf(base), true, operation)
	}
	if a := s.askOf(operation.Request); a != nil {
		ahead := slices.Index(s.poolOf(a.pools[0]).line, a.request)
		return true, unknown(operation) || out.Word == "waiting" && (operation.later() || out.Ahead == ahead)
	}
	return false, false
}

// handed: a waiting request was told that it got its seat.
func (m *model) handed(s *state, operation *Operation) bool {
	if x := s.seatOf(operation.Request); x != nil {
		return s.shows(x, false, operation)
	}
	base := s.baseOf(operation.Request)
	return base != "" && s.shows(s.seatOf(base), true, operation)
}

func (m *model) release(s *state, operation *Operation) bool {
	out := &operation.Out
	if s.askOf(operation.Request) != nil {
		s.leaveLine(operation.Request)
		left := out.Word == "released" && !out.Queued && out.Life == 0
		return m.number(s, operation) && (unknown(operation) || left)
	}
	x, isWaived := s.seatOf(operation.Request), false
	if x == nil {
		if base := s.baseOf(operation.Request); base != "" {
			x, isWaived = s.seatOf(base), true
		}
	}
	if x == nil || operation.Token == 0 || x.token != 0 && x.token != operation.Token ||
		x.token == 0 && operation.Token <= x.least || !isWaived && x.ended {
		return unknown(operation) || out.Word == "stale"
	}
	x.token, x.least = operation.Token, 0
	if isWaived {
		s.dropWaived(operation.Request)
		x.others--
	} else {
		x.ended = true
	}
	life := int64(0)
	if !m.number(s, operation) {
		return false
	}
	if x.ended && x.others == 0 {
		over := *x
		s.dropSeat(over.request)
		life = s.give(&over, true)
		if !m.handOver(s, over.pool) || over.held && !m.handOverAll(s) {
			return false
		}
	}
	return unknown(operation) || out.Word == "released" && out.Queued == (life > 0) && out.Life == life
}

// resume: a session comes back on another connection. What it does not claim is freed, not queued; what it does not say it
// waits for leaves the line.
func (m *model) resume(s *state, operation *Operation) bool {
	s.resumed(operation.Session, 1)
	claims := map[string]uint64{}
	for _, claim := range operation.Claims {
		claims[claim.Request] = claim.Token
	}
	others := map[string]int{}
	for _, x := range slices.Clone(s.waived) {
		if x.session != operation.Session {
			continue
		}
		if _, claimed := claims[x.request]; claimed {
			others[x.base]++
		} else {
			s.dropWaived(x.request)
		}
	}
	mine := map[uint64]bool{}
	for _, x := range slices.Clone(s.seats) {
		if x.session != operation.Session {
			continue
		}
		now := s.seatOf(x.request)
		if token, claimed := claims[x.request]; claimed && now.token == 0 && token > now.least {
			now.token, now.least = token, 0
		}
		token, claimed := claims[x.request]
		now.ended = now.ended || !claimed || token != now.token
		now.others = others[x.request]
		if now.ended && now.others == 0 {
			over := *now
			s.dropSeat(over.request)
			s.give(&over, false)
		} else {
			mine[now.token] = true
		}
	}
	for _, x := range slices.Clone(s.asks) {
		if x.session == operation.Session && !slices.Contains(operation.Waiting, x.request) {
			s.leaveLine(x.request)
		}
	}
	var lost []uint64
	for _, claim := range operation.Claims {
		if !mine[claim.Token] {
			mine[claim.Token] = true
			lost = append(lost, claim.Token)
		}
	}
	if !m.number(s, operation) || !m.handOverAll(s) {
		return false
	}
	slices.Sort(lost)
	told := slices.Clone(operation.Out.Lost)
	slices.Sort(told)
	return unknown(operation) || operation.Out.Word == "resumed" && slices.Equal(lost, told)
}

// pool: how many of a pool are in use, queued, and wait.
func (m *model) pool(s *state, operation *Operation) bool {
	p := s.poolOf(operation.Pools[0])
	s.purge(p)
	out := &operation.Out
	return out.InUse == p.busy && out.InQueue == len(p.queue) && out.InLine == len(p.line)
}
