package tags

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// maxTerms bounds what a constraint is made of.
const maxTerms = 20

// constraintText is a constraint as it is read.
type constraintText struct {
	normal, shown [][]string // terms by alternative: >=22.4, and as written >=22.04
	prefix        string
	suffix        string
	numbers       int // of the longest version in it
	terms         int
}

// parseConstraint reads comparisons that must all hold, alternatives between
// ||, and a suffix at the end or behind each version.
func parseConstraint(s string) (Pattern, error) {
	var c constraintText
	for alternative := range strings.SplitSeq(s, "||") {
		c.normal, c.shown = append(c.normal, nil), append(c.shown, nil)
		for _, word := range words(alternative) {
			if err := c.term(word); err != nil {
				return Pattern{}, fmt.Errorf("%s: %w", quoted(s), err)
			}
		}
		if c.normal[len(c.normal)-1] == nil {
			return Pattern{}, fmt.Errorf("%s: a comparison is missing; write one such as >=3.18 <4", quoted(s))
		}
	}
	return c.pattern(s)
}

// words splits at blanks and commas, and puts a comparison and its version
// together again.
func words(s string) []string {
	fields := strings.FieldsFunc(s, func(r rune) bool { return r == ' ' || r == ',' })
	var out []string
	for _, f := range fields {
		if n := len(out); n > 0 && strings.Trim(out[n-1], "<>=!~^") == "" {
			out[n-1] += f
			continue
		}
		out = append(out, f)
	}
	return out
}

// term reads one comparison, or the suffix, into the last alternative.
func (c *constraintText) term(word string) error {
	if c.terms++; c.terms > maxTerms {
		return fmt.Errorf("more than %d comparisons", maxTerms)
	}
	if strings.HasPrefix(word, "-") {
		return c.takeSuffix(word)
	}
	m := regexp.MustCompile(`^([<>=!~^]*)(v?)([0-9]{1,9}(?:\.[0-9]{1,9})*)(-.+)?$`).FindStringSubmatch(word)
	if m == nil {
		return fmt.Errorf("%s is no comparison; write one such as >=3.18 or ^3.18", quoted(word))
	}
	operator, prefix, version, suffix := cmp.Or(m[1], "="), m[2], m[3], m[4]
	numbers := strings.Split(version, ".")
	switch {
	case !slices.Contains([]string{"=", "!=", ">", ">=", "<", "<=", "~", "~>", "^"}, operator):
		return fmt.Errorf("%s is no comparison; known are = != > >= < <= ~ ^", quoted(operator))
	case len(numbers) > 3:
		return fmt.Errorf("%s has more than three numbers; name it by a pattern with x instead", quoted(version))
	case c.numbers > 0 && prefix != c.prefix:
		return errors.New("some versions begin with v and some do not; tags are of one sort")
	}
	c.prefix, c.numbers = prefix, max(c.numbers, len(numbers))
	for i, n := range numbers {
		numbers[i] = decimal(n)
	}
	last := len(c.normal) - 1
	c.normal[last] = append(c.normal[last], operator+strings.Join(numbers, "."))
	c.shown[last] = append(c.shown[last], operator+prefix+version)
	return c.takeSuffix(suffix)
}

// decimal drops leading zeros: semver has none, 22.04 has.
func decimal(s string) string {
	n, _ := strconv.ParseUint(s, 10, 64)
	return strconv.FormatUint(n, 10)
}

func (c *constraintText) takeSuffix(suffix string) error {
	switch {
	case suffix == "":
	case c.suffix != "" && c.suffix != suffix:
		return fmt.Errorf("two suffixes, %s and %s; a family has one", quoted(c.suffix), quoted(suffix))
	default:
		c.suffix = suffix
	}
	return nil
}

// pattern makes the pattern: any tag with so many numbers and that suffix, that
// the constraint holds for.
func (c *constraintText) pattern(s string) (Pattern, error) {
	if loneX(c.suffix) {
		return Pattern{}, suffixError(s, c.suffix)
	}
	template := c.prefix + "x" + strings.Repeat(".x", c.numbers-1) + c.suffix
	p, err := parseTemplate(template)
	if err != nil {
		return Pattern{}, err
	}
	if p.tag.Prerelease() || len(p.tag.numbers) != c.numbers {
		return Pattern{}, fmt.Errorf("%s: %s is no suffix; prereleases and dates cannot be compared so, name them by a pattern with x", quoted(s), quoted(c.suffix))
	}
	normal, shown := make([]string, len(c.normal)), make([]string, len(c.shown))
	for i := range c.normal {
		normal[i], shown[i] = strings.Join(c.normal[i], ", "), strings.Join(c.shown[i], " ")
	}
	if p.constraint, err = semver.NewConstraint(strings.Join(normal, " || ")); err != nil {
		return Pattern{}, fmt.Errorf("%s: %w; write a constraint such as >=3.18 <4", quoted(s), err)
	}
	p.written = strings.Join(shown, " || ")
	if c.suffix != "" {
		p.written += " " + c.suffix
	}
	return p, nil
}
