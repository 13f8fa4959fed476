package dockerfile

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/moby/buildkit/frontend/dockerfile/shell"
)

const (
	// maxWord bounds a reference and the default of an ARG, in bytes, before
	// and after expansion. References that registries take are shorter.
	maxWord = 1024
	// maxGiven bounds what all variables of a file may give, in bytes; each use
	// counts as useCost more.
	maxGiven = 4 << 20
	useCost  = 16
	// maxTried is how many unset variables of a word are tried one by one.
	maxTried = 16
	// maxHops is how many ARGs are gone through to the one that holds a value.
	maxHops = 16
)

var errGiven = errors.New("its ARGs expand to too much text")

// value is a text after expansion, and what became of it on the way.
type value struct {
	text string
	// line is where it is written; 0: not in the file.
	line int
	// parts are the variables that it was made with.
	parts []*value
	// lacks are the variables without a value that it depends on, sorted.
	lacks []string
	// err is why it could not be expanded.
	err error
}

// ok reports whether the text is what a build would see.
func (v *value) ok() bool { return v.err == nil && len(v.lacks) == 0 && v.text != "" }

// holder is the line to change for another digest, or for another text if there
// is no digest: that of v, or of the variable that has it whole.
func (v *value) holder(digest string) int {
	for range maxHops {
		i := slices.IndexFunc(v.parts, func(p *value) bool {
			return p.line > 0 && (p.text == v.text || digest != "" && strings.Contains(p.text, digest))
		})
		if i < 0 {
			break
		}
		v = v.parts[i]
	}
	return v.line
}

// scope has the variables that a FROM can use: the platforms and the ARGs
// before the first FROM. It is the lexer's environment.
type scope struct {
	lex      *shell.Lex
	escape   string
	given    map[string]string
	values   map[string]*value
	declared map[string]bool
	left     int // of maxGiven
	longest  int // value so far

	// While it is being found out whether a word depends on a variable, that
	// one has another text.
	tried, instead string
}

var _ shell.EnvGetter = (*scope)(nil)

func newScope(escape rune, given map[string]string) *scope {
	s := &scope{
		lex: shell.NewLex(escape), escape: string(escape), given: given,
		values: map[string]*value{}, declared: map[string]bool{}, left: maxGiven,
	}
	for name, text := range platformArgs(given) {
		s.values[name] = &value{text: text}
		s.declared[name] = true
	}
	return s
}

// platformArgs are the variables that a build sets by itself, for linux/amd64
// if no other platform is given.
func platformArgs(given map[string]string) map[string]string {
	args := map[string]string{"TARGETSTAGE": "default"}
	for _, side := range []string{"BUILD", "TARGET"} {
		platform := given[side+"PLATFORM"]
		if platform == "" {
			platform = "linux/amd64"
		}
		part := strings.SplitN(platform+"//", "/", 4)
		args[side+"PLATFORM"] = platform
		args[side+"OS"], args[side+"ARCH"], args[side+"VARIANT"] = part[0], part[1], part[2]
		args[side+"OSVERSION"] = ""
	}
	for name := range args {
		if text, ok := given[name]; ok {
			args[name] = text
		}
	}
	return args
}

// declare takes one word of an ARG: NAME or NAME=default.
func (s *scope) declare(word string, line int) {
	name, text, has := strings.Cut(word, "=")
	s.declared[name] = true
	var v *value
	if given, ok := s.given[name]; ok {
		v = &value{text: given}
	} else if has {
		v = s.expand(text, line)
	} else {
		return
	}
	s.values[name] = v
	s.longest = max(s.longest, len(v.text))
}

// expand gives the word as a build would see it.
func (s *scope) expand(word string, line int) *value {
	v := &value{line: line}
	if v.err = s.refuse(word); v.err != nil {
		return v
	}
	r, err := s.lex.ProcessWordWithMatches(word, s)
	if err == nil && len(r.Result) > maxWord {
		r.Result, err = "", fmt.Errorf("expands to more than %d bytes", maxWord)
	}
	v.text, v.err = r.Result, err
	for _, name := range slices.Sorted(maps.Keys(r.Matched)) {
		part := s.values[name]
		v.parts = append(v.parts, part)
		if (part.err != nil || len(part.lacks) > 0) && s.matters(name, word, r.Result, err) {
			v.lacks = append(v.lacks, part.lacks...)
			if v.err == nil {
				v.err = part.err
			}
		}
	}
	unset := slices.Sorted(maps.Keys(r.Unmatched))
	for _, name := range unset {
		if bare(word, name) && (len(unset) > maxTried || s.matters(name, word, r.Result, err)) {
			v.lacks = append(v.lacks, name)
		}
	}
	slices.Sort(v.lacks)
	v.lacks = slices.Compact(v.lacks)
	return v
}

