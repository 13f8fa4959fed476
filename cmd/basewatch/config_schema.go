package main

import (
	"encoding"
	"reflect"
	"slices"
	"strings"

	"basewatch/internal/secret"
)

// shape is what may stand at a key.
type shape int

// The shapes.
const (
	textShape   shape = iota // a string; [node.typ] may read it further
	intShape                 // a whole number
	boolShape                // true or false
	listShape                // a list of strings
	manyShape                // a string or a list of strings
	tableShape               // a table whose keys are known
	namedShape               // a table of tables that users name
	pairsShape               // a table of strings (or lists) that users name
	tablesShape              // [[a list of tables]]
)

// node is the schema of one key. It is made from the types of [settings], so
// that a key cannot be read and be unknown, or the other way round.
type node struct {
	shape shape
	typ   reflect.Type     // of a text
	keys  map[string]*node // of a table
	order []string         // of its keys: as the struct has them
	elem  *node            // of lists, pairs and tables of tables
	// variant makes the schema of a table whose keys depend on one of them;
	// nil when that one is missing or wrong.
	variant func(table map[string]any) *node
}

// schema is the whole configuration's.
func schema() *node { return nodeOf(reflect.TypeFor[settings]()) }

func nodeOf(t reflect.Type) *node {
	switch {
	case t == reflect.TypeFor[rawReceiver]():
		return &node{shape: tableShape, variant: receiverNode}
	case t == reflect.TypeFor[oneOrMore]():
		return &node{shape: manyShape, elem: nodeOf(reflect.TypeFor[string]())}
	case reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()):
		return &node{shape: textShape, typ: t}
	}
	switch t.Kind() {
	case reflect.Struct:
		n := &node{shape: tableShape, keys: map[string]*node{}}
		n.addFields(t)
		return n
	case reflect.Map:
		elem := nodeOf(t.Elem())
		if elem.shape == tableShape {
			return &node{shape: namedShape, elem: elem}
		}
		return &node{shape: pairsShape, elem: elem}
	case reflect.Slice:
		elem := nodeOf(t.Elem())
		switch {
		case elem.shape == tableShape:
			return &node{shape: tablesShape, elem: elem}
		case elem.secret():
			return &node{shape: manyShape, elem: elem}
		}
		return &node{shape: listShape, elem: elem}
	case reflect.Bool:
		return &node{shape: boolShape}
	case reflect.Int:
		return &node{shape: intShape}
	}
	return &node{shape: textShape, typ: t}
}

func (n *node) addFields(t reflect.Type) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, squash := fieldKey(f)
		switch {
		case squash:
			n.addFields(f.Type)
		case name != "":
			n.keys[name] = nodeOf(f.Type)
			n.order = append(n.order, name)
		}
	}
}

// fieldKey gives a field's key. A field without the tag is no setting.
func fieldKey(f reflect.StructField) (name string, squash bool) {
	name, opts, _ := strings.Cut(f.Tag.Get("koanf"), ",")
	if name == "-" {
		name = ""
	}
	return name, slices.Contains(strings.Split(opts, ","), "squash")
}

// of resolves a variant for the table that stands there.
func (n *node) of(table map[string]any) *node {
	if n.variant != nil {
		return n.variant(table)
	}
	return n
}

// secret reports a text that must not be seen.
func (n *node) secret() bool {
	return n.shape == textShape && n.typ == reflect.TypeFor[secret.Secret]()
}

// wants says in words what may stand there.
func (n *node) wants() string {
	switch n.shape {
	case intShape:
		return "a whole number"
	case boolShape:
		return "true or false, without quotes"
	case listShape:
		return `a list such as ["a", "b"]`
	case manyShape:
		return `a text in quotes, or a list such as ["a", "b"]`
	case tableShape, namedShape:
		return "a table"
	case pairsShape:
		return `a table such as { key = "value" }`
	case tablesShape:
		return "tables, each under its own [[…]] line"
	}
	return "a text in quotes"
}
