package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"basewatch/rebuild/dockerfile"
	"basewatch/watcher"
)

// isFile reports whether an argument means a file and not an image. What is
// written as a path always does, and so does what is called like a Dockerfile
// and could be no image, so that a slip in it is told as one of a path. All else
// must be there: and a file called alpine is not meant by alpine, but by ./alpine.
func isFile(arg string) bool {
	if writtenAsPath(arg) {
		return true
	}
	image, _, _ := strings.Cut(arg, "@")
	_, err := watcher.ParseReference(image)
	named, couldBeImage := namedLikeDockerfile(arg), err == nil
	if named && !couldBeImage {
		return true
	}
	info, err := os.Stat(arg)
	return err == nil && info.Mode().IsRegular() && (named || !couldBeImage)
}

func writtenAsPath(arg string) bool {
	return filepath.IsAbs(arg) || slices.ContainsFunc([]string{"./", "../", `.\`, `..\`}, func(begin string) bool {
		return strings.HasPrefix(arg, begin)
	})
}

func namedLikeDockerfile(arg string) bool {
	base := filepath.Base(arg)
	return slices.ContainsFunc([]string{"Dockerfile*", "Containerfile*", "*.Dockerfile", "*.dockerfile"}, func(pattern string) bool {
		ok, err := filepath.Match(pattern, base)
		return ok && err == nil
	})
}

// questionsOfFile asks for each image that a Dockerfile stands on, once however
// often it is named. What cannot be asked for has its answer already.
func questionsOfFile(cfg *Config, path string) ([]question, error) {
	content, err := readDockerfile(path)
	if err != nil {
		return nil, fmt.Errorf("look for images in %s: %w", path, err)
	}
	found, open, err := dockerfile.Find(content, nil)
	if err != nil {
		return nil, fmt.Errorf("look for images in %s: %w", path, err)
	}
	if len(found)+len(open) == 0 {
		return nil, fmt.Errorf("look for images in %s: there is none: each FROM is scratch, a stage of the file, or marked # basewatch: ignore", path)
	}
	var qs []question
	for _, r := range found {
		q := questionOf(cfg, r, fmt.Sprintf("%s:%d", path, r.Line))
		if !slices.ContainsFunc(qs, q.same) {
			qs = append(qs, q)
		}
	}
	for _, u := range open {
		why := fmt.Sprintf("%s:%d: %s", path, u.Line, u.Reason)
		if len(u.Needs) > 0 {
			why += "; give its ARG a default to have it checked"
		}
		qs = append(qs, question{asked: u.Written, answer: &finding{Image: u.Written, Error: why}})
	}
	return qs, nil
}

// readDockerfile reads a little more than [dockerfile.Find] takes, for it to say
// so. A pipe or a device could keep us for ever.
func readDockerfile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		return nil, errors.New("this is a directory; name the Dockerfile in it")
	}
	if !info.Mode().IsRegular() {
		return nil, errors.New("this is no regular file")
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, dockerfile.MaxSize+1))
}

var wellFormedDigest = regexp.MustCompile(`^[a-z0-9]+(?:[+._-][a-z0-9]+)*:[0-9a-fA-F]{32,}$`)

func questionOf(cfg *Config, r dockerfile.Reference, where string) question {
	q := question{asked: r.String(), pin: r.Digest, where: where}
	ref, err := cfg.Aliases.Canonical(r.Tagged())
	switch {
	case err != nil:
		q.answer = &finding{Image: r.String(), Error: where + ": " + err.Error()}
	case r.Digest == "":
		q.ref = ref
	case !wellFormedDigest.MatchString(r.Digest):
		q.answer = &finding{Image: r.Tagged(), Error: fmt.Sprintf("%s pins %q, which is no digest", where, r.Digest)}
	case r.Tag == "":
		// To compare it with latest would call a pin of any other tag behind.
		q.answer = &finding{Image: r.Image, Note: fmt.Sprintf(
			"%s pins %s without a tag: nothing to compare; write %s:TAG@…", where, watcher.Digest12(r.Digest), r.Image)}
	default:
		q.ref = ref
	}
	return q
}

// same reports whether one of two questions is enough.
func (q question) same(other question) bool {
	if q.answer != nil || other.answer != nil {
		return q.asked == other.asked && (q.answer == nil) == (other.answer == nil)
	}
	return q.ref == other.ref && q.pin == other.pin
}

// answered takes out the questions that need no look, and gives their answers.
func answered(qs []question) (ask []question, told []finding) {
	for _, q := range qs {
		if q.answer != nil {
			told = append(told, *q.answer)
		} else {
			ask = append(ask, q)
		}
	}
	return ask, told
}
