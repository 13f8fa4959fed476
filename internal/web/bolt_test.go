package web_test

import (
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"basewatch/internal/outbox"
	"basewatch/internal/store/bolt"
	"basewatch/internal/web"
	"basewatch/watcher"
)

const alpine = "docker.io/library/alpine:3.22"

func snapshot(c string) *watcher.Snapshot {
	d := "sha256:" + strings.Repeat(c, 64)
	return &watcher.Snapshot{Index: d, Platforms: map[string]watcher.Manifest{"linux/amd64": {Digest: d}}, SeenAt: time.Now()}
}

// look reports a state with its events, as the loop does.
func look(t *testing.T, s *bolt.Store, st watcher.State, es ...watcher.Event) {
	t.Helper()
	claims, err := s.Claim(t.Context(), watcher.ClaimRequest{Host: "docker.io", Max: 1, TTL: time.Minute, Refs: []string{alpine}})
	if err != nil || len(claims) != 1 {
		t.Fatalf("claims %v, %v", claims, err)
	}
	st.Seen, st.NextAt = st.Current.Index, time.Now().Add(15*time.Minute)
	st.Health = watcher.Health{LastLook: time.Now(), LastGood: time.Now()}
	r := watcher.Result{Ref: alpine, Token: claims[0].Token, NextAt: st.NextAt, State: &st, Events: es}
	for _, e := range es {
		kind := map[watcher.Kind]watcher.NoteKind{watcher.Changed: watcher.NoteChanged, watcher.Baseline: watcher.NoteBaseline}[e.Kind]
		r.Notes = append(r.Notes, watcher.Note{At: e.At, Kind: kind, Index: e.New.Index, Event: &e})
	}
	if v, err := s.Report(t.Context(), []watcher.Result{r}); err != nil || v[0] != watcher.Accepted {
		t.Fatalf("report: %v, %v", v, err)
	}
}

// TestTheAPIOverTheRealStore follows one change from its record to a replay.
func TestTheAPIOverTheRealStore(t *testing.T) {
	router, err := outbox.NewRouter(nil, []outbox.ReceiverInfo{{Name: "audit", Kind: "webhook"}})
	if err != nil {
		t.Fatal(err)
	}
	s, err := bolt.Open(t.Context(), bolt.Options{Path: filepath.Join(t.TempDir(), "b.db"), Plan: router.Plan, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	if err := s.Watch(t.Context(), "config", []watcher.Target{{Ref: alpine, Platforms: []string{"linux/amd64"}, Every: 15 * time.Minute}}); err != nil {
		t.Fatal(err)
	}
	base := watcher.Event{Kind: watcher.Baseline, Ref: alpine, At: time.Now(), New: snapshot("a")}
	base.Identify()
	look(t, s, watcher.State{Current: snapshot("a")}, base)
	change := watcher.Event{Kind: watcher.Changed, Ref: alpine, Seq: 1, At: time.Now(), Old: snapshot("a"), New: snapshot("b")}
	change.Identify()
	look(t, s, watcher.State{Seq: 1, Current: snapshot("b"), ToldAt: time.Now()}, change)

	server, err := web.New(web.Config{Name: "prod-eu", Targets: s, Queue: s, Mover: s, Disk: s, Router: router, Logger: slog.New(slog.DiscardHandler),
		Receivers: func() []web.Receiver { return []web.Receiver{{Name: "audit", Kind: "webhook"}} }})
	if err != nil {
		t.Fatal(err)
	}
	c, ctx := web.NewClient("", web.InProcess(server.SocketHandler()), ""), t.Context()

	st, err := c.Status(ctx)
	if err != nil || st.Images.Fresh != 1 || st.Images.ChangesToday != 1 || st.Queue.Waiting != 1 || st.Store.Bytes == 0 || len(st.Problems) != 0 {
		t.Errorf("status %+v, %v", st, err)
	}
	h, err := c.History(ctx, web.HistoryQuery{Ref: "alpine:3.22"})
	if err != nil || len(h.Lines) != 2 || h.Lines[0].Seq != 1 || h.Lines[0].Planned != 1 || h.Lines[0].Told != 0 {
		t.Fatalf("history %+v, %v", h, err)
	}
	x, err := c.Explain(ctx, "alpine:3.22@1")
	if err != nil || len(x.Deliveries) != 1 || x.Deliveries[0].Lane != "audit" || !x.Routes[0].Matched {
		t.Fatalf("explain %+v, %v", x, err)
	}
	id := x.Deliveries[0].ID
	if r, err := c.Retry(ctx, web.RetryRequest{IDs: []string{id[:8]}}); err != nil || r.Retried != 1 {
		t.Errorf("retry %+v, %v", r, err)
	}

	rows, err := s.Outbox().Claim(ctx, outbox.ClaimRequest{Lane: "audit", Max: 1, TTL: time.Minute})
	if err != nil || len(rows) != 1 {
		t.Fatalf("claim %v, %v", rows, err)
	}
	step := outbox.Step{ID: id, Token: rows[0].Token, State: outbox.Delivered, Attempt: &outbox.Attempt{At: time.Now(), Outcome: outbox.Success}}
	if err := s.Outbox().Settle(ctx, outbox.Settlement{Steps: []outbox.Step{step}}); err != nil {
		t.Fatal(err)
	}
	if h, err = c.History(ctx, web.HistoryQuery{Ref: "alpine:3.22"}); err != nil || h.Lines[0].Told != 1 {
		t.Errorf("history %+v, %v", h, err)
	}
	if r, err := c.Replay(ctx, web.ReplayRequest{Receiver: "audit", Since: time.Now().Add(-time.Hour)}); err != nil || r.Replayed != 1 || r.Deliveries[0].ID != id {
		t.Errorf("replay %+v, %v", r, err)
	}
	if d, err := c.Deliveries(ctx, web.DeliveriesQuery{ID: id}); err != nil || len(d.Deliveries) != 1 ||
		d.Deliveries[0].State != outbox.Waiting || d.Deliveries[0].Kind != watcher.Changed || len(d.Deliveries[0].Audit) != 1 {
		t.Errorf("deliveries %+v, %v", d, err)
	}
}
