package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode"
)

const (
	maxDepth = 64
	// maxValues bounds what a body may make of memory: a million empty objects
	// are small on the wire. An index of maxEntries has about 20 for each.
	maxValues = 50_000
	// maxTokenRun bounds one string, number or stretch of nothing, in bytes.
	maxTokenRun = 1 << 20
)

// checkJSON refuses what is too much, has anything behind its end, or names a
// key twice in one object. encoding/json matches names without regard to case,
// so "Manifests" beside "manifests" is twice too, as deep as structs are read
// into; folded says how deep that is. Among annotations and labels both are
// different keys.
func checkJSON(body []byte, folded int) error {
	if err := measureJSON(body); err != nil {
		return err
	}
	c := jsonChecker{dec: json.NewDecoder(bytes.NewReader(body)), folded: folded}
	if err := c.value(0, false); err != nil {
		return err
	}
	if _, err := c.dec.Token(); err != io.EOF {
		return errors.New("something follows its end")
	}
	return nil
}

// measureJSON refuses what nests too deep, has too many values or too long
// ones, before a parser makes anything of it. It allocates nothing. What is no
// JSON at all it may let pass.
func measureJSON(body []byte) error {
	depth, values, run, quoted := 0, 0, 0, false
	for i := 0; i < len(body); i++ {
		run++
		switch c := body[i]; {
		case run > maxTokenRun:
			return fmt.Errorf("a value of it is longer than %d bytes", maxTokenRun)
		case c == '"':
			quoted, run = !quoted, 0
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '{' || c == '[':
			depth, values, run = depth+1, values+1, 0
		case c == '}' || c == ']':
			depth, run = depth-1, 0
		case c == ',':
			values, run = values+1, 0
		}
		if depth > maxDepth {
			return fmt.Errorf("it nests deeper than %d", maxDepth)
		}
		if values > maxValues {
			return fmt.Errorf("it has more than %d values", maxValues)
		}
	}
	return nil
}

type jsonChecker struct {
	dec    *json.Decoder
	folded int
}

func (c *jsonChecker) value(depth int, exact bool) error {
	t, err := c.dec.Token()
	if err != nil {
		return err
	}
	switch t {
	case json.Delim('{'):
		return c.object(depth, exact || depth >= c.folded)
	case json.Delim('['):
		for c.dec.More() {
			if err := c.value(depth+1, false); err != nil {
				return err
			}
		}
		_, err = c.dec.Token()
	}
	return err
}

// folded is what names that encoding/json takes for the same have in common:
// it knows a long s and a Kelvin sign too.
func folded(name string) string {
	return strings.Map(func(r rune) rune {
		for {
			next := unicode.SimpleFold(r)
			if next <= r {
				return next
			}
			r = next
		}
	}, name)
}

func (c *jsonChecker) object(depth int, exact bool) error {
	seen := map[string]bool{}
	for c.dec.More() {
		t, err := c.dec.Token()
		if err != nil {
			return err
		}
		key := fmt.Sprint(t)
		id := key
		if !exact {
			id = folded(key)
		}
		if seen[id] {
			return fmt.Errorf("the key %.80q stands twice", key)
		}
		seen[id] = true
		if err := c.value(depth+1, key == "annotations" || key == "Labels"); err != nil {
			return err
		}
	}
	_, err := c.dec.Token()
	return err
}
