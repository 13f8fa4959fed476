package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const (
	onePin     = "sha256:9f2c41d87a100000000000000000000000000000000000000000000000000000"
	anotherPin = "sha256:c3a17be01f550000000000000000000000000000000000000000000000000000"
)

// inFiles makes a working directory with the files, NAME CONTENT in turn.
func inFiles(t *testing.T, files ...string) {
	t.Helper()
	t.Chdir(t.TempDir())
	for i := 0; i < len(files); i += 2 {
		if err := os.MkdirAll(filepath.Dir(files[i]), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(files[i], []byte(files[i+1]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatIsAFileAndWhatAnImage(t *testing.T) {
	inFiles(t,
		"Dockerfile", "", "alpine", "", "acme/base", "", "api.dockerfile", "", "acme/api.Dockerfile", "",
		"Makefile", "", "nginx:1.29", "", "Containerfile.ci", "", "docker/dockerfile", "", "ruby/Dockerfile", "",
	)
	if err := os.MkdirAll("python", 0o755); err != nil {
		t.Fatal(err)
	}
	for arg, want := range map[string]bool{
		"Dockerfile":              true,
		"ruby/Dockerfile":         true,
		"./Dockerfile":            true,
		"Containerfile.ci":        true,
		"api.dockerfile":          true,
		"acme/api.Dockerfile":     true,
		"Makefile":                true, // there, and no image can be called so
		"./alpine":                true,
		"./acme/base":             true,
		"../gone":                 true, // written as a path: the error speaks of a file
		"/nowhere/base":           true,
		"Dockerfile.gone":         true,
		"services/Dockerfile":     true,
		"./python":                true,
		"alpine":                  false,
		"alpine:3.22":             false,
		"alpine@" + onePin:        false,
		"acme/base":               false,
		"nginx:1.29":              false,
		"docker/dockerfile":       false, // the frontend on Docker Hub
		"docker/dockerfile:1":     false,
		"python":                  false,
		"ruby":                    false,
		"other.dockerfile":        false, // not there, and it could be an image
		"acme/x:1.Dockerfile":     false,
		"Gone":                    false,
		"localhost:5000/acme/app": false,
		"ghcr.io/acme/base:main":  false,
	} {
		if got := isFile(arg); got != want {
			t.Errorf("isFile(%q) = %v, want %v", arg, got, want)
		}
	}
}

func TestAFileAsksOnceForEachImageItNames(t *testing.T) {
	inFiles(t, "api/Dockerfile", strings.Join([]string{
		"ARG BASE=python:3.13-slim@" + onePin,
		"FROM golang AS build",
		"FROM golang:latest AS test",
		"FROM ${BASE} AS run",
		"FROM python:3.13-slim@" + onePin,
		"COPY --from=python:3.13-slim@" + anotherPin + " /a /b",
		"COPY --from=harbor.example.com/dockerhub/library/nginx /a /b",
		"COPY --from=build /a /b",
	}, "\n"))
	cfg := &Config{Aliases: Aliases{"harbor.example.com/dockerhub": "docker.io"}}
	got, err := questionsOfFile(cfg, "api/Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	want := []question{
		{asked: "golang", ref: "docker.io/library/golang:latest", where: "api/Dockerfile:2"},
		{asked: "python:3.13-slim@" + onePin, ref: "docker.io/library/python:3.13-slim", pin: onePin, where: "api/Dockerfile:1"},
		{asked: "python:3.13-slim@" + anotherPin, ref: "docker.io/library/python:3.13-slim", pin: anotherPin, where: "api/Dockerfile:6"},
		{asked: "harbor.example.com/dockerhub/library/nginx", ref: "docker.io/library/nginx:latest", where: "api/Dockerfile:7"},
	}
	if diff := cmp.Diff(want, got, cmp.AllowUnexported(question{})); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWhatCannotBeAskedForIsAnsweredWithWords(t *testing.T) {
	inFiles(t, "Dockerfile", strings.Join([]string{
		"ARG BASE",
		"FROM ${BASE} AS a",
		"FROM alpine@" + onePin + " AS b",
		"FROM Acme/Base AS c",
		"FROM debian:12@sha256:abc AS d",
		"FROM alpine:3.22",
	}, "\n"))
	qs, err := questionsOfFile(&Config{}, "Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	ask, told := answered(qs)
	if len(ask) != 1 || ask[0].ref != "docker.io/library/alpine:3.22" {
		t.Errorf("asks for %+v", ask)
	}
	want := []finding{
		{Image: "alpine", Note: "Dockerfile:3 pins 9f2c41d87a10 without a tag: nothing to compare; write alpine:TAG@…"},
		{Image: "Acme/Base", Error: "Dockerfile:4: image \"Acme/Base\": "},
		{Image: "debian:12", Error: `Dockerfile:5 pins "sha256:abc", which is no digest`},
		{Image: "${BASE}", Error: "Dockerfile:2: needs build-arg BASE; give its ARG a default to have it checked"},
	}
	shortened := cmp.Transformer("ours", func(s string) string {
		before, _, _ := strings.Cut(s, "repository can only")
		return before
	})
	if diff := cmp.Diff(want, told, shortened); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	var failed *codeError
	if err := verdict(told, true); !errors.As(err, &failed) || failed.code != exitFailed {
		t.Errorf("a base that was not looked at ends with %v", err)
	}
}

func TestAFileThatNamesNoImageIsRefusedWithWords(t *testing.T) {
	inFiles(t,
		"Dockerfile.scratch", "# basewatch: ignore\nFROM alpine\nFROM scratch\nCOPY a b\n",
		"Dockerfile.broken", "FROM alpine\nRUN <<EOF\n",
		"Dockerfile.big", strings.Repeat("#\n", 1<<20),
		"dir/x", "",
	)
	for path, want := range map[string]string{
		"Dockerfile.scratch": "look for images in Dockerfile.scratch: there is none: each FROM is scratch",
		"Dockerfile.broken":  "look for images in Dockerfile.broken: line 2: unterminated heredoc",
		"Dockerfile.big":     "look for images in Dockerfile.big: more than 1024 KiB",
		"Dockerfile.gone":    "no such file",
		"dir":                "this is a directory; name the Dockerfile in it",
		os.DevNull:           "no regular file",
	} {
		qs, err := questionsOfFile(&Config{}, path)
		if err == nil || !strings.Contains(err.Error(), want) || qs != nil {
			t.Errorf("%s: %v, error %v; want an error with %q", path, qs, err, want)
		}
	}
}
