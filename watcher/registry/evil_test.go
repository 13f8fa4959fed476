package registry

import (
	"bytes"
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"basewatch/internal/standin"
	"basewatch/watcher"
)

// evil is an answer meant to harm who reads it.
type evil struct {
	// body is a manifest, sent under its own right digest; answer sends what a
	// stand-in's store cannot hold.
	body   func() []byte
	answer func(w http.ResponseWriter)
	words  string // of the error
}

func filled(begin, unit, end string, n int) func() []byte {
	return func() []byte {
		return []byte(begin + strings.TrimSuffix(strings.Repeat(unit, n), ",") + end)
	}
}

func evils() map[string]evil {
	bombed, fillers, spaces := bomb(), slices.Repeat([]string{"filler"}, 20_000), bytes.Repeat([]byte(" "), 4<<20-100)
	return map[string]evil{
		"a body without end": {answer: func(w http.ResponseWriter) {
			for chunk := bytes.Repeat([]byte(" "), 64<<10); ; {
				if _, err := w.Write(chunk); err != nil {
					return
				}
			}
		}, words: "longer than 4194304 bytes"},
		"ten gigabytes, announced": {answer: func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "10737418240")
			_, _ = w.Write(make([]byte, 1<<20))
		}, words: "longer than 4194304 bytes"},
		"four megabytes that do not end at once": {answer: func(w http.ResponseWriter) {
			_, _ = w.Write(spaces)
			time.Sleep(20 * time.Millisecond) // all ten would hold theirs meanwhile
			_, _ = w.Write(spaces[:1<<20])
		}, words: "longer than"},
		"a gzip bomb": {answer: func(w http.ResponseWriter) {
			w.Header().Set("Content-Encoding", "gzip")
			w.Header().Set("Content-Type", ociIndex)
			_, _ = w.Write(bombed)
		}, words: "not taken"},
		"a gzip bomb as its own type":   {body: func() []byte { return bombed }, words: "not taken"},
		"a million empty entries":       {body: filled(`{"schemaVersion":2,"manifests":[`, `{},`, `]}`, 1e6), words: "more than 50000 values"},
		"too many entries":              {body: filled(`{"schemaVersion":2,"manifests":[`, entryJSON(1)+",", `]}`, 30_000), words: "longer than"},
		"entries up to the limit":       {body: filled(`{"schemaVersion":2,"manifests":[`, entryJSON(1)+",", `]}`, 20_000), words: "more than 50000 values"},
		"a million annotations":         {body: func() []byte { return manyKeys(450_000) }, words: "more than 50000 values"},
		"a million nothings":            {body: filled(`{"schemaVersion":2,"x":[`, `0,`, `]}`, 2e6), words: "more than 50000 values"},
		"a hundred thousand deep":       {body: filled(`{"schemaVersion":2,"manifests":`, `[`, ``, 1e5), words: "deeper than 64"},
		"a hundred thousand deep, maps": {body: filled(``, `{"a":`, ``, 1e5), words: "deeper than 64"},
		"a key of four megabytes":       {body: filled(`{"`, `a`, `":1}`, 4<<20-10), words: "longer than 1048576 bytes"},
		"invalid UTF-8 in a digest":     {body: func() []byte { return []byte("{\"manifests\":[{\"digest\":\"sha256:\xff\xfe\",\"size\":1}]}") }, words: "cannot be"},
		"invalid UTF-8 in two keys":     {body: func() []byte { return []byte("{\"manifests\":[],\"\xff\":1,\"\xfe\":2}") }, words: "twice"},
		"a number without end":          {body: filled(`{"manifests":[{"size":`, `9`, `}]}`, 4<<20-100), words: "not taken"},
		"both kinds":                    {body: func() []byte { return []byte(`{"manifests":[],"layers":[]}`) }, words: "at once"},
		"nothing at all":                {answer: func(http.ResponseWriter) {}, words: "not taken"},
		"headers without end": {answer: func(w http.ResponseWriter) {
			w.Header()["X-Filler"] = fillers
		}, words: "header"},
	}
}

func manyKeys(n int) []byte {
	var b bytes.Buffer
	b.WriteString(`{"schemaVersion":2,"manifests":[],"annotations":{"a":""`)
	for i := range n {
		fmt.Fprintf(&b, `,"%x":1`, i)
		if b.Len() > maxManifestBytes-32 {
			break
		}
	}
	b.WriteString("}}")
	return b.Bytes()
}

