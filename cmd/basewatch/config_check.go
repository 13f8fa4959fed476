package main

import (
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"basewatch/internal/secret"
)

// checker walks a merged tree along the schema, in two stages: check refuses
// what may not stand there, resolve puts in what "env:" and "file:" point to.
// What is refused is taken out of the tree, so that the next stage can go on
// and everything wrong is told at once.
type checker struct {
	*problems
	// via has the references that were replaced by what they point to.
	via map[keyPath]string
}

// check refuses unknown keys and wrong types.
func (c *checker) check(n *node, tree map[string]any, at keyPath) {
	for _, key := range slices.Sorted(maps.Keys(tree)) {
		p, child := at.key(key), n.elem
		if n.shape == tableShape {
			child = n.keys[key]
		}
		if child == nil {
			c.unknown(n, at, key)
			delete(tree, key)
			continue
		}
		v, ok := c.value(child, tree[key], p)
		if !ok {
			delete(tree, key)
			continue
		}
		tree[key] = v
	}
}

// value checks one value and gives it back, read as the type it must have when
// it came from a variable or a flag.
func (c *checker) value(n *node, v any, p keyPath) (any, bool) {
	if at := c.places[p]; at.other != "" {
		if s, ok := v.(string); ok {
			return c.fromOutside(n, s, p)
		}
	}
	ok := false
	switch n.shape {
	case textShape:
		_, ok = v.(string)
	case intShape:
		_, ok = v.(int64)
	case boolShape:
		_, ok = v.(bool)
	case manyShape:
		if _, ok = v.(string); !ok {
			return c.list(n, v, p)
		}
	case listShape, tablesShape:
		return c.list(n, v, p)
	case tableShape, namedShape, pairsShape:
		return c.table(n, v, p)
	}
	if !ok {
		c.wrongType(n, v, p)
	}
	return v, ok
}

// wrongType shows the value, unless it may be a secret without its quotes.
func (c *checker) wrongType(n *node, v any, p keyPath) {
	what := typeName(v)
	if n.secret() || n.elem != nil && n.elem.secret() {
		what = "this"
	}
	c.add(p, "wants %s, not %s", n.wants(), what)
}

func (c *checker) table(n *node, v any, p keyPath) (any, bool) {
	table, ok := v.(map[string]any)
	if !ok {
		c.wrongType(n, v, p)
		return nil, false
	}
	if n = n.of(table); n != nil {
		c.check(n, table, p)
	}
	return table, true
}

func (c *checker) list(n *node, v any, p keyPath) (any, bool) {
	list, ok := v.([]any)
	if !ok {
		c.wrongType(n, v, p)
		return nil, false
	}
	kept := make([]any, 0, len(list))
	for i, elem := range list {
		// A refused element stays as an empty one: those behind it keep
		// their indexes.
		v, ok := c.value(n.elem, elem, p.item(i))
		if !ok {
			v = map[string]any{}
			if n.elem.shape == textShape {
				v = ""
			}
		}
		kept = append(kept, v)
	}
	return kept, true
}

// fromOutside reads the text of a variable or a flag.
func (c *checker) fromOutside(n *node, s string, p keyPath) (any, bool) {
	switch n.shape {
	case textShape, manyShape:
		return s, true
	case intShape:
		if i, err := strconv.ParseInt(s, 10, 64); err == nil {
			return i, true
		}
		c.add(p, "%q is not a whole number", s)
	case boolShape:
		if b, err := strconv.ParseBool(s); err == nil {
			return b, true
		}
		c.add(p, "%q is neither true nor false", s)
	default:
		c.add(p, "a list or table cannot be set as a whole; write it into the file")
	}
	return nil, false
}

// resolve replaces the texts that are references by what they point to, and
// reads those that have a form. Secrets are looked up too, and keep their
// reference, since they are read again later.
func (c *checker) resolve(n *node, v any, p keyPath) (any, bool) {
	switch v := v.(type) {
	case string:
		if n.shape == manyShape {
			n = n.elem
		}
		return c.text(n, v, p)
	case map[string]any:
		n = n.of(v)
		for _, key := range slices.Sorted(maps.Keys(v)) {
			if n == nil {
				break
			}
			child := n.elem
			if n.shape == tableShape {
				child = n.keys[key]
			}
			value, ok := c.resolve(child, v[key], p.key(key))
			if v[key] = value; !ok {
				delete(v, key)
			}
		}
	case []any:
		for i := range v {
			v[i], _ = c.resolve(n.elem, v[i], p.item(i))
		}
	}
	return v, true
}

func (c *checker) text(n *node, s string, p keyPath) (any, bool) {
	reference := isReference(s)
	if reference {
		value, err := lookUp(s)
		if err != nil {
			c.add(p, "%s; set it, or write another value", err)
			return "", false
		}
		if n.secret() {
			return s, true
		}
		c.via[p] = s
		s = value
	}
	if err := reads(n.typ, s); err != nil {
		if reference {
			err = fmt.Errorf("%s: %w", c.via[p], err)
		}
		c.add(p, "%s", err)
		return "", false
	}
	return s, true
}

// isReference tells a text that says where its value is kept.
func isReference(s string) bool { return strings.HasPrefix(s, "env:") || strings.HasPrefix(s, "file:") }

// lookUp reads what a reference points to.
func lookUp(ref string) (string, error) {
	var s secret.Secret
	if err := s.UnmarshalText([]byte(ref)); err != nil {
		return "", err
	}
	return s.Value()
}

// reads tries whether a text of type t can be read from s.
func reads(t reflect.Type, s string) error {
	u, ok := reflect.New(t).Interface().(encoding.TextUnmarshaler)
	if !ok {
		return nil
	}
	return u.UnmarshalText([]byte(s))
}

// typeName says in words what TOML value v is.
func typeName(v any) string {
	switch v := v.(type) {
	case string:
		return "the text " + strconv.Quote(cutText(v))
	case int64:
		return "the number " + strconv.FormatInt(v, 10)
	case float64:
		return "the number " + strconv.FormatFloat(v, 'g', -1, 64)
	case bool:
		return strconv.FormatBool(v)
	case []any:
		return "a list"
	case map[string]any:
		return "a table"
	case time.Time:
		return "a date"
	}
	return "a date or time"
}

func cutText(s string) string {
	if len(s) > 60 {
		return strings.ToValidUTF8(s[:60], "") + "…"
	}
	return s
}
