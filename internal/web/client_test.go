package web

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"basewatch/internal/outbox"
	"basewatch/watcher"
)

func must[T any](v T, err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func TestStatusTellsTheWholeStory(t *testing.T) {
	s := newShop(time.Now())
	st := must(s.open(t).Status(t.Context()))(t)
	if st.Name != "prod-eu" || st.Config.Sum != "4be1" || st.Store.Bytes != 41<<20 || st.StartedAt.IsZero() {
		t.Errorf("%+v", st)
	}
	images := st.Images
	images.OldestLook = time.Time{}
	if d := cmp.Diff(StatusImages{Total: 3, Fresh: 1, Settling: 1, Failing: 1, Asleep: 1, ChangesToday: 2}, images); d != "" {
		t.Error(d)
	}
	if len(st.Receivers) != 2 || st.Receivers[0].Lane != "audit" || st.Receivers[0].State != "ok" ||
		st.Receivers[1].State != "failing" || st.Receivers[1].Why != "503" || st.Receivers[1].Waiting != 2 || st.Receivers[1].NextTry.IsZero() {
		t.Errorf("%+v", st.Receivers)
	}
	if len(st.Registries) != 1 || st.Registries[0].Targets != 3 || st.Registries[0].Stretch != 1 {
		t.Errorf("%+v", st.Registries)
	}
	var problems []string
	for _, p := range st.Problems {
		problems = append(problems, p.Kind+" "+p.What+": "+p.Text+" | "+p.Explain)
	}
	if d := cmp.Diff([]string{
		"registry docker.io: pull budget 12/200 in 0s: HEADs go on, details wait | ",
		"image nginx:alpne: not-found: no such tag | basewatch explain nginx:alpne",
		"receiver slack:#shop: failing: 503 | basewatch deliveries --receiver slack:#shop",
	}, problems); d != "" {
		t.Error(d)
	}
}

func TestStatusListsAtMostAHundredProblems(t *testing.T) {
	s := newShop(time.Now())
	for range 150 {
		s.records = append(s.records, s.records[1])
	}
	st := must(s.open(t).Status(t.Context()))(t)
	if len(st.Problems) != maxTroubles || st.MoreProblems != 53 {
		t.Errorf("%d problems, %d more", len(st.Problems), st.MoreProblems)
	}
}

func TestStatusShowsWhatElseCanBeWrong(t *testing.T) {
	s := newShop(time.Now())
	s.lanes[0].Lane = outbox.Lane{Name: "gone", ParkedSince: time.Now()}
	s.rows[0].State = outbox.Dead
	s.loads[0].PerMinute = 600
	s.records[2].State.MissingSince = map[string]time.Time{"linux/arm64": time.Now()}
	cfg := s.config(t)
	cfg.Registries = func() []Registry {
		return []Registry{{Host: "docker.io", PerMinute: 120, PausedUntil: time.Now().Add(time.Hour), Why: "429"},
			{Host: "ghcr.io", PausedUntil: time.Now().Add(-time.Hour), Why: "it has passed"}}
	}
	st := must(NewClient("", InProcess(server(t, cfg).SocketHandler()), "").Status(t.Context()))(t)
	var all []string
	for _, p := range st.Problems {
		all = append(all, p.What+": "+p.Text)
	}
	joined := strings.Join(all, "\n")
	for _, want := range []string{"gone: parked: no receiver of this name", "deliveries: 1 was given up", "docker.io: asks to wait until",
		"stretched", "python:3.13-slim: linux/arm64 is wanted and absent"} {
		if !strings.Contains(joined, want) {
			t.Errorf("missing %q in\n%s", want, joined)
		}
	}
	if strings.Contains(joined, "it has passed") {
		t.Error("a pause that is over is a problem")
	}
}

func TestTargetsComeInPages(t *testing.T) {
	c := newShop(time.Now()).open(t)
	var got []string
	for q := (TargetsQuery{Limit: 3}); ; {
		l := must(c.Targets(t.Context(), q))(t)
		for _, target := range l.Targets {
			got = append(got, target.Short+" "+string(target.Standing))
		}
		if l.Next == "" {
			break
		}
		q.After = l.Next
	}
	want := []string{"alpine:3.19 asleep", "nginx:alpne failing", "python:3.13-slim fresh", "ruby:3.4-slim settling"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	failing := must(c.Targets(t.Context(), TargetsQuery{Standing: "failing"}))(t)
	if len(failing.Targets) != 1 || failing.Targets[0].Reason != "no such tag" || failing.Targets[0].Failures != 3 || !failing.Targets[0].Told {
		t.Errorf("%+v", failing)
	}
}

func TestHistoryCountsWhoWasTold(t *testing.T) {
	s := newShop(time.Now())
	c := s.open(t)
	told := func() (lines []string) {
		for _, l := range must(c.History(t.Context(), HistoryQuery{Ref: "python:3.13-slim"}))(t).Lines {
			lines = append(lines, fmt.Sprintf("%s %d/%d", l.Event.Handle(), l.Told, l.Planned))
		}
		return lines
	}
	newer, older := &s.rows[1], &s.rows[3]
	older.State, older.By = outbox.Superseded, newer.ID
	if d := cmp.Diff([]string{"python:3.13-slim@42 1/2", "python:3.13-slim@41 1/2"}, told()); d != "" {
		t.Error("while the newer one waits: " + d)
	}
	newer.State = outbox.Delivered
	if d := cmp.Diff([]string{"python:3.13-slim@42 2/2", "python:3.13-slim@41 2/2"}, told()); d != "" {
		t.Error("when it has arrived: " + d)
	}
	if one := must(s.open(t).History(t.Context(), HistoryQuery{Ref: python, Limit: 1}))(t); len(one.Lines) != 1 || !one.More {
		t.Errorf("%+v", one)
	}
	if none := must(s.open(t).History(t.Context(), HistoryQuery{Ref: python, Since: time.Now().Add(time.Hour)}))(t); len(none.Lines) != 0 || none.More {
		t.Errorf("%+v", none)
	}
}

func TestDeliveriesAreSelected(t *testing.T) {
	s := newShop(time.Now())
	c := s.open(t)
	for _, tt := range []struct {
		q    DeliveriesQuery
		want int
	}{
		{DeliveriesQuery{}, 4},
		{DeliveriesQuery{Receiver: "slack"}, 2},
		{DeliveriesQuery{Receiver: "slack:#shop", State: "waiting"}, 2},
		{DeliveriesQuery{State: "delivered"}, 2},
		{DeliveriesQuery{Image: "python:3.13-slim", Limit: 3}, 3},
		{DeliveriesQuery{Image: "ruby:3.4-slim"}, 0},
		{DeliveriesQuery{Since: time.Now().Add(time.Hour)}, 0},
		{DeliveriesQuery{ID: strings.ToLower(s.rows[0].ID[:6])}, 1},
	} {
		l := must(c.Deliveries(t.Context(), tt.q))(t)
		if len(l.Deliveries) != tt.want || l.More != (tt.q.Limit == 3) {
			t.Errorf("%+v: %d deliveries, more %v", tt.q, len(l.Deliveries), l.More)
		}
		for _, d := range l.Deliveries {
			if d.Attempts != 2 || d.Last == nil || d.Last.Answer != "503" || (len(d.Audit) == 2) != (tt.q.ID != "") {
				t.Errorf("%+v: attempts of %+v", tt.q, d)
			}
		}
	}
	if _, err := c.Deliveries(t.Context(), DeliveriesQuery{Receiver: "slak"}); err == nil || !strings.Contains(err.Error(), "near: slack") {
		t.Errorf("%v", err)
	}
}

func TestAWaitingDeliveryOfAFailingLaneNamesTheNextProbe(t *testing.T) {
	s := newShop(time.Now())
	l := must(s.open(t).Deliveries(t.Context(), DeliveriesQuery{Receiver: "slack"}))(t)
	if got := l.Deliveries[0].NextAt; !got.Equal(s.lanes[0].Lane.ProbeAt) {
		t.Errorf("next at %s, want %s", got, s.lanes[0].Lane.ProbeAt)
	}
}

func TestExplainAnswersWhy(t *testing.T) {
	s := newShop(time.Now())
	c := s.open(t)
	change := must(c.Explain(t.Context(), "python:3.13-slim@42"))(t)
	if change.About != "change" || change.What != python+"@42" || change.Event.Seq != 42 || len(change.Deliveries) != 2 {
		t.Errorf("%+v", change)
	}
	want := []outbox.Decision{
		{Route: "route[0]", Matched: true, Lanes: []string{"slack:#shop", "audit"}},
		{Route: "route[1]", Why: "labels team=ops"},
	}
	if d := cmp.Diff(want, change.Routes, cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".targets" }, cmp.Ignore())); d != "" {
		t.Error(d)
	}
	image := must(c.Explain(t.Context(), "python:3.13-slim"))(t)
	if image.About != "target" || image.Target.Standing != Fresh || image.Event.Seq != 42 || len(image.Lines) != 2 {
		t.Errorf("%+v", image)
	}
	never := must(c.Explain(t.Context(), "ruby:3.4-slim"))(t)
	if never.Event != nil || len(never.Routes) != 2 || !never.Routes[0].Matched {
		t.Errorf("a change to come: %+v", never)
	}
	delivery := must(c.Explain(t.Context(), s.rows[0].ID[:5]))(t)
	if delivery.About != "delivery" || delivery.What != s.rows[0].ID || len(delivery.Deliveries) != 1 || len(delivery.Deliveries[0].Audit) != 2 {
		t.Errorf("%+v", delivery)
	}
}

