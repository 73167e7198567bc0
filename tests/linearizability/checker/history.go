package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"slices"
)

// Operation is one line of a history. Times are of one monotonic clock, in nanoseconds: From is read before the request
// was sent, To after its answer came. A request whose answer was lost is one operation from its first sending to the answer of its repetition. When its session
// came back between the two, what the first one got was undone, and it stands there with an Out of "unknown" besides:
// whether it happened is open.
type Operation struct {
	Client int    `json:"client"`
	From   int64  `json:"from"`
	To     int64  `json:"to"`
	Op     string `json:"op"` // acquire, handed, release, resume, pool, move

	Session    string   `json:"session"`
	Request    string   `json:"request"`
	Held       bool     `json:"held"`
	Production string   `json:"production"`
	Pools      []string `json:"pools"`
	Wait       bool     `json:"wait"`
	Token      uint64   `json:"token"`
	Claims     []Claim  `json:"claims"`
	Waiting    []string `json:"waiting"`
	Now        int64    `json:"now"`     // move: both clocks, in ms
	Again      bool     `json:"again"`   // it was sent more than once, for an answer was lost: it took effect once
	Resumed    int      `json:"resumed"` // unknown: how often its session had come back when it was sent
	Last       int64    `json:"last"`    // when it was sent the last time

	Out Answer `json:"out"`
}

// Claim is a seat that a session which comes back says it holds.
type Claim struct {
	Request string `json:"request"`
	Token   uint64 `json:"token"`
}

// Answer is what came back.
type Answer struct {
	Word      string   `json:"word"` // granted, waiting, refused, released, stale, resumed, pool, moved, unknown
	Reason    string   `json:"reason"`
	Token     uint64   `json:"token"`
	Pool      string   `json:"pool"`
	Number    uint64   `json:"number"`
	Reused    bool     `json:"reused"`
	Escalated bool     `json:"escalated"`
	Waived    bool     `json:"waived"`
	Life      int64    `json:"life"` // ms left
	Ahead     int      `json:"ahead"`
	Queued    bool     `json:"queued"`
	Lost      []uint64 `json:"lost"`
	InUse     int      `json:"in_use"`
	InQueue   int      `json:"in_queue"`
	InLine    int      `json:"in_line"`
	HighestOp uint64   `json:"highest_op"`
}

// number is the operation's own, where its answer tells: the token of a grant; else the highest number that the answer
// knew of, where a licensor answers in the order of Redis. 0: not known. changed: nothing else has this number.
func (h *History) number(o *Operation) (number uint64, changed bool) {
	switch o.Op {
	case "acquire":
		if o.Out.Word == "granted" && !o.Out.Waived {
			return o.Out.HighestOp, o.Out.Token == o.Out.HighestOp && !h.Waited[o.Request]
		}
		if (o.Again || !h.Asked[o.Request]) && o.Out.Word != "unknown" {
			return o.Out.HighestOp, true
		}
	case "release", "resume":
		return o.Out.HighestOp, o.Out.Word == "released" || o.Out.Word == "resumed"
	case "pool":
		return o.Out.HighestOp, false
	}
	return 0, false
}

// numbers are those that are known to belong to one operation, sorted.
func (h *History) numbers() []uint64 {
	var numbers []uint64
	for i := range h.Operations {
		o := &h.Operations[i]
		number, changed := h.number(o)
		switch {
		case o.Op == "handed" && !o.Out.Waived && !h.Asked[o.Request],
			o.Again && o.Op == "acquire" && o.Out.Word == "granted" && !o.Out.Waived && !h.Waited[o.Request]:
			numbers = append(numbers, o.Out.Token)
		case !o.Again && changed:
			numbers = append(numbers, number)
		}
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// Setup is the first line of a history: what the licence allows.
type Setup struct {
	Caps        map[string]int `json:"caps"`
	Productions int            `json:"productions"` // at once, of one processor
	LifeMs      int64          `json:"life_ms"`
	NowMs       int64          `json:"now_ms"`
}

// History is a whole file.
type History struct {
	Setup      Setup
	Operations []Operation
	Asked      map[string]bool   // requests that may have been granted more than once
	Waited     map[string]bool   // requests that stood in a line
	Tokens     map[string]uint64 // that requests got
}

func readHistory(path string) (*History, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	history := &History{Asked: map[string]bool{}, Waited: map[string]bool{}, Tokens: map[string]uint64{}}
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, 1<<24)
	seen := map[string]bool{}
	for number := 1; lines.Scan(); number++ {
		if number == 1 {
			if err := json.Unmarshal(lines.Bytes(), &history.Setup); err != nil {
				return nil, fmt.Errorf("line 1: %w", err)
			}
			continue
		}
		var operation Operation
		if err := json.Unmarshal(lines.Bytes(), &operation); err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		history.Operations = append(history.Operations, operation)
		if operation.Op == "acquire" {
			history.Asked[operation.Request] = seen[operation.Request]
			seen[operation.Request] = true
			history.Waited[operation.Request] = history.Waited[operation.Request] || operation.Out.Word == "waiting"
		}
		if operation.Out.Word == "granted" && !operation.Out.Waived {
			history.Tokens[operation.Request] = operation.Out.Token
		}
	}
	return history, lines.Err()
}

// Figures counts what happened in a history, so that a test can assert that it was worth checking.
type Figures struct {
	Operations int `json:"operations"`
	Granted    int `json:"granted"`
	Reused     int `json:"reused"`
	Waived     int `json:"waived"`
	Waited     int `json:"waited"`
	Refused    int `json:"refused"`
	Released   int `json:"released"`
	Stale      int `json:"stale"`
	Resumed    int `json:"resumed"`
	Unknown    int `json:"unknown"`
	Moves      int `json:"moves"`
}

func figuresOf(history *History) Figures {
	var figures Figures
	for i := range history.Operations {
		out := &history.Operations[i].Out
		figures.Operations++
		switch out.Word {
		case "granted":
			switch {
			case out.Waived:
				figures.Waived++
			case out.Reused:
				figures.Reused++
			default:
				figures.Granted++
			}
		case "waiting":
			figures.Waited++
		case "refused":
			figures.Refused++
		case "released":
			figures.Released++
		case "stale":
			figures.Stale++
		case "resumed":
			figures.Resumed++
		case "unknown":
			figures.Unknown++
		case "moved":
			figures.Moves++
			figures.Operations--
		}
	}
	return figures
}
