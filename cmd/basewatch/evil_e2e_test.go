package main

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"basewatch/internal/standin"
	"basewatch/internal/web"
)

// TestEvilRegistryCostsTheDaemonLittleMemory: twenty images of one registry
// turn evil at once: bodies without end, a million entries, a hundred thousand
// levels, megabytes of one word. What the process takes grows by 32 MiB at
// most, all are shown as failing, and another registry is looked at as before.
func TestEvilRegistryCostsTheDaemonLittleMemory(t *testing.T) {
	t.Parallel()
	bad, good := standin.NewRegistry(standin.Behaviour{}), standin.NewRegistry(standin.Behaviour{})
	badServer, goodServer := standin.Serve(bad), standin.Serve(good)
	t.Cleanup(badServer.Close)
	t.Cleanup(goodServer.Close)
	refs := bad.Fleet(20, 1, onePlatform("1"))
	good.Push("acme/base", "1", twoPlatforms("1"))
	hosts := ""
	for _, h := range []string{badServer.Host, goodServer.Host} {
		hosts += fmt.Sprintf("[registry.%q]\nplain_http = true\nper_minute = 0\n", h)
	}
	d := newDaemon(t, "[poll]\ninterval = \"1s\"\n"+hosts+strings.ReplaceAll(watch("1s", refs), testRegistry, badServer.Host)+
		fmt.Sprintf("[[watch]]\nimages = [%q]\n", goodServer.Host+"/acme/base:1"))
	d.start()
	d.fresh(len(refs) + 1)
	seenAgainOf(d, goodServer.Host+"/acme/base:1")
	before := d.memory("VmRSS")
	turnEvil(bad, refs)
	d.eventually("all evil images have failed twice", func() bool {
		n := 0
		for _, p := range d.problems() {
			if p.Looks >= 2 {
				n++
			}
		}
		return n == len(refs)
	})
	peak := d.memory("VmHWM")
	t.Logf("resident memory %d KiB before, %d KiB at the peak: %+d KiB", before, peak, peak-before)
	if peak-before > 32<<10 {
		t.Errorf("resident memory grew from %d to %d KiB", before, peak)
	}
	seenAgainOf(d, goodServer.Host+"/acme/base:1")
	d.stop()
	if s := d.out.String(); strings.Contains(s, "panic") {
		t.Errorf("it panicked:\n%s", s)
	}
}

// turnEvil moves each tag to something bad.
func turnEvil(r *standin.Registry, refs []string) {
	bodies := []string{
		`{"schemaVersion":2,"manifests":[` + strings.Repeat(`{},`, 1e6) + `{}]}`,
		`{"schemaVersion":2,"manifests":` + strings.Repeat(`[`, 1e5),
		`{"` + strings.Repeat("a", 4<<20-10) + `":1}`,
	}
	for i, ref := range refs {
		repo, tag, _ := strings.Cut(ref, ":")
		if i%4 == 3 {
			r.Move(repo, tag, "sha256:"+strings.Repeat("e", 64))
			continue
		}
		r.Move(repo, tag, r.PutRaw(repo, "application/vnd.oci.image.index.v1+json", []byte(bodies[i%4])))
	}
	r.Behave(func(b *standin.Behaviour) {
		b.Answer = func(w http.ResponseWriter, req *http.Request) bool {
			if !strings.HasSuffix(req.URL.Path, "eeee") {
				return repliesWith(w, req, r, "sha256:"+strings.Repeat("e", 64))
			}
			for chunk := bytes.Repeat([]byte(" "), 64<<10); ; {
				if _, err := w.Write(chunk); err != nil {
					return true
				}
			}
		}
	})
}

// repliesWith answers the HEAD of a tag that points to what was never put.
func repliesWith(w http.ResponseWriter, req *http.Request, r *standin.Registry, digest string) bool {
	repo, tag, ok := strings.Cut(strings.TrimPrefix(req.URL.Path, "/v2/"), "/manifests/")
	if !ok || req.Method != http.MethodHead || r.Digest(repo, tag) != digest {
		return false
	}
	w.Header().Set("Docker-Content-Digest", digest)
	return true
}

// memory reads a figure of the process, in KiB.
func (d *daemon) memory(name string) int {
	d.t.Helper()
	status, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(d.cmd.Process.Pid), "status"))
	if err != nil {
		d.t.Skipf("SKIPPED: no /proc to read memory from: %v", err)
	}
	_, rest, _ := strings.Cut(string(status), name+":")
	n, err := strconv.Atoi(strings.Fields(rest)[0])
	if err != nil {
		d.t.Fatal(err)
	}
	return n
}

func (d *daemon) problems() []web.Trouble {
	st, err := d.client().Status(d.t.Context())
	if err != nil {
		return nil
	}
	return st.Problems
}

// seenAgainOf waits for two more good looks at one image.
func seenAgainOf(d *daemon, ref string) {
	d.t.Helper()
	last := func() time.Time {
		list, err := d.client().Targets(d.t.Context(), web.TargetsQuery{})
		if err != nil {
			return time.Time{}
		}
		for _, target := range list.Targets {
			if target.Ref == ref {
				return target.LastGood
			}
		}
		return time.Time{}
	}
	for range 2 {
		before := last()
		d.eventually("the next look at "+ref, func() bool { return last().After(before) })
	}
}