func TestCheckLooksAtWhatIsWatchedOnly(t *testing.T) {
	s := newShop(time.Now())
	c := s.open(t)
	l := must(c.Check(t.Context(), "ruby:3.4-slim", "nginx:alpne", "docker.io/library/ruby:3.4-slim"))(t)
	if d := cmp.Diff([]string{ruby, nginx}, s.checked); d != "" {
		t.Error(d)
	}
	if len(l.Results) != 2 || !l.Results[0].Moved || l.Results[0].Target.Standing != Settling || l.Results[1].Problem != watcher.NotFound {
		t.Errorf("%+v", l)
	}
	must(c.Check(t.Context()))(t)
	if d := cmp.Diff([]string{nginx, python, ruby}, s.checked); d != "" {
		t.Error("all: " + d)
	}
}

func TestRetryNamesAReceiverOrRows(t *testing.T) {
	s := newShop(time.Now())
	c := s.open(t)
	if r := must(c.Retry(t.Context(), RetryRequest{Receiver: "slack"}))(t); r.Retried != 1 {
		t.Errorf("%+v", r)
	}
	waiting, delivered := s.rows[1].ID, s.rows[0].ID
	must(c.Retry(t.Context(), RetryRequest{IDs: []string{waiting[:5], waiting}}))(t)
	if d := cmp.Diff([]string{"slack", "", waiting}, s.retried); d != "" {
		t.Error(d)
	}
	_, err := c.Retry(t.Context(), RetryRequest{IDs: []string{delivered}})
	var p *Problem
	if !errors.As(err, &p) || p.Status != http.StatusConflict || !strings.Contains(p.Detail, "basewatch replay") {
		t.Errorf("retry of a delivered row: %v", err)
	}
}

