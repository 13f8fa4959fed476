package dockerfile_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"basewatch/rebuild/dockerfile"
)

const pin = "sha256:9f2c41d87a100000000000000000000000000000000000000000000000000000"

// lines is what [dockerfile.Find] gave, one place per line, what is open last.
func lines(found []dockerfile.Reference, open []dockerfile.Unresolved) (all []string) {
	for _, r := range found {
		all = append(all, fmt.Sprintf("%d %s %s", r.Line, r.Kind, r))
	}
	for _, u := range open {
		all = append(all, fmt.Sprintf("%d %s %s ? %s", u.Line, u.Kind, u.Written, u.Reason))
	}
	return all
}

func find(t *testing.T, file string, args map[string]string) []string {
	t.Helper()
	found, open, err := dockerfile.Find([]byte(file), args)
	if err != nil {
		t.Fatal(err)
	}
	return lines(found, open)
}

type findCase struct {
	name string
	file []string
	args map[string]string
	want []string
}

func (c findCase) run(t *testing.T) {
	t.Run(c.name, func(t *testing.T) {
		if diff := cmp.Diff(c.want, find(t, strings.Join(c.file, "\n"), c.args)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	})
}

func TestFindKnowsTheFivePlacesOfAnImage(t *testing.T) {
	for _, c := range []findCase{
		{"one FROM", []string{"FROM alpine"}, nil, []string{"1 final-base alpine"}},
		{"lower case", []string{"from alpine:3.22 as x"}, nil, []string{"1 final-base alpine:3.22"}},
		{"pinned", []string{"FROM alpine:3.22@" + pin}, nil, []string{"1 final-base alpine:3.22@" + pin}},
		{"host with a port", []string{"FROM localhost:5000/acme/base"}, nil, []string{"1 final-base localhost:5000/acme/base"}},
		{"quoted", []string{`FROM "alpine:3.22"`}, nil, []string{"1 final-base alpine:3.22"}},
		{"scratch is none", []string{"FROM scratch"}, nil, nil},
		{"scratch by ARG is none", []string{"ARG B=scratch", "FROM $B"}, nil, nil},
		{
			"stages", []string{"FROM golang:1.26 AS build", "FROM node:24 AS web", "FROM build AS test", "FROM alpine"}, nil,
			[]string{"1 stage-base golang:1.26", "2 stage-base node:24", "4 final-base alpine"},
		},
		{
			"the last stage stands on a stage", []string{"FROM debian:12 AS base", "FROM golang AS build", "FROM base AS mid", "FROM Mid"}, nil,
			[]string{"1 final-base debian:12", "2 stage-base golang"},
		},
		{
			"a stage with the name of its own image", []string{"FROM alpine AS alpine", "FROM alpine"}, nil,
			[]string{"1 final-base alpine"},
		},
		{
			"a later stage is no stage yet", []string{"FROM late", "FROM alpine AS late"}, nil,
			[]string{"1 stage-base late", "2 final-base alpine"},
		},
		{
			"COPY --from", []string{"FROM alpine AS a", "COPY --from=a x y", "COPY --chown=1 --from=nginx:1.29 x y", "COPY --from=0 x y", "COPY --from=scratch x y", "COPY --from=A x y", "COPY --from=b x y", "FROM alpine AS b"}, nil,
			[]string{"1 stage-base alpine", "3 copy-from nginx:1.29", "8 final-base alpine"},
		},
		{"ADD has no --from", []string{"FROM alpine", "ADD --from=nginx x y"}, nil, []string{"1 final-base alpine"}},
		{
			"RUN --mount", []string{"FROM alpine AS a", `RUN --mount=type=bind,from=acme/uv:1,target=/uv --mount=from=a,target=/a --mount=type=cache,target=/c,From=acme/cache:2 x`}, nil,
			[]string{"1 final-base alpine", "2 mount-from acme/uv:1", "2 mount-from acme/cache:2"},
		},
		{
			"mounts of no image", []string{"FROM alpine", `RUN --mount=type=secret,id=x,from=no --mount=from=no,type=tmpfs --mount=target=/x --mount=from= x`}, nil,
			[]string{"1 final-base alpine"},
		},
		{
			"ONBUILD", []string{"FROM alpine", "ONBUILD COPY --from=acme/certs:1 a b", "ONBUILD COPY --from=build a b", "ONBUILD RUN --mount=from=acme/x true", "ONBUILD"}, nil,
			[]string{"1 final-base alpine", "2 copy-from acme/certs:1", "4 mount-from acme/x"},
		},
		{"syntax", []string{"#syntax = docker/dockerfile:1", "FROM alpine"}, nil, []string{"1 syntax docker/dockerfile:1", "2 final-base alpine"}},
		{"syntax after another directive", []string{"# escape=`", "# syntax=docker/dockerfile:1@" + pin, "FROM alpine"}, nil, []string{"2 syntax docker/dockerfile:1@" + pin, "3 final-base alpine"}},
		{"syntax after a shebang", []string{"#!/usr/bin/env x", "# syntax=docker/dockerfile:1", "FROM alpine"}, nil, []string{"2 syntax docker/dockerfile:1", "3 final-base alpine"}},
		{"syntax too late", []string{"# a comment", "# syntax=docker/dockerfile:1", "FROM alpine"}, nil, []string{"3 final-base alpine"}},
		{"unknown instructions", []string{"FRM debian", "FROM alpine", "INCLUDE x"}, nil, []string{"2 final-base alpine"}},
		{"FROM without an image", []string{"FROM", "FROM alpine"}, nil, []string{"2 final-base alpine"}},
	} {
		c.run(t)
	}
}

func TestAReferenceComesSplit(t *testing.T) {
	for file, want := range map[string]dockerfile.Reference{
		"FROM alpine":                         {Image: "alpine"},
		"FROM alpine:3.22":                    {Image: "alpine", Tag: "3.22"},
		"FROM alpine@" + pin:                  {Image: "alpine", Digest: pin},
		"FROM host:5000/acme/x":               {Image: "host:5000/acme/x"},
		"FROM host:5000/acme/x:1@" + pin:      {Image: "host:5000/acme/x", Tag: "1", Digest: pin},
		"ARG D=@" + pin + "\nFROM alpine:3$D": {Image: "alpine", Tag: "3", Digest: pin},
	} {
		found, _, err := dockerfile.Find([]byte(file), nil)
		if err != nil || len(found) != 1 {
			t.Fatalf("%q: found %v, error %v", file, found, err)
		}
		want.Kind, want.Line = dockerfile.FinalBase, 1
		if diff := cmp.Diff(want, found[0]); diff != "" {
			t.Errorf("%q (-want +got):\n%s", file, diff)
		}
	}
}

func TestFindExpandsARGsAsABuildDoes(t *testing.T) {
	for _, c := range []findCase{
		{"part of it: change FROM", []string{"ARG V=3.13", "FROM python:${V}-slim"}, nil, []string{"2 final-base python:3.13-slim"}},
		{"the whole of it: change ARG", []string{"ARG BASE=debian:12@" + pin, "FROM ${BASE}"}, nil, []string{"1 final-base debian:12@" + pin}},
		{"through another", []string{"ARG A=debian:12", "ARG B=$A", "FROM $B"}, nil, []string{"1 final-base debian:12"}},
		{"joined by another", []string{"ARG A=12", "ARG B=debian:$A", "FROM $B"}, nil, []string{"2 final-base debian:12"}},
		{"tag with digest", []string{"ARG V=12@" + pin, "FROM debian:$V"}, nil, []string{"1 final-base debian:12@" + pin}},
		{"digest alone", []string{"ARG D=" + pin, "ARG V=12", "FROM debian:$V@$D"}, nil, []string{"1 final-base debian:12@" + pin}},
		{"digest in FROM", []string{"ARG V=12", "FROM debian:$V@" + pin}, nil, []string{"2 final-base debian:12@" + pin}},
		{"several in one ARG", []string{`ARG I="debian" V=12 EMPTY`, "FROM $I:$V"}, nil, []string{"2 final-base debian:12"}},
		{"the last default wins", []string{"ARG V=11", "ARG V=12", "ARG V", "FROM debian:$V"}, nil, []string{"4 final-base debian:12"}},
		{"with its older self", []string{"ARG V=12", "ARG V=${V}-slim", "FROM debian:$V"}, nil, []string{"3 final-base debian:12-slim"}},
		{"modifiers", []string{"ARG V=3.13.9 E=", "FROM python:${V%.*}${E:+-x}-${W:-slim}"}, nil, []string{"2 final-base python:3.13-slim"}},
		{"replacement", []string{"ARG V=3_13_9 R=ghcr.io/acme", "FROM ${R}/python:${V//_/.}"}, nil, []string{"2 final-base ghcr.io/acme/python:3.13.9"}},
		{"slashes in a default", []string{"FROM ${B:-ghcr.io/acme/${X:-base}:1}"}, nil, []string{"1 final-base ghcr.io/acme/base:1"}},
		{"an unset one that does not count", []string{"ARG A=alpine", "ARG B", "FROM ${A:-$B}"}, nil, []string{"1 final-base alpine"}},
		{"empty is a value", []string{"ARG S=", "FROM alpine:3$S"}, nil, []string{"2 final-base alpine:3"}},
		{"no variable", []string{`FROM acme/\$x`}, nil, []string{"1 final-base acme/$x"}},
		{"given", []string{"ARG V=1", "FROM alpine:$V"}, map[string]string{"V": "3.22"}, []string{"2 final-base alpine:3.22"}},
		{"given whole: nothing in the file to change but FROM", []string{"ARG B=alpine", "FROM $B"}, map[string]string{"B": "debian"}, []string{"2 final-base debian"}},
		{"given without a default", []string{"ARG B", "FROM $B"}, map[string]string{"B": "debian"}, []string{"2 final-base debian"}},
		{"platforms", []string{"ARG TARGETARCH", "FROM --platform=$BUILDPLATFORM acme/$TARGETOS:$TARGETARCH$TARGETVARIANT"}, nil, []string{"2 final-base acme/linux:amd64"}},
		{"a platform given", []string{"FROM acme/$TARGETOS:$TARGETARCH$TARGETVARIANT-$BUILDARCH"}, map[string]string{"TARGETPLATFORM": "linux/arm/v7"}, []string{"1 final-base acme/linux:armv7-amd64"}},
		{"a part of the platform given", []string{"FROM acme/$TARGETOS:$TARGETARCH"}, map[string]string{"TARGETARCH": "s390x"}, []string{"1 final-base acme/linux:s390x"}},
		{"a stage per platform", []string{"FROM alpine AS on-amd64", "FROM debian AS on-arm64", "FROM on-${TARGETARCH}"}, nil, []string{"1 final-base alpine", "2 stage-base debian"}},
	} {
		c.run(t)
	}
}

func TestFindNamesWhatItNeedsAndNeverGuesses(t *testing.T) {
	for _, c := range []findCase{
		{"no default", []string{"ARG BASE", "FROM ${BASE}"}, nil, []string{"2 final-base ${BASE} ? needs build-arg BASE"}},
		{"a part of it", []string{"ARG V", "FROM alpine:$V"}, nil, []string{"2 final-base alpine:$V ? needs build-arg V"}},
		{"several", []string{"ARG V", "ARG B", "FROM $V$B"}, nil, []string{"3 final-base $V$B ? needs build-arg B, V"}},
		{"through a default", []string{"ARG V", "ARG B=alpine:$V", "FROM $B"}, nil, []string{"3 final-base $B ? needs build-arg V"}},
		{"a default that stands by itself", []string{"ARG V", "ARG B=alpine:${V:-3}", "FROM $B"}, nil, []string{"2 final-base alpine:3"}},
		{"both ways", []string{"ARG V", "FROM alpine:${V:-3}-$V"}, nil, []string{"2 final-base alpine:${V:-3}-$V ? needs build-arg V"}},
		{"demanded", []string{"ARG V", "FROM alpine:${V:?unset}"}, nil, []string{"2 final-base alpine:${V:?unset} ? needs build-arg V"}},
		{"demanded without words", []string{"ARG V", "FROM alpine:${V?}"}, nil, []string{"2 final-base alpine:${V?} ? needs build-arg V"}},
		{"cut", []string{"ARG V", "FROM alpine:${V%.*}x"}, nil, []string{"2 final-base alpine:${V%.*}x ? needs build-arg V"}},
		{"an ARG of a stage", []string{"FROM alpine", "ARG V=1", "FROM debian:$V"}, nil, []string{"1 stage-base alpine", "3 final-base debian:$V ? no ARG V before the first FROM"}},
		{"given, but not declared", []string{"FROM debian:$V"}, map[string]string{"V": "1"}, []string{"1 final-base debian:$V ? no ARG V before the first FROM"}},
		{"a longer name is another", []string{"ARG V=1", "FROM debian:$VV"}, nil, []string{"2 final-base debian:$VV ? no ARG VV before the first FROM"}},
		{"empty", []string{"ARG B=", "FROM $B"}, nil, []string{"2 final-base $B ? expands to nothing"}},
		{"COPY and RUN take none", []string{"ARG V=1", "FROM alpine AS a", "COPY --from=acme/x:$V a b"}, nil, []string{"2 final-base alpine", "3 copy-from acme/x:$V ? --from takes no variables: name a stage instead, FROM acme/x:$V AS …"}},
	} {
		c.run(t)
	}
	for _, file := range []string{"ARG V\nFROM alpine:${V:?which", "FROM alpine:${V", "FROM ${V!x}", "FROM '", "ARG B=${V!x}\nFROM $B"} {
		found, open, err := dockerfile.Find([]byte(file), nil)
		if err != nil || len(found) != 0 || len(open) != 1 || open[0].Reason == "" {
			t.Errorf("%q: found %v, open %v, error %v", file, found, open, err)
		}
	}
}

func TestNeedsAreTheArgumentsThatHelp(t *testing.T) {
	file := []byte("ARG B\nARG V\nFROM $B:$V-$U")
	_, open, err := dockerfile.Find(file, nil)
	if err != nil || len(open) != 1 {
		t.Fatalf("open %v, error %v", open, err)
	}
	want := dockerfile.Unresolved{
		Written: "$B:$V-$U", Kind: dockerfile.FinalBase, Line: 3, Needs: []string{"B", "V"},
		Reason: "needs build-arg B, V; no ARG U before the first FROM",
	}
	if diff := cmp.Diff(want, open[0]); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestACommentDirectlyAboveTakesAFROMOut(t *testing.T) {
	for _, c := range []findCase{
		{"above", []string{"# basewatch: ignore", "FROM alpine"}, nil, nil},
		{"in a block, with a reason", []string{"FROM a", "", "  #basewatch:ignore the vendor pins it", "# more", "FROM b"}, nil, []string{"1 stage-base a"}},
		{"after a byte order mark", []string{"\ufeff# basewatch: ignore", "FROM a"}, nil, nil},
		{"only the next one", []string{"# basewatch: ignore", "FROM a", "FROM b"}, nil, []string{"3 final-base b"}},
		{"a blank line between", []string{"# basewatch: ignore", "", "FROM a"}, nil, []string{"3 final-base a"}},
		{"below", []string{"FROM a", "# basewatch: ignore", "RUN x"}, nil, []string{"1 final-base a"}},
		{"another word", []string{"# basewatch: ignored", "FROM a"}, nil, []string{"2 final-base a"}},
		{"what is open too", []string{"# basewatch: ignore", "FROM $V"}, nil, nil},
		{"the stage stays one", []string{"# basewatch: ignore", "FROM a AS b", "FROM b", "COPY --from=b x y"}, nil, nil},
	} {
		c.run(t)
	}
}

func TestFindReadsANastyFile(t *testing.T) {
	content, err := os.ReadFile("testdata/nasty.Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"1 syntax docker/dockerfile:1@" + pin,
		"8 final-base python:3.13-slim",
		"18 mount-from ghcr.io/acme/uv:0.9",
		"6 stage-base ghcr.io/acme/tools:2@" + pin,
		"29 copy-from nginx:1.29-alpine",
		"30 copy-from registry.example.com:5000/acme/certs",
	}
	if diff := cmp.Diff(want, find(t, string(content), nil)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, mark := range []string{"\ufeff", "\r\n", "# escape=`"} {
		if !strings.Contains(string(content), mark) {
			t.Errorf("the file has lost its %q", mark)
		}
	}
}

func TestFindReadsFilesOfOtherTimes(t *testing.T) {
	for _, c := range []findCase{
		{"old encoding", []string{"# caf\xe9", "FROM alpine"}, nil, []string{"2 final-base alpine"}},
		{"trailing backslash under escape=`", []string{"# escape=`", `ARG V=12 \`, "FROM debian:$V"}, nil, []string{"3 final-base debian:12"}},
		{"tabs", []string{"\tFROM\talpine\tAS\tx"}, nil, []string{"1 final-base alpine"}},
		{"continued word", []string{"FROM alp\\", "ine:3"}, nil, []string{"1 final-base alpine:3"}},
		{"heredoc of COPY", []string{"FROM alpine", "COPY <<A <<B /", "FROM x", "A", "FROM y", "B", "FROM debian"}, nil, []string{"1 stage-base alpine", "7 final-base debian"}},
	} {
		c.run(t)
	}
}

func TestFindRefusesWithWords(t *testing.T) {
	for _, tc := range []struct{ name, file, want string }{
		{"too big", strings.Repeat("#\n", dockerfile.MaxSize), "more than 1024 KiB: this is no Dockerfile"},
		{"UTF-16", "\xff\xfeF\x00R\x00O\x00M\x00", "not UTF-8 text"},
		{"empty", "\n# nothing\n", "no instructions"},
		{"long line", "FROM a\nFROM " + strings.Repeat("a", 1<<16), "line greater than max allowed size"},
		{"open heredoc", "FROM alpine\nRUN <<EOF\n", "line 2: unterminated heredoc"},
		{"escape", "# escape=x\nFROM a", "invalid escape token"},
		{"nesting", "FROM a\nRUN <<E " + strings.Repeat("${A:-", 5000), "more than 4096 ${…} in one file"},
		{"growth", "ARG A=" + strings.Repeat("a", 1000) + strings.Repeat("\nARG B=$A", 5000) + "\nFROM $B", "expand to too much text"},
		{"replacements", "ARG A=" + strings.Repeat("a", 1000) + strings.Repeat("\nFROM ${A//a/"+strings.Repeat("b", 900)+"}", 1000), "expand to too much text"},
	} {
		found, open, err := dockerfile.Find([]byte(tc.file), nil)
		if err == nil || !strings.Contains(err.Error(), tc.want) || found != nil || open != nil {
			t.Errorf("%s: found %v, open %v, error %v; want an error with %q", tc.name, found, open, err, tc.want)
		}
	}
}

func TestWordsThatGrowAreNotExpanded(t *testing.T) {
	nest := "x"
	for range 60 {
		nest = "${A//a/" + nest + nest[:1] + "}"
	}
	doubling := "ARG A0=aaaaaaaa\n"
	for i := range 40 {
		doubling += fmt.Sprintf("ARG A%d=$A%d$A%d\n", i+1, i, i)
	}
	for name, file := range map[string]string{
		"a replacement in a replacement": "ARG A=aaaaaaaaaaaaaaaa\nFROM " + nest,
		"behind an escaped brace":        "ARG A=aaaa\nFROM ${A//a/\\}${A//a/b}}",
		"behind a quoted brace":          "ARG A=aaaa\nFROM ${A//a/'}'${A//a/b}}",
		"doubling":                       doubling + "FROM $A40",
		"a long word":                    "FROM " + strings.Repeat("a", 2000),
	} {
		found, open, err := dockerfile.Find([]byte(file), nil)
		if err != nil || len(found) != 0 || len(open) != 1 {
			t.Errorf("%s: found %v, open %d, error %v", name, found, len(open), err)
		}
	}
}
