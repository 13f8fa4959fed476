package dockerfile_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"basewatch/rebuild/dockerfile"
)

// FuzzFind holds what is true of any file: no panic, nothing found beside an
// error, only lines that the file has, the same answer twice.
func FuzzFind(f *testing.F) {
	corpus, err := filepath.Glob("testdata/*.Dockerfile")
	if err != nil || len(corpus) == 0 {
		f.Fatalf("no corpus: %v", err)
	}
	for _, path := range corpus {
		content, err := os.ReadFile(path)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(content, "V", "3.22")
	}
	for _, file := range []string{
		"FROM alpine", "ARG V\nFROM ${V:-x}${V%.*}$V", "FROM a\nRUN <<A <<-B x\nA\n\tB\nFROM b",
		"# syntax=a\n# escape=`\nFROM a`\n:b", "ONBUILD ONBUILD COPY --from=a b c", "{\"syntax\": \"a\"}", "#!x\n// syntax=a",
		"ARG V=aaa\nFROM ${V//a/b}${V/${V}/x}", "FROM a AS b\nCOPY --from=b --from= x y\nRUN --mount=\"a=\"b,from=c x",
	} {
		f.Add([]byte(file), "V", "aaa")
	}
	f.Fuzz(func(t *testing.T, content []byte, name, text string) {
		args := map[string]string{name: text}
		found, open, err := dockerfile.Find(content, args)
		if err != nil && (found != nil || open != nil) {
			t.Errorf("found %v and %v beside the error %v", found, open, err)
		}
		last := strings.Count(string(content), "\n") + 1
		for _, r := range found {
			if r.Line < 1 || r.Line > last || r.Image == "" && r.Tag == "" && r.Digest == "" {
				t.Errorf("%+v of %d lines", r, last)
			}
		}
		for _, u := range open {
			if u.Line < 1 || u.Line > last || u.Reason == "" || !slices.IsSorted(u.Needs) {
				t.Errorf("%+v of %d lines", u, last)
			}
		}
		if again, _, _ := dockerfile.Find(content, args); !slices.Equal(found, again) {
			t.Errorf("found %v, then %v", found, again)
		}
	})
}

// TestEveryStageIsFound writes files of random stages in many ways, and finds
// in each what was put into it.
func TestEveryStageIsFound(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		escape := rapid.SampledFrom([]string{`\`, "`"}).Draw(t, "escape")
		end := rapid.SampledFrom([]string{"\n", "\r\n"}).Draw(t, "end")
		var file, want []string
		if rapid.Bool().Draw(t, "syntax") {
			file, want = append(file, "# syntax=acme/front:1"), append(want, "1 syntax acme/front:1")
		}
		file = append(file, "# escape="+escape, "ARG TAG=3.22 REPO=ghcr.io/acme")
		base := map[string]int{} // where the image of a stage stands in want
		final, n := -1, rapid.IntRange(1, 6).Draw(t, "stages")
		for i := range n {
			final = -1
			on := rapid.SampledFrom([]string{"image", "stage", "scratch", "ignored"}).Draw(t, "on")
			image := fmt.Sprintf("acme/x%d:3.22", i)
			written := rapid.SampledFrom([]string{image, fmt.Sprintf(`"acme/x%d:${TAG}"`, i), fmt.Sprintf("acme/x%d:${TAG%%.*}.22", i)}).Draw(t, "written")
			name := fmt.Sprintf("s%d", i)
			switch {
			case on == "stage" && i > 0:
				parent := fmt.Sprintf("s%d", rapid.IntRange(0, i-1).Draw(t, "parent"))
				written, final = parent, base[parent]
			case on == "scratch":
				written = "scratch"
			case on == "ignored":
				file = append(file, "# basewatch: ignore")
			default:
				final = len(want)
				want = append(want, fmt.Sprintf("%d stage-base %s", len(file)+1, image))
			}
			base[name] = final
			file = append(file, "FROM "+escape, "# a comment", "  "+written+" AS "+name)
			file = append(file, rapid.SampledFrom([][]string{
				{"RUN <<EOF", "FROM fake", "EOF"}, {"RUN echo " + escape, "  FROM fake"}, {"COPY --from=" + name + " a b"}, {""}, {"WAT FROM fake"},
			}).Draw(t, "filler")...)
		}
		if final >= 0 {
			want[final] = strings.Replace(want[final], "stage-base", "final-base", 1)
		}
		content := strings.Join(file, end)
		found, open, err := dockerfile.Find([]byte(content), nil)
		if err != nil {
			t.Fatalf("%v in\n%s", err, content)
		}
		if diff := cmp.Diff(want, lines(found, open)); diff != "" {
			t.Errorf("(-want +got):\n%s\n%s", diff, content)
		}
	})
}