func TestReplayListsBeforeItActs(t *testing.T) {
	s := newShop(time.Now())
	c := s.open(t)
	since := time.Now().Add(-time.Hour)
	dry := must(c.Replay(t.Context(), ReplayRequest{Receiver: "audit", Since: since, DryRun: true}))(t)
	if dry.Replayed != 0 || len(dry.Deliveries) != 2 || s.replayed != nil {
		t.Errorf("%+v, replayed %v", dry, s.replayed)
	}
	wet := must(c.Replay(t.Context(), ReplayRequest{Receiver: "audit", Since: since}))(t)
	if wet.Replayed != 2 || len(s.replayed) != 2 {
		t.Errorf("%+v, replayed %v", wet, s.replayed)
	}
	if none := must(c.Replay(t.Context(), ReplayRequest{Receiver: "slack", Since: since}))(t); none.Replayed != 0 || len(none.Deliveries) != 0 {
		t.Errorf("waiting rows are replayed: %+v", none)
	}
}

func TestAnAmbiguousPrefixListsWhatItMayMean(t *testing.T) {
	s := newShop(time.Now())
	s.rows[0].ID, s.rows[1].ID = "ABCD2222222222222222222222", "ABCD3333333333333333333333"
	_, err := s.open(t).Replay(t.Context(), ReplayRequest{IDs: []string{"abcd"}})
	var p *Problem
	if !errors.As(err, &p) || p.Status != http.StatusConflict || len(p.Near) != 2 {
		t.Errorf("%v", err)
	}
}

