package bolt

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.etcd.io/bbolt"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

// FilesVariable names a list of files that a child process checks.
const FilesVariable = "BASEWATCH_TEST_STORES_TO_CHECK"

// CheckFiles is the child: it checks one file after the other, as far as it
// lives, and says what it found.
func CheckFiles(list string) {
	for path := range strings.SplitSeq(list, "\n") {
		_, err := Check(path)
		verdict := "sound"
		if err != nil {
			verdict = err.Error()
		}
		fmt.Println(path + "\t" + strings.ReplaceAll(verdict, "\n", " "))
	}
}

// checkInChildren gives the verdict on each file. A file that ends the process
// has none of its own.
func checkInChildren(t *testing.T, paths []string) (verdicts map[string]string, died int) {
	t.Helper()
	verdicts = make(map[string]string)
	for len(paths) > 0 {
		child := exec.CommandContext(t.Context(), os.Args[0])
		child.Env = append(os.Environ(), FilesVariable+"="+strings.Join(paths, "\n"), "GOTRACEBACK=none")
		out, err := child.StdoutPipe()
		must(t, err)
		must(t, child.Start())
		for lines := bufio.NewScanner(out); lines.Scan(); {
			path, verdict, ok := strings.Cut(lines.Text(), "\t")
			if !ok || len(paths) == 0 || path != paths[0] {
				t.Fatalf("the child said %q", lines.Text())
			}
			verdicts[path], paths = verdict, paths[1:]
		}
		if child.Wait() != nil && len(paths) > 0 {
			verdicts[paths[0]], paths = "it ended the process", paths[1:]
			died++
		}
	}
	return verdicts, died
}

// stillRegistry is a registry that never moves.
type stillRegistry map[string]watcher.Snapshot

func (r stillRegistry) Digest(_ context.Context, ref string) (string, error) {
	return r[ref].Index, nil
}

func (r stillRegistry) Snapshot(_ context.Context, t watcher.Target, _ string) (watcher.Snapshot, error) {
	return r[t.Ref], nil
}

func (r stillRegistry) Tags(context.Context, watcher.Target) ([]string, error) { return nil, nil }

func (r stillRegistry) Allowance(string) (int, time.Time) { return 100, time.Time{} }

// lived makes a store that has lived for a while: targets that changed and were
// told, rows that wait. The file is as small as it can be, so that damage hits
// what is used.
func lived(t *testing.T) (path string, registry stillRegistry, ts []watcher.Target, events map[string]bool) {
	t.Helper()
	s := openNew(t, Options{Plan: testPlan})
	ts = manyTargets(60)
	must(t, s.Watch(t.Context(), "config", ts))
	registry, events = stillRegistry{}, map[string]bool{}
	for i, target := range ts {
		for seq := range uint64(4) {
			change(t, s, target.Ref, seq+1)
			events[testChange(target.Ref, seq+1).Key] = true
		}
		registry[target.Ref] = *testSnapshot(2)
		if i%2 == 0 {
			deliverAll(t, s, "hook")
			deliverAll(t, s, "slack:#shop")
		}
	}
	s.write <- struct{}{}
	s.lighten()
	<-s.write
	path = filepath.Join(t.TempDir(), "small.db")
	small, err := bbolt.Open(path, 0o600, nil)
	must(t, err)
	must(t, errors.Join(bbolt.Compact(small, s.db, 0), small.Close()))
	return path, registry, ts, events
}

