package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/anishathalye/porcupine"
)

func byStart(operations []Operation) []*Operation {
	sorted := pointers(operations)
	slices.SortFunc(sorted, func(a, b *Operation) int { return cmp.Compare(a.From, b.From) })
	return sorted
}

func byEnd(operations []Operation) []*Operation {
	sorted := pointers(operations)
	slices.SortFunc(sorted, func(a, b *Operation) int { return cmp.Compare(a.To, b.To) })
	return sorted
}

func pointers(operations []Operation) []*Operation {
	all := make([]*Operation, len(operations))
	for i := range operations {
		all[i] = &operations[i]
	}
	return all
}

// explain says how far the longest order went and which operations could not follow it.
func explain(m *model, operations []porcupine.Operation, info porcupine.LinearizationInfo) string {
	var longest []int
	for _, order := range info.PartialLinearizations()[0] {
		if len(order) > len(longest) {
			longest = order
		}
	}
	first := m.first()
	s := &first
	placed := make([]bool, len(operations))
	var text strings.Builder
	fmt.Fprintf(&text, "%d of %d operations have an order; the last of them, and what can't follow:", len(longest), len(operations))
	for i, at := range longest {
		placed[at] = true
		_, s = m.step(s, operations[at].Input.(*Operation))
		if i >= len(longest)-6 {
			line, _ := json.Marshal(operations[at].Input)
			fmt.Fprintf(&text, "\n  + %s", line)
		}
	}
	end := int64(1) << 62
	for i := range operations {
		if !placed[i] {
			end = min(end, operations[i].Return)
		}
	}
	for i := range operations {
		if !placed[i] && operations[i].Call <= end {
			line, _ := json.Marshal(operations[i].Input)
			fmt.Fprintf(&text, "\n  - %s", line)
		}
	}
	fmt.Fprintf(&text, "\n  state: now %d, pools %+v, seats %+v, asks %+v", s.now, s.pools, s.seats, s.asks)
	return text.String()
}
