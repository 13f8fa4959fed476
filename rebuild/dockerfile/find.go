package dockerfile

import (
	"encoding/csv"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/moby/buildkit/frontend/dockerfile/parser"
)

// Find gives the images that the file names, in its order, repeats included.
// args are build arguments that are known, as docker build --build-arg passes
// them; TARGETPLATFORM and its kin may be among them and are those of a build
// for linux/amd64 otherwise. Neither content nor args is changed or kept.
//
// What depends on anything else comes as [Unresolved]. It is an error if the
// file is larger than [MaxSize], no text, or so broken that no build would begin
// with it: then nothing was found.
func Find(content []byte, args map[string]string) ([]Reference, []Unresolved, error) {
	content, err := readable(content)
	if err != nil {
		return nil, nil, err
	}
	tree, err := parse(content)
	if err != nil {
		return nil, nil, err
	}
	f := &finder{
		scope: newScope(tree.EscapeToken, args),
		lines: strings.Split(string(content), "\n"),
		named: map[string]int{},
	}
	if image, line := syntaxLine(content); image != "" {
		f.add(image, Syntax, &value{text: image, line: line})
	}
	for _, n := range tree.AST.Children {
		f.instruction(n, n.StartLine)
	}
	if f.scope.left < 0 {
		return nil, nil, errGiven
	}
	f.markFinal()
	found, open := f.split()
	return found, open, nil
}

const (
	scratch = "scratch"
	none    = -1
)

// finder walks over a file once and collects.
type finder struct {
	scope  *scope
	lines  []string
	stages []stage
	named  map[string]int // stages by name, in lower case
	places []place
}

// stage is one FROM.
type stage struct {
	on    int // the stage that it stands on, or none
	place int // its image in finder.places, or none
}

// place is where an image is named, unless it turns out to be a stage.
type place struct {
	written string
	kind    Kind
	value   *value
}

func (f *finder) add(written string, kind Kind, v *value) int {
	f.places = append(f.places, place{written, kind, v})
	return len(f.places) - 1
}

// instruction takes what it knows. line is that of n, or of the ONBUILD that it
// is in.
func (f *finder) instruction(n *parser.Node, line int) {
	switch strings.ToLower(n.Value) {
	case "arg":
		if len(f.stages) == 0 {
			for w := n.Next; w != nil; w = w.Next {
				f.scope.declare(w.Value, line)
			}
		}
	case "from":
		f.from(n, line)
	case "onbuild":
		f.onbuild(n, line)
	default:
		f.places = append(f.places, sources(n, line)...)
	}
}

func (f *finder) from(n *parser.Node, line int) {
	words := wordsOf(n)
	if len(words) == 0 {
		return
	}
	st := stage{on: none, place: none}
	v := f.scope.expand(words[0], line)
	parent, isStage := f.named[strings.ToLower(v.text)]
	switch {
	case v.ok() && isStage:
		st.on = parent
	case v.ok() && v.text == scratch, ignored(f.lines, line):
	default:
		st.place = f.add(words[0], StageBase, v)
	}
	f.stages = append(f.stages, st)
	if len(words) > 2 && strings.EqualFold(words[1], "as") {
		f.named[strings.ToLower(words[2])] = len(f.stages) - 1
	}
}

var stageName = regexp.MustCompile(`^[a-z][a-z0-9-_.]*$`)

// onbuild takes what will be copied or mounted in builds FROM this image. There
// a plain word may well be a stage of that other file, so it is left out.
func (f *finder) onbuild(n *parser.Node, line int) {
	if n.Next == nil || len(n.Next.Children) == 0 {
		return
	}
	for _, p := range sources(n.Next.Children[0], line) {
		if !stageName.MatchString(strings.ToLower(p.value.text)) {
			f.places = append(f.places, p)
		}
	}
}

// sources are the images, stages or numbers of stages that a COPY or RUN names.
func sources(n *parser.Node, line int) (found []place) {
	instruction := strings.ToLower(n.Value)
	for _, flag := range n.Flags {
		name, text, _ := strings.Cut(flag, "=")
		kind := CopyFrom
		switch {
		case instruction == "run" && name == "--mount":
			kind, text = MountFrom, mountedFrom(text)
		case instruction != "copy" || name != "--from":
			continue
		}
		if text == "" {
			continue
		}
		v := &value{text: text, line: line}
		if strings.Contains(text, "$") {
			v.err = fmt.Errorf("%s takes no variables: name a stage instead, FROM %s AS …", name, text)
		}
		found = append(found, place{text, kind, v})
	}
	return found
}

// mountedFrom finds from=image in type=bind,from=image,target=/x.
func mountedFrom(mount string) (image string) {
	fields, err := csv.NewReader(strings.NewReader(mount)).Read()
	if err != nil {
		return ""
	}
	for _, field := range fields {
		switch key, text, _ := strings.Cut(field, "="); strings.ToLower(key) {
		case "from":
			image = text
		case "type":
			if t := strings.ToLower(text); t == "secret" || t == "ssh" || t == "tmpfs" {
				return ""
			}
		}
	}
	return image
}

// markFinal follows the last stage down to its image.
func (f *finder) markFinal() {
	if len(f.stages) == 0 {
		return
	}
	last := f.stages[len(f.stages)-1]
	for last.on != none { // always an earlier one
		last = f.stages[last.on]
	}
	if last.place != none {
		f.places[last.place].kind = FinalBase
	}
}

// split tells the references from the open ones and drops what is no image. It
// comes last, because a COPY may name any stage.
func (f *finder) split() (found []Reference, open []Unresolved) {
	for _, p := range f.places {
		if !p.value.ok() {
			needs, reason := f.scope.needs(p.value)
			open = append(open, Unresolved{Written: p.written, Kind: p.kind, Line: p.value.line, Needs: needs, Reason: reason})
			continue
		}
		if (p.kind == CopyFrom || p.kind == MountFrom) && f.internal(p.value.text) {
			continue
		}
		r := newReference(p.value.text)
		if r.Image == "" { // "@", ":x": no build takes it
			open = append(open, Unresolved{Written: p.written, Kind: p.kind, Line: p.value.line, Reason: "names no image"})
			continue
		}
		r.Kind, r.Line = p.kind, p.value.holder(r.Digest)
		found = append(found, r)
	}
	return found, open
}

// internal reports whether a name of COPY or RUN is no image: a stage, by name
// or number, or scratch.
func (f *finder) internal(name string) bool {
	_, isStage := f.named[strings.ToLower(name)]
	_, err := strconv.Atoi(name)
	return isStage || err == nil || name == scratch
}

func wordsOf(n *parser.Node) (words []string) {
	for w := n.Next; w != nil; w = w.Next {
		words = append(words, w.Value)
	}
	return words
}