// fastDir is a directory in memory, where there is one: what is synced there
// is not what these tests are about.
func fastDir(t *testing.T) string {
	dir, err := os.MkdirTemp("/dev/shm", "basewatch-test") //nolint:usetesting // t.TempDir is on a disk
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// mutate damages a copy in one of several ways.
func mutate(r *rand.Rand, whole []byte) []byte {
	const page = 4096
	data := append([]byte(nil), whole...)
	at := func() int { return r.IntN(len(data)/page) * page }
	switch r.IntN(8) {
	case 0, 1, 2: // bits
		for range 1 + r.IntN(8) {
			data[r.IntN(len(data))] ^= 1 << r.IntN(8)
		}
	case 3: // bits in what bbolt keeps at the beginning of a page
		for range 1 + r.IntN(4) {
			data[at()+r.IntN(64)] ^= 1 << r.IntN(8)
		}
	case 4: // a page that was never written
		clear(data[at():][:page])
	case 5: // a page that went to the place of another
		copy(data[at():][:page], data[at():][:page])
	case 6: // noise
		for p := at() + r.IntN(page-512); r.IntN(512) > 0; p++ {
			data[p%len(data)] = byte(r.Uint32())
		}
	case 7: // cut off
		data = data[:r.IntN(len(data))]
	}
	return data
}

// 500 damaged files: each is refused with a remedy, or used without a crash
// and without an event that the registry did not give cause for.
func TestFiveHundredDamagedFilesCrashNothingAndTellNothing(t *testing.T) {
	path, registry, ts, events := lived(t)
	whole, err := os.ReadFile(path)
	must(t, err)
	r := rand.New(rand.NewPCG(11, 7))
	dir := fastDir(t)
	var paths []string
	for i := range 500 {
		p := filepath.Join(dir, fmt.Sprintf("%03d.db", i))
		must(t, os.WriteFile(p, mutate(r, whole), 0o600))
		paths = append(paths, p)
	}
	verdicts, died := checkInChildren(t, paths)
	refused, used := 0, 0
	synctest.Test(t, func(t *testing.T) { // a look waits for a target that cannot be claimed
		for _, p := range paths {
			if tryDamaged(t, p, verdicts[p], registry, ts, events) {
				used++
			} else {
				refused++
			}
		}
	})
	t.Logf("%d refused (%d ended the process that checked them), %d used", refused, died, used)
	if refused == 0 || used == 0 {
		t.Error("the damage is not of both kinds")
	}
}

// tryDamaged uses a file if the store does.
func tryDamaged(t *testing.T, path, verdict string, registry stillRegistry, ts []watcher.Target, events map[string]bool) (used bool) {
	t.Helper()
	check := func(context.Context, string) error {
		if verdict != "sound" {
			return errors.New(verdict)
		}
		return nil
	}
	s, err := Open(t.Context(), Options{Path: path, Plan: testPlan, Check: check})
	if err != nil {
		return false
	}
	must(t, s.Watch(t.Context(), "config", ts))
	useDamaged(t, s, registry, ts, events)
	if err := s.Close(); err != nil {
		t.Errorf("%s: close: %v", path, err)
	}
	return true
}

// useDamaged looks at all targets and reads all that waits.
func useDamaged(t *testing.T, s *Store, registry stillRegistry, ts []watcher.Target, events map[string]bool) {
	t.Helper()
	loop := watcher.NewLoop(watcher.LoopConfig{Store: s, Hosts: s, Registry: registry, Logger: slog.New(slog.DiscardHandler),
		Policy: watcher.SettlePolicy{Settle: time.Minute, SettleMax: time.Hour}})
	var refs []string
	for _, target := range ts {
		refs = append(refs, target.Ref)
	}
	results, err := loop.Check(t.Context(), refs)
	must(t, err)
	for _, r := range results {
		for _, e := range r.Events {
			if e.Kind != watcher.Baseline {
				t.Errorf("%s: a false %s", s.Path(), e.Key)
			}
		}
	}
	for _, lane := range []string{"hook", "slack:#shop"} {
		for _, d := range claimAll(t, s, lane) {
			if !events[d.Event.Key] && d.Event.Kind != watcher.Baseline {
				t.Errorf("%s: a false delivery of %s", s.Path(), d.Event.Key)
			}
		}
	}
	_, history := s.History(t.Context(), refs[0], time.Time{}, 0)
	_, rows := s.Deliveries(t.Context(), outbox.Query{})
	if err := errors.Join(history, rows); err != nil {
		t.Logf("%s: %v", s.Path(), err)
	}
}

func TestCheckSaysWhatIsWrong(t *testing.T) {
	whole := func() string {
		s := openNew(t, Options{Plan: testPlan})
		must(t, s.Watch(t.Context(), "config", []watcher.Target{testTarget(testRef)}))
		change(t, s, testRef, 1)
		must(t, s.Close())
		return s.Path()
	}
	path := whole()
	found, err := Check(path)
	if err != nil || found.Damaged != 0 || found.Values < 10 {
		t.Errorf("%+v, %v", found, err)
	}
	s, _ := damaged(t, historyBucket, testRef)
	must(t, s.Close())
	found, err = Check(s.Path())
	if err != nil || found.Damaged != 1 || !strings.Contains(found.First, "history") {
		t.Errorf("%+v, %v", found, err)
	}
	must(t, os.Truncate(path, 64<<10))
	must(t, os.WriteFile(path+".bak", []byte("no copy"), 0o600))
	sound, err := os.ReadFile(s.Path())
	must(t, err)
	must(t, os.WriteFile(path+".old", sound, 0o600))
	_, err = Check(path)
	for _, want := range []string{"damaged", "ends after 65536", "cp COPY", "copies beside it: basewatch.db.old"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v does not say %q", err, want)
		}
	}
	if strings.Contains(err.Error(), ".bak") {
		t.Errorf("error %v names what is no copy", err)
	}
	open := openNew(t, Options{})
	if _, err := Check(open.Path()); !errors.Is(err, ErrLocked) {
		t.Errorf("error %v", err)
	}
}

// The check is for files that nobody closed in order, or that were touched
// since: a start after an ordered stop does not wait for it.
func TestOnlyAFileThatWasTouchedIsChecked(t *testing.T) {
	checks := 0
	o := Options{Check: func(context.Context, string) error { checks++; return nil }}
	s := openNew(t, o)
	o.Path = s.Path()
	must(t, s.Close())
	s = openAt(t, o)
	if checks != 0 {
		t.Error("a file that was closed in order was checked")
	}
	must(t, s.Watch(t.Context(), "config", []watcher.Target{testTarget(testRef)}))
	killed, err := os.ReadFile(s.Path())
	must(t, err)
	must(t, s.Close())
	must(t, os.WriteFile(s.Path(), killed, 0o600))
	must(t, openAt(t, o).Close())
	if checks != 1 {
		t.Errorf("a file that was touched was checked %d times", checks)
	}
	o.Check = func(context.Context, string) error { return errors.New("rotten") }
	must(t, os.WriteFile(s.Path(), killed, 0o600))
	if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "rotten") {
		t.Errorf("error %v", err)
	}
}
