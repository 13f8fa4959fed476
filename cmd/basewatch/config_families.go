package main

import (
	"fmt"
	"strings"

	"basewatch/watcher"
	"basewatch/watcher/tags"
)

// defaultKeep is how many tags of a family are watched.
const defaultKeep = 3

// family reads the tags and keep of a [[watch]]: the pattern in its one
// spelling and how many tags are kept; nothing for a list of images.
func (b *builder) family(w watchSettings, p keyPath) (pattern string, keep int) {
	if !b.has(p.key("tags")) {
		if b.has(p.key("keep")) {
			b.add(p.key("keep"), "without tags there is nothing to keep of; set tags, such as tags = \"3.x-slim\", or take it out")
		}
		return "", 0
	}
	if w.Keep < 1 || w.Keep > watcher.KeepMax {
		b.add(p.key("keep"), "%d: between 1 and %d of the newest tags can be kept", w.Keep, watcher.KeepMax)
		w.Keep = 1
	}
	read, err := tags.ParsePattern(w.Tags)
	if err != nil {
		b.add(p.key("tags"), "%s", err)
		return "x", w.Keep // the images are checked all the same
	}
	return read.String(), w.Keep
}

// image makes one name canonical, and says what is wrong with it otherwise.
// Without a tag it names a family, and only together with a pattern.
func (b *builder) image(image, pattern string) (ref, problem string) {
	tagged := strings.LastIndexByte(image, ':') > strings.LastIndexByte(image, '/')
	_, _, marked := watcher.SplitFamily(image)
	ref, err := b.cfg.Aliases.Canonical(image)
	switch {
	case marked:
		return "", fmt.Sprintf("%s: write the repository alone, and the pattern of its tags as tags", cutQuote(image))
	case err != nil:
		return "", imageProblem(image, err)
	case pattern == "" && !tagged:
		return "", fmt.Sprintf("%q has no tag; write one, such as %q, or name a family of its tags, such as tags = \"3.x\"", image, image+":latest")
	case pattern == "":
		return ref, ""
	case tagged:
		return "", fmt.Sprintf("%q has a tag, and tags = %q names many; take out one of the two", image, pattern)
	}
	return watcher.FamilyRef(strings.TrimSuffix(ref, ":latest"), pattern), ""
}