func bomb() []byte {
	var b bytes.Buffer
	zw, _ := gzip.NewWriterLevel(&b, gzip.BestCompression)
	_, _ = io.CopyN(zw, zeros{}, 64<<20)
	_ = zw.Close()
	return b.Bytes()
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// TestEvilAnswersCostLittleAndSayWhatTheyAre: ten looks at once, each answered
// so, take at most 32 MiB more memory together, end within seconds, are sent
// no more than twice, and are Invalid.
func TestEvilAnswersCostLittleAndSayWhatTheyAre(t *testing.T) {
	for name, e := range evils() {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, standin.Behaviour{}, nil)
			digest := "sha256:" + strings.Repeat("0", 64)
			if e.body != nil {
				digest = w.PutRaw(repoName, ociIndex, e.body())
			}
			w.Behave(func(b *standin.Behaviour) {
				b.NoHead = true
				b.Answer = func(rw http.ResponseWriter, r *http.Request) bool {
					if e.answer == nil || r.Method == http.MethodHead {
						return false
					}
					e.answer(rw)
					return true
				}
			})
			w.Move(repoName, "1", digest)
			twentyLooks := func() {
				var wg sync.WaitGroup
				for range 10 {
					wg.Go(func() {
						_, byTag := w.us.Digest(t.Context(), tagRef)
						_, byDigest := w.us.Snapshot(t.Context(), target(tagRef), digest)
						for _, err := range []error{byTag, byDigest} {
							if err == nil || !strings.Contains(err.Error(), e.words) && !strings.Contains(err.Error(), "has the digest") {
								t.Errorf("got %v, want %q", err, e.words)
							}
							if p := watcher.ProblemOf(err); p != watcher.Invalid && p != watcher.Unreachable {
								t.Errorf("a problem %s", p)
							}
						}
					})
				}
				wg.Wait()
			}
			grown, took := costOf(t, twentyLooks)
			if grown > 32<<20 { // a busy machine's collector lags behind
				w.ResetCounts()
				grown, took = costOf(t, twentyLooks)
			}
			t.Logf("%.1f MiB more at the peak, %s for 20 looks, %+v", float64(grown)/(1<<20), took.Round(time.Millisecond), w.Counts())
			if grown > 32<<20 {
				t.Errorf("it took %d MiB", grown>>20)
			}
			if n := w.Counts().Get; n > 2*20 {
				t.Errorf("it was asked for %d times by 20 looks", n)
			}
		})
	}
}

// costOf is how much the heap grew at most while f ran, and how long it took.
func costOf(t *testing.T, f func()) (grown uint64, took time.Duration) {
	t.Helper()
	heap := func() uint64 {
		s := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
		metrics.Read(s)
		return s[0].Value.Uint64()
	}
	runtime.GC()
	debug.FreeOSMemory()
	before, peak := heap(), uint64(0)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		for ctx.Err() == nil {
			peak = max(peak, heap())
			time.Sleep(time.Millisecond)
		}
	})
	began := time.Now()
	f()
	took = time.Since(began)
	cancel()
	wg.Wait()
	return peak - min(before, peak), took
}

// TestASlowRegistryEndsWithItsTime: one byte every ten seconds, of the header or
// of the body, and another host is not slower for it.
func TestASlowRegistryEndsWithItsTime(t *testing.T) {
	for name, answer := range map[string]func(rw http.ResponseWriter, r *http.Request){
		"body": func(rw http.ResponseWriter, r *http.Request) {
			rw.Header().Set("Content-Type", ociIndex)
			for r.Context().Err() == nil {
				if _, err := io.WriteString(rw, " "); err != nil {
					return
				}
				_ = http.NewResponseController(rw).Flush()
				time.Sleep(10 * time.Second)
			}
		},
		"header": func(rw http.ResponseWriter, _ *http.Request) {
			conn, _, err := http.NewResponseController(rw).Hijack()
			if err != nil {
				return
			}
			defer func() { _ = conn.Close() }()
			for _, b := range []byte("HTTP/1.1 200 OK\r\nDocker-Content-Digest: sha256:0000000000000000000000") {
				if _, err := conn.Write([]byte{b}); err != nil {
					return
				}
				time.Sleep(10 * time.Second)
			}
		},
	} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld(t, standin.Behaviour{NoHead: true}, nil)
			other := standin.NewRegistry(standin.Behaviour{})
			w.serve(t, "other.example.com", other)
			d := other.Push(repoName, "1", linux)
			w.us = w.connect(t, Config{Hosts: map[string]HostConfig{hostName: plain(), "other.example.com": plain()}})
			w.Behave(func(b *standin.Behaviour) {
				b.Answer = func(rw http.ResponseWriter, r *http.Request) bool {
					if r.Method == http.MethodHead && name == "body" {
						return false
					}
					answer(rw, r)
					return true
				}
			})
			var wg sync.WaitGroup
			began := time.Now()
			for range 20 {
				wg.Go(func() {
					ctx, cancel := contextWithTimeout(t, time.Minute) // as the loop does
					defer cancel()
					_, err := w.us.Digest(ctx, tagRef)
					wantUnreachable(t, err)
				})
			}
			time.Sleep(time.Second)
			mustDigest(t, w.us, "other.example.com/"+repoName+":1", d)
			if took := time.Since(began); took != time.Second {
				t.Errorf("%s: the other host took %s", name, took-time.Second)
			}
			wg.Wait()
			if took := time.Since(began); took > time.Minute {
				t.Errorf("%s: 20 looks took %s", name, took)
			}
		})
	}
}

func wantUnreachable(t *testing.T, err error) {
	t.Helper()
	if err == nil || watcher.ProblemOf(err) != watcher.Unreachable {
		t.Errorf("got %v", err)
	}
}
