package notify

import (
	"strings"
	"testing"

	"basewatch/watcher"
)

func TestCompareLinkIsBuiltOnlyFromCheckedParts(t *testing.T) {
	a, b := strings.Repeat("a1", 20), strings.Repeat("b2", 20)
	const python = "https://github.com/docker-library/python.git"
	tests := []struct{ name, oldSource, oldRevision, newSource, newRevision, want string }{
		{"github", python, a, python, b, "https://github.com/docker-library/python/compare/" + a + "..." + b},
		{"fragment of docker-library", python + "#" + a + ":3.13/slim", a, python + "#" + b + ":3.13/slim", b,
			"https://github.com/docker-library/python/compare/" + a + "..." + b},
		{"gitlab group", "https://gitlab.com/g/s/p", a, "https://gitlab.com/g/s/p/", b, "https://gitlab.com/g/s/p/-/compare/" + a + "..." + b},
		{"same revision", python, a, python, a, ""},
		{"no old revision", python, "", python, b, ""},
		{"no source", "", a, "", b, ""},
		{"branch", python, a, python, "main", ""},
		{"upper case is no commit", python, a, python, strings.ToUpper(b), ""},
		{"too short", python, "abcdef", python, b, ""},
		{"other repository", "https://github.com/docker-library/ruby", a, python, b, ""},
		{"http", "http://github.com/o/r", a, "http://github.com/o/r", b, ""},
		{"other host", "https://evil.example/o/r", a, "https://evil.example/o/r", b, ""},
		{"host in userinfo", "https://github.com@evil.example/o/r", a, "https://github.com@evil.example/o/r", b, ""},
		{"user", "https://me@github.com/o/r", a, "https://me@github.com/o/r", b, ""},
		{"subdomain", "https://github.com.evil.example/o/r", a, "https://github.com.evil.example/o/r", b, ""},
		{"port", "https://github.com:8443/o/r", a, "https://github.com:8443/o/r", b, ""},
		{"query", "https://github.com/o/r?x=y", a, "https://github.com/o/r?x=y", b, ""},
		{"dots", "https://github.com/o/..", a, "https://github.com/o/..", b, ""},
		{"escapes", "https://github.com/o/r%2f..%2fx", a, "https://github.com/o/r%2f..%2fx", b, ""},
		{"deep path", "https://github.com/o/r/tree/x", a, "https://github.com/o/r/tree/x", b, ""},
		{"closing the link", "https://github.com/o/r|x>", a, "https://github.com/o/r|x>", b, ""},
		{"gitlab separator", "https://gitlab.com/g/-/p", a, "https://gitlab.com/g/-/p", b, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			snapshot := func(source, revision string) *watcher.Snapshot {
				return &watcher.Snapshot{Annotations: map[string]string{annotationSource: source, annotationRevision: revision}}
			}
			if got := compareURL(snapshot(tt.oldSource, tt.oldRevision), snapshot(tt.newSource, tt.newRevision)); got != tt.want {
				t.Errorf("%q, want %q", got, tt.want)
			}
		})
	}
}

func TestAnnotationOfAPlatformStandsInForTheIndexs(t *testing.T) {
	s := &watcher.Snapshot{Platforms: map[string]watcher.Manifest{
		"linux/arm64": {Annotations: map[string]string{annotationVersion: "arm"}},
		"linux/amd64": {Annotations: map[string]string{annotationVersion: "amd"}},
		"linux/386":   {},
	}}
	if got := annotation(s, annotationVersion); got != "amd" {
		t.Errorf("%q, want the first platform's", got)
	}
	s.Annotations = map[string]string{annotationVersion: "index\u202e\x1b[31m"}
	if got := annotation(s, annotationVersion); got != "index" {
		t.Errorf("%q, want the index's, harmless", got)
	}
	if got := annotation(nil, annotationVersion); got != "" {
		t.Errorf("of nothing: %q", got)
	}
}
