package main

import (
	"strconv"
	"strings"
)

// keyPath names a setting as errors and listings print it:
// registry."docker.io".per_minute, route[1].to[0]. Indexes count from 0 over
// all files together.
type keyPath string

// key is the path of a key in the table at p; a key that TOML would want in
// quotes is quoted.
func (p keyPath) key(k string) keyPath {
	if !bareKey(k) {
		k = strconv.Quote(k)
	}
	if p == "" {
		return keyPath(k)
	}
	return p + "." + keyPath(k)
}

// item is the path of an element of the list at p.
func (p keyPath) item(i int) keyPath { return p + keyPath("["+strconv.Itoa(i)+"]") }

// within reports whether p is outer or lies inside it.
func (p keyPath) within(outer keyPath) bool {
	rest, ok := strings.CutPrefix(string(p), string(outer))
	return ok && (rest == "" || outer == "" || rest[0] == '.' || rest[0] == '[')
}

// parent cuts the last part off; of a path with one part it is "".
func (p keyPath) parent() keyPath {
	last := 0
	for i := 0; i < len(p); {
		switch p[i] {
		case '.', '[':
			last = i
			i++
		case '"':
			quoted, err := strconv.QuotedPrefix(string(p[i:]))
			if err != nil {
				return p[:last]
			}
			i += len(quoted)
		default:
			i++
		}
	}
	return p[:last]
}

// bareKey reports whether TOML takes k without quotes.
func bareKey(k string) bool {
	for _, r := range k {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z'
		if !letter && (r < '0' || r > '9') && r != '-' && r != '_' {
			return false
		}
	}
	return k != ""
}

// place is where a setting was written. The zero place is nowhere: a default.
type place struct {
	file string
	line int
	// other is a place that is no file: a variable's name or a flag.
	other string
}

func (p place) String() string {
	switch {
	case p.other != "":
		return p.other
	case p.file == "":
		return "default"
	case p.line == 0:
		return p.file
	}
	return p.file + ":" + strconv.Itoa(p.line)
}

// places remembers where each setting was written.
type places map[keyPath]place

// find gives the place of a setting, or of the nearest table around it.
func (ps places) find(p keyPath) place {
	for {
		if at, ok := ps[p]; ok || p == "" {
			return at
		}
		p = p.parent()
	}
}

// mark sets the place of p, and of the tables around it where they have none.
func (ps places) mark(p keyPath, at place) {
	ps[p] = at
	for p = p.parent(); p != ""; p = p.parent() {
		if _, ok := ps[p]; ok {
			return
		}
		ps[p] = at
	}
}

// shift moves what was said of the elements of a list by n, since the list is
// appended to one of n elements.
func (ps places) shift(list keyPath, n int) places {
	moved := make(places, len(ps))
	for p, at := range ps {
		rest, ok := strings.CutPrefix(string(p), string(list)+"[")
		if !ok {
			moved[p] = at
			continue
		}
		index, tail, _ := strings.Cut(rest, "]")
		i, err := strconv.Atoi(index)
		if err != nil {
			continue
		}
		moved[list.item(i+n)+keyPath(tail)] = at
	}
	return moved
}