// replaces finds ${NAME/, where NAME may be what the lexer takes for one.
var replaces = regexp.MustCompile(`\$\{(?:[\pL\pN_]*|[@*#?$!-])/`)

// refuse keeps from the lexer what would grow without bound: a replacement
// within a replacement multiplies, and 100 fit into a word. To see one, the word
// must have no quotes and no escapes that could hide a brace. A single one can
// put as much as the word in place of each byte of a value, and pays for that.
func (s *scope) refuse(word string) error {
	if len(word) > maxWord {
		return fmt.Errorf("longer than %d bytes", maxWord)
	}
	if s.left < 0 {
		return errGiven
	}
	if !replaces.MatchString(word) {
		return nil
	}
	depth := 0
	for i, c := range word {
		switch {
		case strings.ContainsRune(`'"`+s.escape, c), c == '$' && depth > 0:
			return errors.New("${NAME/pattern/text} is expanded only without quotes, escapes and variables in it")
		case c == '{' && i > 0 && word[i-1] == '$':
			depth++
		case c == '}':
			depth = max(depth-1, 0)
		}
	}
	if s.left -= len(word) * s.longest; s.left < 0 {
		return errGiven
	}
	return nil
}

// matters reports whether the word comes out as another one if the variable has
// another value: in ${A:-$B} B does not, as long as A is set. Of a word that
// could not be expanded, that it then can. The word was expanded to text or err.
func (s *scope) matters(name, word, text string, err error) bool {
	s.tried, s.instead = name, "other"
	if v := s.values[name]; v != nil {
		s.instead += v.text
	}
	defer func() { s.tried = "" }()
	after, _, failed := s.lex.ProcessWord(word, s)
	if err != nil {
		return failed == nil
	}
	return failed != nil || after != text
}

// bare reports whether the word uses the variable so that it must have a value:
// $X, ${X}, ${X:?why} or a part of it, not ${X:-default} or ${X:+text}.
func bare(word, name string) bool {
	for rest := word; ; {
		i := strings.Index(rest, "$")
		if i < 0 {
			return false
		}
		rest = rest[i+1:]
		inBraces := strings.HasPrefix(rest, "{")
		after, found := strings.CutPrefix(strings.TrimPrefix(rest, "{"), name)
		switch next, _ := utf8.DecodeRuneInString(after); {
		case !found:
		case inBraces && slices.ContainsFunc(needing, func(op string) bool { return strings.HasPrefix(after, op) }):
			return true
		case !inBraces && next != '_' && !unicode.IsLetter(next) && !unicode.IsDigit(next):
			return true
		}
	}
}

// needing are what can follow a name in braces that must have a value.
var needing = []string{"}", "%", "#", "/", "?", ":?"}

// Get implements [shell.EnvGetter].
func (s *scope) Get(name string) (text string, set bool) {
	if name == s.tried && name != "" {
		return s.instead, true
	}
	v := s.values[name]
	if v == nil || s.left < 0 {
		return "", false
	}
	s.left -= len(v.text) + useCost
	return v.text, true
}

// Keys implements [shell.EnvGetter].
func (s *scope) Keys() []string { return slices.Sorted(maps.Keys(s.values)) }

// needs are the build arguments that would give v a value, and why it has none.
func (s *scope) needs(v *value) (args []string, reason string) {
	var unknown []string
	for _, name := range v.lacks {
		if s.declared[name] {
			args = append(args, name)
		} else {
			unknown = append(unknown, name)
		}
	}
	var reasons []string
	if len(args) > 0 {
		reasons = append(reasons, "needs build-arg "+strings.Join(args, ", "))
	}
	if len(unknown) > 0 {
		reasons = append(reasons, "no ARG "+strings.Join(unknown, ", ")+" before the first FROM")
	}
	switch {
	case len(reasons) > 0:
	case v.err != nil:
		reasons = append(reasons, v.err.Error())
	default:
		reasons = append(reasons, "expands to nothing")
	}
	return args, strings.Join(reasons, "; ")
}
