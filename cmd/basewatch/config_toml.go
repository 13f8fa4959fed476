package main

import (
	"bytes"
	"errors"
	"sort"
	"strings"

	"github.com/pelletier/go-toml/v2"
	"github.com/pelletier/go-toml/v2/unstable"
)

// parseTOML reads one file's bytes into a tree and says where each key stands.
// A syntax error ends it: the problem has the line, and nothing else of the
// file can be trusted.
func parseTOML(file string, data []byte) (map[string]any, places, *problem) {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	tree := map[string]any{}
	if err := toml.Unmarshal(data, &tree); err != nil {
		return nil, nil, syntaxProblem(file, data, err)
	}
	ix := newIndexer(file, data)
	ix.walk(data)
	return tree, ix.places, nil
}

func syntaxProblem(file string, data []byte, err error) *problem {
	p := &problem{at: place{file: file}, text: strings.TrimPrefix(err.Error(), "toml: ")}
	var de *toml.DecodeError
	if !errors.As(err, &de) {
		return p
	}
	p.at.line, _ = de.Position()
	if len(de.Key()) == 0 {
		p.text = "not TOML: " + p.text + "; mend this line, what follows it was not read"
		return p
	}
	// The syntax is right, but something is there twice.
	p.text += "; keep one of them"
	p.key = newIndexer(file, data).tableAt(data, p.at.line)
	for _, k := range de.Key() {
		p.key = p.key.key(k)
	}
	return p
}

// maxPath bounds the names of settings, in bytes: beyond it values are nested
// so deeply that nothing of ours is there.
const maxPath = 4096

// indexer finds the line of every key and list element. It walks a document
// that is known to be right.
type indexer struct {
	file   string
	ends   []int // offsets of the newlines
	places places
	counts map[keyPath]int // tables so far in each [[list]]
}

func newIndexer(file string, data []byte) *indexer {
	ix := &indexer{file: file, places: places{}, counts: map[keyPath]int{}}
	for i, b := range data {
		if b == '\n' {
			ix.ends = append(ix.ends, i)
		}
	}
	return ix
}

func (ix *indexer) at(n *unstable.Node) place {
	return place{file: ix.file, line: sort.SearchInts(ix.ends, int(n.Raw.Offset)) + 1}
}

func (ix *indexer) walk(data []byte) {
	var p unstable.Parser
	p.Reset(data)
	table := keyPath("")
	for p.NextExpression() {
		switch n := p.Expression(); n.Kind {
		case unstable.Table:
			table = ix.header(n, false)
		case unstable.ArrayTable:
			table = ix.header(n, true)
		case unstable.KeyValue:
			ix.keyValue(table, n)
		}
	}
}

// tableAt gives the table that a key on the given line stands in; "" when the
// line opens a table itself.
func (ix *indexer) tableAt(data []byte, line int) keyPath {
	var p unstable.Parser
	p.Reset(data)
	table, found := keyPath(""), keyPath("")
	for p.NextExpression() {
		n := p.Expression()
		first := n.Key()
		if !first.Next() || ix.at(first.Node()).line > line {
			break
		}
		if found = table; n.Kind != unstable.KeyValue {
			table, found = ix.header(n, n.Kind == unstable.ArrayTable), ""
		}
	}
	return found
}

// header gives the path that a [table] or [[list]] line opens. A name on the
// way that is a list means its last element.
func (ix *indexer) header(n *unstable.Node, list bool) keyPath {
	p := keyPath("")
	for it := n.Key(); it.Next(); {
		p = p.key(string(it.Node().Data))
		if list && it.IsLast() {
			ix.counts[p]++
		}
		if c := ix.counts[p]; c > 0 {
			p = p.item(c - 1)
		}
		if _, ok := ix.places[p]; !ok {
			ix.places.mark(p, ix.at(it.Node()))
		}
	}
	return p
}

func (ix *indexer) keyValue(table keyPath, n *unstable.Node) {
	at := place{}
	for it := n.Key(); it.Next(); {
		table = table.key(string(it.Node().Data))
		at = ix.at(it.Node())
		if _, ok := ix.places[table]; !ok {
			ix.places[table] = at
		}
	}
	ix.places[table] = at
	ix.value(table, n.Value(), at)
}

func (ix *indexer) value(p keyPath, n *unstable.Node, at place) {
	if len(p) > maxPath {
		return
	}
	switch n.Kind {
	case unstable.InlineTable:
		for it := n.Children(); it.Next(); {
			ix.keyValue(p, it.Node())
		}
	case unstable.Array:
		i := 0
		for it := n.Children(); it.Next(); i++ {
			elem := it.Node()
			// Lists in lists have no place of their own.
			if elem.Raw.Length > 0 {
				at = ix.at(elem)
			}
			ix.places[p.item(i)] = at
			ix.value(p.item(i), elem, at)
		}
	}
}
