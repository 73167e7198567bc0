// engenho-histories checks histories of concurrent clients of the licensor: is there an order of all operations, in which
// each takes effect at one moment between its request and its answer, that the rules of seats explain? It prints one line
// of JSON for each file, and ends with 1 when one has no such order.
//
// It knows the rules (model.go, step.go) and nothing of the program. Porcupine does the search.
package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"slices"
	"time"

	"github.com/anishathalye/porcupine"
)

const timeLimit = 20 * time.Second // of each of the three searches

// Verdict is the line of one file.
type Verdict struct {
	File    string `json:"file"`
	Verdict string `json:"verdict"` // ok, violation, undecided
	Why     string `json:"why,omitempty"`
	Figures
	Seconds float64 `json:"seconds"`
}

// tokensRespectTime: whoever asks after an answer was there gets a number past all that this answer knew of.
func tokensRespectTime(history *History) string {
	type moment struct {
		at  int64
		seq uint64
	}
	for i := range history.Operations {
		granted := &history.Operations[i]
		if granted.Op != "acquire" || granted.Out.Word != "granted" || granted.Out.Waived || history.Asked[granted.Request] {
			continue
		}
		if granted.Out.Token > granted.Out.HighestOp {
			return fmt.Sprintf("request %s has token %d, past the highest number %d of its own answer", granted.Request,
				granted.Out.Token, granted.Out.HighestOp)
		}
	}
	var newest moment
	answers := byEnd(history.Operations)
	next := 0
	for _, asked := range byStart(history.Operations) {
		for next < len(answers) && answers[next].To < asked.From {
			newest.seq = max(newest.seq, answers[next].Out.HighestOp)
			next++
		}
		if asked.Op == "acquire" && asked.Out.Word == "granted" && !asked.Out.Waived && !history.Asked[asked.Request] &&
			asked.Out.Token <= newest.seq {
			return fmt.Sprintf("request %s has token %d, and was asked for when %d had been answered", asked.Request,
				asked.Out.Token, newest.seq)
		}
	}
	return ""
}

const parts = 1000 // of a nanosecond, so that many operations fit between two moments

func operationsOf(history *History) []porcupine.Operation {
	operations := make([]porcupine.Operation, len(history.Operations))
	for i := range history.Operations {
		operation := &history.Operations[i]
		operations[i] = porcupine.Operation{ClientId: operation.Client, Input: operation, Call: operation.From * parts,
			Output: &operation.Out, Return: operation.To * parts}
	}
	return operations
}

type narrowing int

const (
	lastSending narrowing = iota // what was sent more than once took effect the last time, where its number is nobody else's
	anySending
	notAtAll
)

// narrowed narrows each operation whose number is known to the time that the numbers before and after it leave. An order of
// the narrowed operations is one of theirs. False when the numbers leave no time.
func narrowed(history *History, operations []porcupine.Operation, how narrowing) bool {
	var known []int
	key := map[int]uint64{}
	taken := map[uint64]bool{}
	for _, again := range []bool{false, true} {
		for i := range history.Operations {
			o := &history.Operations[i]
			number, changed := history.number(o)
			if number == 0 || o.Again != again {
				continue
			}
			if again {
				granted := o.Op == "acquire" && o.Out.Word == "granted"
				if !changed || taken[number] || how == anySending && !granted {
					continue
				}
				operations[i].Call = max(operations[i].Call, o.Last*parts)
			}
			known = append(known, i)
			key[i] = number * 2
			if changed {
				taken[number] = true
			} else {
				key[i]++ // it saw what had this number, and nothing past it
			}
		}
	}
	slices.SortFunc(known, func(a, b int) int {
		return cmp.Or(cmp.Compare(key[a], key[b]), cmp.Compare(operations[a].Return, operations[b].Return))
	})
	from, to := int64(0), int64(math.MaxInt64)
	for _, i := range known {
		from = max(from+1, operations[i].Call)
		operations[i].Call = from
	}
	for _, i := range slices.Backward(known) {
		to = min(to, operations[i].Return)
		if to < operations[i].Call {
			return false
		}
		operations[i].Return = to
	}
	return true
}

func search(history *History, numbers []uint64, operations []porcupine.Operation) (porcupine.CheckResult, *model,
	porcupine.LinearizationInfo) {
	m := &model{history: history, numbers: numbers}
	seats := porcupine.Model{
		Init:  func() any { first := m.first(); return &first },
		Step:  func(before, input, _ any) (bool, any) { return m.step(before.(*state), input.(*Operation)) },
		Equal: func(a, b any) bool { return same(a.(*state), b.(*state)) },
	}
	result, info := porcupine.CheckOperationsVerbose(seats, operations, timeLimit)
	return result, m, info
}

func check(path string) Verdict {
	began := time.Now()
	history, err := readHistory(path)
	if err != nil {
		return Verdict{File: path, Verdict: "unreadable", Why: err.Error()}
	}
	verdict := Verdict{File: path, Verdict: "ok", Figures: figuresOf(history)}
	if why := tokensRespectTime(history); why != "" {
		verdict.Verdict, verdict.Why = "violation", why
		return verdict
	}
	// The numbers of the answers nearly give the order away, so it is sought first among those that follow them. Only when
	// there is none there, among all.
	var result porcupine.CheckResult
	var m *model
	var info porcupine.LinearizationInfo
	for _, how := range []narrowing{lastSending, anySending, notAtAll} {
		operations := operationsOf(history)
		var numbers []uint64
		if how != notAtAll {
			if numbers = history.numbers(); !narrowed(history, operations, how) {
				continue
			}
		}
		result, m, info = search(history, numbers, operations)
		if result == porcupine.Ok {
			break
		}
	}
	switch result {
	case porcupine.Illegal:
		verdict.Verdict, verdict.Why = "violation", explain(m, operationsOf(history), info)
	case porcupine.Unknown:
		verdict.Verdict, verdict.Why = "undecided", fmt.Sprintf("no answer in %v", timeLimit)
	}
	verdict.Seconds = time.Since(began).Seconds()
	return verdict
}

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: engenho-histories FILE...")
		os.Exit(2)
	}
	code := 0
	out := json.NewEncoder(os.Stdout)
	for _, path := range os.Args[1:] {
		verdict := check(path)
		if verdict.Verdict != "ok" {
			code = 1
		}
		_ = out.Encode(verdict)
	}
	os.Exit(code)
}