func TestTestGoesToTheLaneNamed(t *testing.T) {
	s := newShop(time.Now())
	got := must(s.open(t).Test(t.Context(), TestRequest{Receiver: "slack:#other"}))(t)
	if s.tested != "slack:#other test" || len(got.Deliveries) != 2 {
		t.Errorf("%q, %+v", s.tested, got)
	}
	must(s.open(t).Test(t.Context(), TestRequest{Receiver: "audit", Event: "changed"}))(t)
	if s.tested != "audit changed" {
		t.Errorf("%q", s.tested)
	}
}

// files is a configuration on disk.
type files struct{ err error }

func (f files) Reload(context.Context) (Reloaded, error) {
	return Reloaded{File: "/etc/basewatch.toml", Sum: "77d0", Restart: []string{"store.path"}}, f.err
}

func TestReloadSaysWhatCountsOrWhyNot(t *testing.T) {
	cfg := newShop(time.Now()).config(t)
	_, err := NewClient("", InProcess(server(t, cfg).SocketHandler()), "").Reload(t.Context())
	if err == nil || !strings.Contains(err.Error(), "basewatch run") {
		t.Errorf("without the daemon: %v", err)
	}
	cfg.Reloader = files{}
	r := must(NewClient("", InProcess(server(t, cfg).SocketHandler()), "").Reload(t.Context()))(t)
	if d := cmp.Diff(&Reloaded{File: "/etc/basewatch.toml", Sum: "77d0", Restart: []string{"store.path"}}, r); d != "" {
		t.Error(d)
	}
	cfg.Reloader = files{errors.New("shop.toml:14: route[1].to: no receiver slak")}
	_, err = NewClient("", InProcess(server(t, cfg).SocketHandler()), "").Reload(t.Context())
	var p *Problem
	if !errors.As(err, &p) || p.Status != http.StatusUnprocessableEntity || !strings.Contains(p.Detail, "shop.toml:14") {
		t.Errorf("refused: %v", err)
	}
}

func TestReadyIsAnAnswerAlsoWhenItIsNot(t *testing.T) {
	s := newShop(time.Now())
	c := s.open(t)
	if r := must(c.Ready(t.Context()))(t); !r.Ready {
		t.Errorf("%+v", r)
	}
	s.broken = errors.New("disk full")
	if r := must(c.Ready(t.Context()))(t); r.Ready || len(r.Checks) != 2 {
		t.Errorf("%+v", r)
	}
}

