package main

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// Bounds on what a configuration may be.
const (
	maxConfigBytes  = 8 << 20 // of one file
	maxConfigFiles  = 1000
	maxIncludeDepth = 5
)

// fileSet reads a configuration file and those it includes into one tree.
type fileSet struct {
	*problems
	tree   map[string]any
	schema *node
	sum    hash.Hash
	// seen has the files read, by their true path.
	seen map[string]bool
	// empty are include patterns that match no file.
	empty []string
}

// readFiles reads the file top, or nothing when it is "".
func readFiles(top string, probs *problems) (*fileSet, error) {
	set := &fileSet{problems: probs, tree: map[string]any{}, schema: schema(), sum: sha256.New(), seen: map[string]bool{}}
	if top == "" {
		return set, nil
	}
	data, err := readConfigFile(top)
	if err != nil {
		return nil, err
	}
	set.addFile(top, data, nil)
	return set, nil
}

// digest4 names the bytes of all files in four letters.
func (s *fileSet) digest4() string { return hex.EncodeToString(s.sum.Sum(nil))[:4] }

// addFile takes one file's bytes, then the files that it includes. chain has the
// true paths of the files that led here.
func (s *fileSet) addFile(file string, data []byte, chain []string) {
	self := truePath(file)
	s.seen[self] = true
	_, _ = s.sum.Write(data)
	tree, ps, bad := parseTOML(file, data)
	if bad != nil {
		s.addAt(bad.at, bad.key, "%s", bad.text)
		return
	}
	patterns := s.patterns(tree, ps)
	s.unite(s.schema, s.tree, tree, "", &ps)
	for p, at := range ps {
		if _, ok := s.places[p]; !ok {
			s.places[p] = at
		}
	}
	chain = append(slices.Clip(chain), self)
	for i, pattern := range patterns {
		s.include(filepath.Dir(file), pattern, ps[keyPath("include").item(i)], chain)
	}
}

// patterns takes a file's own include list out of its tree.
func (s *fileSet) patterns(tree map[string]any, ps places) []string {
	v, ok := tree["include"]
	delete(tree, "include")
	list, isList := v.([]any)
	if ok && !isList {
		s.addAt(ps["include"], "include", "wants %s, not %s", s.schema.keys["include"].wants(), typeName(v))
	}
	patterns := make([]string, len(list))
	for i, v := range list {
		p := keyPath("include").item(i)
		text, isText := v.(string)
		if !isText {
			s.addAt(ps[p], p, "wants a text in quotes, not %s", typeName(v))
			continue
		}
		patterns[i] = s.pattern(text, p, ps[p])
	}
	return patterns
}

func (s *fileSet) pattern(text string, p keyPath, at place) string {
	if isReference(text) {
		value, err := lookUp(text)
		if err != nil {
			s.addAt(at, p, "%s; set it, or write another value", err)
			return ""
		}
		text = value
	}
	if _, err := filepath.Match(text, ""); text == "" || err != nil {
		s.addAt(at, p, `%q is no pattern of file names; write one such as "teams/*.toml"`, text)
		return ""
	}
	return text
}

// include reads the files that a pattern names, relative to dir.
func (s *fileSet) include(dir, pattern string, at place, chain []string) {
	if pattern == "" {
		return
	}
	full := pattern
	if !filepath.IsAbs(pattern) {
		full = filepath.Join(dir, pattern)
	}
	files, _ := filepath.Glob(full)
	glob := strings.ContainsAny(pattern, "*?[")
	if len(files) == 0 && glob {
		s.empty = append(s.empty, fmt.Sprintf("%s: include: %q matches no file", at, pattern))
	} else if len(files) == 0 {
		s.addAt(at, "include", "%q: there is no such file; create it, or take it out", full)
	}
	for _, file := range files {
		if glob && truePath(file) == chain[len(chain)-1] {
			continue // "*.toml" also matches the file that says so
		}
		if why := s.refuse(file, chain); why != "" {
			s.addAt(at, "include", "%q: %s", file, why)
			continue
		}
		if s.seen[truePath(file)] {
			continue
		}
		data, err := readConfigFile(file)
		if err != nil {
			s.addAt(at, "include", "%s", err)
			continue
		}
		s.addFile(file, data, chain)
	}
}

// refuse says why a file cannot be included by the last of chain.
func (s *fileSet) refuse(file string, chain []string) string {
	switch {
	case slices.Contains(chain, truePath(file)):
		return "includes itself, by " + strings.Join(append(baseNames(chain), filepath.Base(file)), " → ") + "; take one include out"
	case len(chain) > maxIncludeDepth:
		return fmt.Sprintf("more than %d includes inside each other; include it from a file further up", maxIncludeDepth)
	case len(s.seen) >= maxConfigFiles:
		return fmt.Sprintf("more than %d files; join some", maxConfigFiles)
	}
	return ""
}

// unite adds one file's settings to those of the files before it: tables
// unite, lists append, and what was set before is refused. Named tables do not
// unite: a receiver that two files define is a mistake.
func (s *fileSet) unite(n *node, dst, src map[string]any, at keyPath, ps *places) {
	for _, key := range slices.Sorted(maps.Keys(src)) {
		p, v := at.key(key), src[key]
		old, there := dst[key]
		if !there {
			dst[key] = v
			continue
		}
		oldTable, wasTable := old.(map[string]any)
		table, isTable := v.(map[string]any)
		oldList, wasList := old.([]any)
		list, isList := v.([]any)
		child := n.child(key)
		switch {
		case wasList && isList:
			*ps = ps.shift(p, len(oldList))
			dst[key] = append(oldList, list...)
		case wasTable && isTable && (n == nil || n.shape != namedShape):
			s.unite(child, oldTable, table, p, ps)
		default:
			s.addAt((*ps)[p], p, "already set at %s; keep one of the two", s.places.find(p))
		}
	}
}

// child is the schema of a key, or nil where none is known.
func (n *node) child(key string) *node {
	switch {
	case n == nil:
		return nil
	case n.shape == tableShape:
		return n.keys[key]
	}
	return n.elem
}

func readConfigFile(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	defer func() { _ = f.Close() }()
	data, err := io.ReadAll(io.LimitReader(f, maxConfigBytes+1))
	if err != nil {
		return nil, fmt.Errorf("reading the configuration: %w", err)
	}
	if len(data) > maxConfigBytes {
		return nil, fmt.Errorf("reading the configuration: %s is larger than %d MiB; is it the right file?", path, maxConfigBytes>>20)
	}
	return data, nil
}

// truePath tells whether two names mean the same file.
func truePath(file string) string {
	if abs, err := filepath.Abs(file); err == nil {
		file = abs
	}
	if target, err := filepath.EvalSymlinks(file); err == nil {
		file = target
	}
	return file
}

func baseNames(files []string) []string {
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = filepath.Base(f)
	}
	return names
}
