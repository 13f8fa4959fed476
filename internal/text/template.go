package text

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"text/template"
	"text/template/parse"
	"time"
)

// What one template may cost. The time is a bound on the whole; the steps, one
// for each turn of a range and each call of a function, hold on any machine.
const (
	templateSource = 16 << 10 // bytes, as written
	templateOutput = 64 << 10 // bytes, of the result and of any value on the way
	templateTime   = 250 * time.Millisecond
	templateSteps  = 100_000
)

// Names of what [ParseTemplate] puts into a template itself.
const (
	escapeFunc = "_escape"
	stepFunc   = "_step"
)

// Verbatim is text that needs no escaping: a function of
// [TemplateOptions].Funcs that writes markup returns it.
type Verbatim string

// TemplateOptions say where the result will stand.
type TemplateOptions struct {
	// Escape makes a value harmless there. It is applied to everything that an
	// action prints, but to a [Verbatim]; what stands between the actions is the
	// author's and left as it is. Nil: values are printed as they are.
	Escape func(string) string
	// Funcs are more functions, beside those of every template: and, or, not,
	// len, index, eq, ne, lt, le, gt, ge, print, println, printf, join, upper,
	// lower, cut, default, replace.
	Funcs map[string]any
}

// Template is a text/template with bounds: no function but the listed ones, no
// template inside another, an output of at most 64 KiB, 250 ms, and a key that
// is missing in a map is an error. Safe for concurrent use.
type Template struct {
	tree    *template.Template
	options TemplateOptions
}

// ParseTemplate compiles a template. Its errors, and those of
// [Template.Execute], begin with the line: "line 3: …".
func ParseTemplate(source string, o TemplateOptions) (*Template, error) {
	if len(source) > templateSource {
		return nil, fmt.Errorf("the template has more than %d KiB", templateSource>>10)
	}
	t := &Template{options: o}
	tree, err := template.New("t").Option("missingkey=error").Funcs(t.functions(newBudget())).Parse(source)
	if err != nil {
		return nil, located(err)
	}
	if len(tree.Templates()) > 1 || tree.Tree == nil {
		return nil, errors.New("line 1: define and block are not supported, or nothing is outside of them")
	}
	h := &hardener{tree: tree.Tree, allowed: t.functions(nil)}
	h.list(tree.Root)
	if h.err != nil {
		return nil, h.err
	}
	t.tree = tree
	return t, nil
}

// Execute applies the template to data.
func (t *Template) Execute(data any) (string, error) {
	b := newBudget()
	tree, err := t.tree.Clone() // functions count for one execution
	if err != nil {
		return "", err
	}
	var out strings.Builder
	if err := tree.Funcs(t.functions(b)).Execute(&boundedWriter{&out, b}, data); err != nil {
		return "", located(err)
	}
	return out.String(), nil
}

// budget is what is left of one execution.
type budget struct {
	until time.Time
	steps int
}

func newBudget() *budget { return &budget{until: time.Now().Add(templateTime), steps: templateSteps} }

// step charges one. The clock counts only from 100 steps on, so that no small
// template is refused because the host paused.
func (b *budget) step() error {
	b.steps--
	if b.steps < 0 || b.steps%100 == 0 && time.Now().After(b.until) {
		return fmt.Errorf("the template takes longer than %s or %d steps", templateTime, templateSteps)
	}
	return nil
}

type boundedWriter struct {
	out *strings.Builder
	*budget
}

func (w *boundedWriter) Write(p []byte) (int, error) {
	if w.out.Len()+len(p) > templateOutput {
		return 0, errTooLong
	}
	return w.out.Write(p)
}

var errTooLong = fmt.Errorf("the result has more than %d KiB", templateOutput>>10)

// What text/template says, and what of it people need not see.
var (
	errorPlace  = regexp.MustCompile(`^template: t:(\d+)(?::\d+)?: (?:executing "t" at )?`)
	ownFunction = regexp.MustCompile(`^<_\w+>: error calling _\w+: `)
	noField     = regexp.MustCompile(`can't evaluate field (\w+) in type [\w.*]+`)
)

// located gives the line in front of what text/template says.
func located(err error) error {
	said := err.Error()
	m := errorPlace.FindStringSubmatch(said)
	if m == nil {
		return errors.New(Plain(said, 300))
	}
	said = ownFunction.ReplaceAllString(strings.TrimPrefix(said, m[0]), "")
	said = noField.ReplaceAllString(said, "there is no field $1")
	return fmt.Errorf("line %s: %s", m[1], Plain(said, 300))
}

// hardener rewrites a parsed template: every printing action ends in the escape
// function, every turn of a range costs a step, and what is not allowed is
// refused.
type hardener struct {
	tree    *parse.Tree
	allowed template.FuncMap
	err     error
}

func (h *hardener) refuse(n parse.Node, format string, args ...any) {
	if h.err == nil {
		place, _ := h.tree.ErrorContext(n)
		line := strings.Split(place, ":")
		h.err = fmt.Errorf("line %s: %s", line[1], fmt.Sprintf(format, args...))
	}
}

func (h *hardener) list(l *parse.ListNode) {
	if l == nil {
		return
	}
	for _, n := range l.Nodes {
		h.node(n)
	}
}

func (h *hardener) node(n parse.Node) {
	switch n := n.(type) {
	case *parse.ActionNode:
		h.pipe(n.Pipe)
		if len(n.Pipe.Decl) == 0 {
			n.Pipe.Cmds = append(n.Pipe.Cmds, call(escapeFunc, n.Pos))
		}
	case *parse.IfNode:
		h.branch(&n.BranchNode)
	case *parse.WithNode:
		h.branch(&n.BranchNode)
	case *parse.RangeNode:
		h.branch(&n.BranchNode)
		step := &parse.ActionNode{NodeType: parse.NodeAction, Pos: n.Pos, Line: n.Line, Pipe: &parse.PipeNode{
			NodeType: parse.NodePipe, Pos: n.Pos, Line: n.Line, Cmds: []*parse.CommandNode{call(stepFunc, n.Pos)},
		}}
		n.List.Nodes = append([]parse.Node{step}, n.List.Nodes...)
	case *parse.TemplateNode:
		h.refuse(n, "{{template}} is not supported")
	}
}

func (h *hardener) branch(b *parse.BranchNode) {
	h.pipe(b.Pipe)
	h.list(b.List)
	h.list(b.ElseList)
}

func (h *hardener) pipe(p *parse.PipeNode) {
	for _, c := range p.Cmds {
		for _, a := range c.Args {
			h.arg(a)
		}
	}
}

func (h *hardener) arg(n parse.Node) {
	switch n := n.(type) {
	case *parse.IdentifierNode:
		if h.allowed[n.Ident] == nil && !plainBuiltin(n.Ident) || strings.HasPrefix(n.Ident, "_") {
			h.refuse(n, "function %q is not supported", n.Ident)
		}
	case *parse.PipeNode:
		h.pipe(n)
	case *parse.ChainNode:
		h.arg(n.Node)
	}
}

// plainBuiltin lists the functions of text/template that make no text and call
// nothing.
func plainBuiltin(name string) bool {
	switch name {
	case "and", "or", "not", "len", "index", "eq", "ne", "lt", "le", "gt", "ge":
		return true
	}
	return false
}

func call(name string, at parse.Pos) *parse.CommandNode {
	return &parse.CommandNode{
		NodeType: parse.NodeCommand, Pos: at,
		Args: []parse.Node{parse.NewIdentifier(name).SetPos(at)},
	}
}