func TestAClientTellsNobodyThereFromARefusal(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "http://" + l.Addr().String()
	_ = l.Close()
	_, err = NewClient("http://user:hunter2@"+strings.TrimPrefix(nobody, "http://"), &http.Client{}, "t0ken").Status(t.Context())
	if !errors.Is(err, ErrUnreachable) || strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "t0ken") {
		t.Errorf("nobody there: %v", err)
	}
	_, err = NewClient("", OverSocket(filepath.Join(t.TempDir(), "none.sock")), "").Status(t.Context())
	if !errors.Is(err, ErrUnreachable) {
		t.Errorf("no socket: %v", err)
	}
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err = newShop(time.Now()).open(t).Status(gone); !errors.Is(err, context.Canceled) || errors.Is(err, ErrUnreachable) {
		t.Errorf("cancelled: %v", err)
	}
	_, err = newShop(time.Now()).open(t).History(t.Context(), HistoryQuery{Ref: "nothing:1"})
	var p *Problem
	if !errors.As(err, &p) || p.Status != 404 || errors.Is(err, ErrUnreachable) {
		t.Errorf("refused: %v", err)
	}
}

func TestAClientKnowsWhatIsNotBasewatch(t *testing.T) {
	for _, answer := range []func(http.ResponseWriter){
		func(w http.ResponseWriter) { _, _ = io.WriteString(w, "<html>please log in</html>") },
		func(w http.ResponseWriter) { w.WriteHeader(http.StatusBadGateway) },
		func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = io.WriteString(w, "{}")
		},
		func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, "[")
		},
	} {
		c := NewClient("", InProcess(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) })), "")
		_, err := c.Status(t.Context())
		if err == nil || errors.Is(err, ErrUnreachable) || !strings.Contains(err.Error(), "answer") {
			t.Errorf("%v", err)
		}
	}
}

func TestEveryEndpointOverARealConnection(t *testing.T) {
	s := newShop(time.Now())
	cfg := s.config(t)
	cfg.Tokens = token("t")
	srv := httptest.NewServer(server(t, cfg).Handler())
	defer srv.Close()
	c, ctx := NewClient(srv.URL+"/", srv.Client(), "t"), t.Context()
	errs := []error{}
	add := func(_ any, err error) { errs = append(errs, err) }
	add(c.Status(ctx))
	add(c.Targets(ctx, TargetsQuery{}))
	add(c.History(ctx, HistoryQuery{Ref: "python:3.13-slim", Since: time.Now().Add(-time.Hour)}))
	add(c.Deliveries(ctx, DeliveriesQuery{Receiver: "slack:#shop"}))
	add(c.Explain(ctx, "python:3.13-slim@41"))
	add(c.Check(ctx, "python:3.13-slim"))
	add(c.Retry(ctx, RetryRequest{Receiver: "slack:#shop"}))
	add(c.Replay(ctx, ReplayRequest{Receiver: "audit", Since: time.Now().Add(-time.Hour)}))
	add(c.Test(ctx, TestRequest{Receiver: "audit"}))
	add(c.Ready(ctx))
	if i := slices.IndexFunc(errs, func(err error) bool { return err != nil }); i >= 0 {
		t.Errorf("call %d: %v", i, errs[i])
	}
	_, err := NewClient(srv.URL, srv.Client(), "").Status(ctx)
	var p *Problem
	if !errors.As(err, &p) || p.Status != http.StatusUnauthorized {
		t.Errorf("without a token: %v", err)
	}
}

func TestIDsAreToldFromImages(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := outbox.DeliveryID(rapid.String().Draw(t, "key"), "slack", "")
		n := rapid.IntRange(minPrefix, len(id)).Draw(t, "n")
		if prefix := id[:n]; strings.ContainsAny(prefix, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") && !IsDeliveryID(prefix) {
			t.Fatalf("%s is not taken for an ID", prefix)
		}
	})
	for _, image := range []string{"alpine", "2345", "python:3.13-slim", "ruby", "ghcr.io/acme/base:MAIN", "ABC", "ALPINE1", ""} {
		if IsDeliveryID(image) {
			t.Errorf("%q is taken for an ID", image)
		}
	}
}
