package text

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"strings"
	"text/template"
	"time"
)

// functions are those of one execution: each call costs a step of b.
func (t *Template) functions(b *budget) template.FuncMap {
	fs := template.FuncMap{
		escapeFunc: func(v any) (string, error) { return t.printed(b, v) },
		stepFunc:   func() (Verbatim, error) { return "", b.step() },
		"print":    func(vs ...any) (string, error) { return b.bounded(fmt.Sprint(shown(vs)...)) },
		"println":  func(vs ...any) (string, error) { return b.bounded(fmt.Sprintln(shown(vs)...)) },
		"printf":   b.printf,
		"join":     func(sep string, list []string) (string, error) { return b.bounded(strings.Join(list, sep)) },
		"upper":    func(s string) (string, error) { return b.bounded(strings.ToUpper(s)) },
		"lower":    func(s string) (string, error) { return b.bounded(strings.ToLower(s)) },
		"cut":      func(limit int, s string) (string, error) { return b.bounded(Cut(s, limit)) },
		"default":  func(otherwise, s string) (string, error) { return b.bounded(orElse(s, otherwise)) },
		"replace":  b.replace,
	}
	maps.Copy(fs, t.options.Funcs)
	return fs
}

// printed is a value as it stands in the result.
func (t *Template) printed(b *budget, v any) (string, error) {
	if safe, ok := v.(Verbatim); ok {
		return b.bounded(string(safe))
	}
	s, err := b.bounded(show(v))
	if err != nil || t.options.Escape == nil {
		return s, err
	}
	return b.bounded(t.options.Escape(s))
}

// bounded charges a step for s and refuses it when it is too long.
func (b *budget) bounded(s string) (string, error) {
	if err := b.step(); err != nil {
		return "", err
	}
	if len(s) > templateOutput {
		return "", errTooLong
	}
	return s, nil
}

// wide finds a width or precision of three digits or one that is an argument:
// fmt would pad a word to a megabyte.
var wide = regexp.MustCompile(`%[^a-zA-Z%]*(\*|[0-9]{3})`)

func (b *budget) printf(format string, vs ...any) (string, error) {
	if wide.MatchString(format) {
		return "", errors.New("printf: a width must have one or two digits")
	}
	return b.bounded(fmt.Sprintf(format, shown(vs)...))
}

func (b *budget) replace(old, with, s string) (string, error) {
	if len(s)+strings.Count(s, old)*len(with) > templateOutput {
		return "", errTooLong
	}
	return b.bounded(strings.ReplaceAll(s, old, with))
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// shown prepares values for fmt: numbers and truth stay what they are.
func shown(vs []any) []any {
	out := make([]any, len(vs))
	for i, v := range vs {
		switch v.(type) {
		case []string, time.Time, Verbatim:
			out[i] = show(v)
		default:
			out[i] = v
		}
	}
	return out
}

// show is how a value reads.
func show(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case Verbatim:
		return string(v)
	case []string:
		return strings.Join(v, ", ")
	case time.Time:
		if v.IsZero() {
			return ""
		}
		return v.UTC().Format("2006-01-02 15:04 UTC")
	}
	return fmt.Sprint(v)
}
