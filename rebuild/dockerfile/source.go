package dockerfile

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// MaxSize is how many bytes a file may have.
const MaxSize = 1 << 20

// maxSubstitutions is how many ${…} a file may have. BuildKit's lexer copies a
// nested one once per level, so a megabyte of them would keep it busy for hours.
const maxSubstitutions = 4096

var (
	errTooBig       = fmt.Errorf("more than %d KiB: this is no Dockerfile", MaxSize>>10)
	errNotText      = errors.New("not UTF-8 text: save it without NUL bytes, as UTF-8 rather than UTF-16")
	errSubstitution = fmt.Errorf("more than %d ${…} in one file", maxSubstitutions)
)

// readable gives what is safe to parse. Stray bytes of another encoding, as in
// an old comment, become U+FFFD: the scanner under BuildKit's lexer would write
// of them to standard error.
func readable(content []byte) ([]byte, error) {
	switch {
	case len(content) > MaxSize:
		return nil, errTooBig
	case bytes.IndexByte(content, 0) >= 0:
		return nil, errNotText
	case bytes.Count(content, []byte("${")) > maxSubstitutions:
		return nil, errSubstitution
	}
	content = bytes.TrimPrefix(content, []byte("\ufeff"))
	return bytes.ToValidUTF8(content, []byte("\ufffd")), nil
}

// parse gives the instructions of a file.
func parse(content []byte) (*parser.Result, error) {
	tree, err := parser.Parse(bytes.NewReader(content))
	if err == nil {
		return tree, nil
	}
	var at *parser.LocationError
	if errors.As(err, &at) && len(at.Locations) > 0 && len(at.Locations[0]) > 0 {
		if line := at.Locations[0][0].Start.Line; line > 0 {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
	return nil, err
}

// syntaxLine finds "# syntax=image" in the head of a file.
func syntaxLine(content []byte) (image string, line int) {
	image, _, at, ok := parser.DetectSyntax(content)
	if !ok {
		return "", 0
	}
	if len(at) > 0 {
		line = at[0].Start.Line
	}
	return image, max(line, 1)
}

var ignoreMark = regexp.MustCompile(`^#+\s*basewatch:\s*ignore(?:\s|$)`)

// ignored reports whether the comment that ends directly above the line (from
// 1) has our mark. The parser's own list of comments will not do: it reaches
// over blank lines.
func ignored(lines []string, line int) bool {
	for i := min(line-1, len(lines)) - 1; i >= 0; i-- {
		text := strings.TrimSpace(lines[i])
		if !strings.HasPrefix(text, "#") {
			return false
		}
		if ignoreMark.MatchString(text) {
			return true
		}
	}
	return false
}
