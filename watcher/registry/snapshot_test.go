package registry

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"basewatch/internal/standin"
	"basewatch/watcher"
)

func TestSnapshotOfAnIndexHasTheWantedPlatformsAndNoAttestations(t *testing.T) {
	w := newWorld(t, standin.Behaviour{Auth: standin.Bearer}, nil)
	img := standin.Image{
		Platforms: map[string]string{
			"linux/amd64": "a", "linux/arm64/v8": "b", "linux/arm/v7": "c", "linux/s390x": "d",
			"windows/amd64:10.0.20348.1": "e", "windows/amd64:10.0.26100.1": "f",
		},
		Attestations: "x", Docker: true,
		Annotations:      map[string]string{"org.opencontainers.image.version": "3.22.1", "com.example.other": "no"},
		IndexAnnotations: map[string]string{"org.opencontainers.image.source": "https://example.com/src", "x": "no"},
	}
	d := w.Push(repoName, "1", img)
	got, err := w.us.Snapshot(t.Context(), target(tagRef, "linux/amd64", "linux/arm/v7", "linux/arm64", "windows/amd64:10.0.26100"), d)
	if err != nil {
		t.Fatal(err)
	}
	if got.Platforms["linux/amd64"].Size == 0 {
		t.Error("no size")
	}
	version := map[string]string{"org.opencontainers.image.version": "3.22.1"}
	entry := func(platform string) watcher.Manifest {
		return watcher.Manifest{Digest: w.PlatformDigest(img, platform), Annotations: version}
	}
	for p, m := range got.Platforms {
		m.Size = 0
		got.Platforms[p] = m
	}
	want := watcher.Snapshot{
		Index: d,
		Platforms: map[string]watcher.Manifest{
			"linux/amd64": entry("linux/amd64"), "linux/arm/v7": entry("linux/arm/v7"), "linux/arm64": entry("linux/arm64/v8"),
			"windows/amd64:10.0.26100": entry("windows/amd64:10.0.26100.1"),
		},
		Others:      []string{"linux/s390x", "windows/amd64:10.0.20348.1"},
		Annotations: map[string]string{"org.opencontainers.image.source": "https://example.com/src"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if c := w.Counts(); c != (standin.Counts{Get: 2, Token: 1}) { // the first GET finds the challenge
		t.Errorf("it cost %+v", c)
	}
}

func TestASingleManifestStandsForThePlatformInItsConfig(t *testing.T) {
	for _, docker := range []bool{false, true} {
		w := newWorld(t, standin.Behaviour{}, nil)
		d := w.Push(repoName, "1", standin.Image{Platforms: map[string]string{"linux/arm64": "a"}, Single: true, Docker: docker})
		got, err := w.us.Snapshot(t.Context(), target(tagRef, "linux/arm64"), d)
		if err != nil || got.Platforms["linux/arm64"].Digest != d || got.Index != d {
			t.Errorf("docker %t: got %+v, %v", docker, got, err)
		}
		_, err = w.us.Snapshot(t.Context(), target(tagRef, "linux/amd64"), d)
		wantProblem(t, err, watcher.NoPlatform, "not there for linux/amd64; it has linux/arm64")
	}
}

func TestNoneOfTheWantedPlatformsNamesThoseThatExist(t *testing.T) {
	w := newWorld(t, standin.Behaviour{}, nil)
	d := w.Push(repoName, "1", standin.Image{Platforms: map[string]string{"linux/386": "a", "windows/amd64:10.0.1": "b"}, Attestations: "x"})
	_, err := w.us.Snapshot(t.Context(), target(tagRef), d)
	wantProblem(t, err, watcher.NoPlatform, tagRef+": not there for linux/amd64; it has linux/386, windows/amd64:10.0.1")
}

func TestAManifestThatIsGoneIsNotAnAbsentTag(t *testing.T) {
	w := newWorld(t, standin.Behaviour{}, nil)
	w.Push(repoName, "1", linux)
	_, err := w.us.Snapshot(t.Context(), target(tagRef), "sha256:"+strings.Repeat("1", 64))
	wantProblem(t, err, watcher.Invalid, "111111111111")
}

func TestATamperedConfigIsNotBelieved(t *testing.T) {
	w := newWorld(t, standin.Behaviour{}, nil)
	d := w.Push(repoName, "1", standin.Image{Platforms: map[string]string{"linux/arm64": "a"}, Single: true})
	w.Next(standin.Answer{Status: http.StatusOK, Body: `{"os":"linux","architecture":"amd64"}`, Match: standin.PathContains("/blobs/")})
	_, err := w.us.Snapshot(t.Context(), target(tagRef), d)
	wantProblem(t, err, watcher.Invalid, "the image's config has the digest")
}

func TestAConfigOfAnotherSizeOrKindIsNotBelieved(t *testing.T) {
	w := newWorld(t, standin.Behaviour{}, nil)
	body := []byte(`{"os":"linux","architecture":"amd64"}`)
	config := digestLike("", body)
	for words, kindAndSize := range map[string]string{
		"has 37 bytes, its manifest says 36":                fmt.Sprintf(`"mediaType":%q,"size":36`, ociConfig),
		`no container image but a "application/vnd.cncf.he`: `"mediaType":"application/vnd.cncf.helm.config.v1+json","size":37`,
	} {
		d := w.PutRaw(repoName, ociManifest, fmt.Appendf(nil, `{"schemaVersion":2,"config":{"digest":%q,%s},"layers":[]}`, config, kindAndSize))
		w.Heal()
		w.Next(standin.Answer{Status: http.StatusOK, Body: string(body), Match: standin.PathContains("/blobs/")})
		_, err := w.us.Snapshot(t.Context(), target(tagRef), d)
		wantProblem(t, err, watcher.Invalid, words)
	}
}

func TestWhatIsAnImageInAnIndex(t *testing.T) {
	attested := map[string]string{"vnd.docker.reference.type": "attestation-manifest"}
	for name, tc := range map[string]struct {
		d    descriptor
		want bool
	}{
		"image":         {descriptor{Platform: &platform{OS: "linux", Architecture: "amd64"}}, true},
		"attestation":   {descriptor{Platform: &platform{OS: "linux", Architecture: "amd64"}, Annotations: attested}, false},
		"unknown":       {descriptor{Platform: &platform{OS: "unknown", Architecture: "unknown"}}, false},
		"unknown os":    {descriptor{Platform: &platform{OS: "unknown", Architecture: "amd64"}}, false},
		"unknown arch":  {descriptor{Platform: &platform{OS: "linux", Architecture: "unknown"}}, false},
		"empty":         {descriptor{Platform: &platform{}}, false},
		"no platform":   {descriptor{}, false},
		"other of ours": {descriptor{Platform: &platform{OS: "windows", Architecture: "amd64", OSVersion: "10.0.1"}}, true},
	} {
		if got := tc.d.isImage(); got != tc.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestAnEndlessManifestIsCut(t *testing.T) {
	w := newWorld(t, standin.Behaviour{}, nil)
	d := w.PutRaw(repoName, ociIndex, []byte(strings.Repeat(" ", maxManifestBytes+1)))
	_, err := w.us.Snapshot(t.Context(), target(tagRef), d)
	wantProblem(t, err, watcher.Invalid, "longer than 4194304 bytes")
	if n := w.Counts().Get; n != 1 {
		t.Errorf("it was read %d times", n)
	}
}

func entryJSON(n int) string {
	return fmt.Sprintf(`{"mediaType":%q,"digest":"sha256:%064d","size":1,"platform":{"os":"linux","architecture":"amd64"}}`, ociManifest, n)
}

func TestParseDocumentRefusesWhatCouldBeReadInTwoWays(t *testing.T) {
	const config = `"config":{"mediaType":"` + ociConfig + `","digest":"sha256:0000000000000000000000000000000000000000000000000000000000000000","size":2}`
	for name, tc := range map[string]struct{ body, contentType, refused string }{
		"index":             {`{"schemaVersion":2,"mediaType":"` + ociIndex + `","manifests":[` + entryJSON(1) + `]}`, ociIndex, ""},
		"image":             {`{"schemaVersion":2,` + config + `,"layers":[]}`, dockerManifest + "; charset=utf-8", ""},
		"no type at all":    {`{"schemaVersion":2,"manifests":[]}`, "", ""},
		"a general type":    {`{"schemaVersion":2,"manifests":[]}`, "application/json", ""},
		"case in labels":    {`{"schemaVersion":2,"manifests":[],"annotations":{"A":"1","a":"2"}}`, "", ""},
		"both kinds":        {`{"schemaVersion":2,"manifests":[],` + config + `}`, "", "at once"},
		"index with layers": {`{"schemaVersion":2,"manifests":[],"layers":[]}`, "", "at once"},
		"twice":             {`{"schemaVersion":2,"manifests":[],"manifests":[` + entryJSON(1) + `]}`, "", "twice"},
		"twice by case":     {`{"schemaVersion":2,"manifests":[],"Manifests":[` + entryJSON(1) + `]}`, "", "twice"},
		"twice by long s":   {`{"schemaVersion":2,"manifests":[],"manife` + "\u017f" + `ts":[` + entryJSON(1) + `]}`, "", "twice"},
		"twice in entry":    {`{"schemaVersion":2,"manifests":[{"digest":"a","Digest":"b"}]}`, "", "twice"},
		"other type sent":   {`{"schemaVersion":2,"mediaType":"` + ociIndex + `","manifests":[]}`, dockerList, "was sent as"},
		"index as image":    {`{"schemaVersion":2,"manifests":[]}`, ociManifest, "not the"},
		"image as index":    {`{"schemaVersion":2,"mediaType":"` + dockerList + `",` + config + `}`, "", "not the"},
		"schema 1":          {`{"schemaVersion":1,"fsLayers":[]}`, "application/vnd.docker.distribution.manifest.v1+prettyjws", "schema 1"},
		"schema 1 untold":   {`{"schemaVersion":1,"fsLayers":[]}`, "", "schema 1"},
		"neither":           {`{"schemaVersion":2}`, "", "neither"},
		"not JSON":          {`<html>`, "", "not taken"},
		"trailing":          {`{"manifests":[]} {}`, "", "follows its end"},
		"deep":              {`{"a":` + strings.Repeat("[", 100) + strings.Repeat("]", 100) + `}`, "", "deeper"},
		"bad digest":        {`{"manifests":[{"digest":"sha256:xyz","size":1}]}`, "", "cannot be"},
		"negative size":     {strings.Replace(`{"manifests":[`+entryJSON(1)+`]}`, `"size":1`, `"size":-1`, 1), "", "cannot be"},
		"wrong kind":        {`{"manifests":"many"}`, "", "cannot be read"},
		"too many":          {`{"manifests":[` + strings.Repeat(entryJSON(1)+",", maxEntries) + entryJSON(2) + `]}`, "", "at most 1000"},
	} {
		_, err := parseDocument([]byte(tc.body), tc.contentType)
		if tc.refused == "" && err != nil || tc.refused != "" && (err == nil || !strings.Contains(err.Error(), tc.refused)) {
			t.Errorf("%s: got %v, want %q", name, err, tc.refused)
		}
		if err != nil && watcher.ProblemOf(err) != watcher.Invalid {
			t.Errorf("%s: a problem %s", name, watcher.ProblemOf(err))
		}
	}
}

func FuzzManifest(f *testing.F) {
	seeds, err := filepath.Glob("testdata/manifest/*.json")
	if err != nil || len(seeds) == 0 {
		f.Fatal("no seeds", err)
	}
	for _, s := range seeds {
		body, err := os.ReadFile(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(body, ociIndex)
		f.Add(body, "")
	}
	f.Fuzz(func(t *testing.T, body []byte, contentType string) {
		doc, err := parseDocument(body, contentType)
		if err != nil {
			if watcher.ProblemOf(err) != watcher.Invalid {
				t.Errorf("a problem %s: %v", watcher.ProblemOf(err), err)
			}
			return
		}
		if doc.isIndex() == (doc.Config != nil) {
			t.Errorf("%q is taken as both or neither", body)
		}
		if !doc.isIndex() {
			return
		}
		found, others := pick([]string{"linux/amd64"}, indexEntries(doc))
		if len(found) > 1 || len(others) > maxOthers {
			t.Errorf("%d found, %d others", len(found), len(others))
		}
	})
}

func FuzzConfigBlob(f *testing.F) {
	f.Add([]byte(`{"os":"linux","architecture":"arm64","variant":"v8","config":{"Labels":{"A":"1","a":"2"}}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		p, err := parseConfig(body)
		if err != nil {
			if watcher.ProblemOf(err) != watcher.Invalid || p != (platform{}) {
				t.Errorf("a problem %s, read %+v: %v", watcher.ProblemOf(err), p, err)
			}
			return
		}
		found, others := pick([]string{"linux/amd64", "linux/arm64", "windows/amd64"}, []entry{{platform: p.watched()}})
		if len(found)+len(others) > 1+1 || strings.ContainsFunc(strings.Join(others, ""), unicode.IsControl) {
			t.Errorf("%q: found %v, others %q", body, found, others)
		}
	})
}

func TestAConfigThatCouldBeReadInTwoWaysIsRefused(t *testing.T) {
	for body, refused := range map[string]string{
		`{"os":"linux","architecture":"amd64","config":{"Volumes":{"/Data":{},"/data":{}}}}`: "",
		`{"os":"linux","OS":"windows","architecture":"amd64"}`:                               "twice",
		`{"os":"linux","architecture":"amd64","architecture":"arm64"}`:                       "twice",
		`{"os":"linux","config":{"Env":[],"Env":[]}}`:                                        "twice",
		`{"os":"linux","history":` + strings.Repeat("[", 99) + strings.Repeat("]", 99) + `}`: "deeper",
		`{"os":1}`: "cannot be read",
		`{} {}`:    "follows its end",
	} {
		if _, err := parseConfig([]byte(body)); refused == "" && err != nil || refused != "" && (err == nil || !strings.Contains(err.Error(), refused)) {
			t.Errorf("%s: got %v, want %q", body, err, refused)
		}
	}
}

func TestKeptAnnotationsAreFewShortAndOurs(t *testing.T) {
	in := map[string]string{"org.opencontainers.image.title": strings.Repeat("é", 1000), "evil": "x"}
	for i := range 200 {
		in[fmt.Sprintf("org.opencontainers.image.%d", i)] = "v"
	}
	got := kept(in)
	if len(got) > maxAnnotations || got["evil"] != "" {
		t.Errorf("%d kept", len(got))
	}
	for k, v := range got {
		if len(v) > maxStringBytes || strings.ContainsRune(v, '\ufffd') {
			t.Errorf("%s is %d bytes", k, len(v))
		}
	}
	if kept(map[string]string{"evil": "x"}) != nil {
		t.Error("none kept must be nil")
	}
}

func TestExcerptIsHarmlessAndShort(t *testing.T) {
	for body, want := range map[string]string{
		`{"errors":[{"code":"DENIED","message":"no\u001b[31m way"},{"code":"X"}]}`: "DENIED no way; X",
		`{"details":"incorrect username or password"}`:                             "incorrect username or password",
		"<html>\n<b>502</b>": "<html> <b>502</b>",
		"":                   "",
	} {
		if got := excerpt([]byte(body)); got != want {
			t.Errorf("excerpt(%q) = %q, want %q", body, got, want)
		}
	}
	if got := excerpt([]byte(strings.Repeat("x", 9000))); len(got) > 210 {
		t.Errorf("%d bytes", len(got))
	}
}
