package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"

	"basewatch/internal/outbox"
	"basewatch/internal/outbox/outboxtest"
	"basewatch/watcher"

	"pgregory.net/rapid"
)

// samples are deliveries of every sort that is sent, by the name of their
// golden files.
func samples() map[string]outbox.Delivery {
	change := func(f func(*outbox.Delivery)) outbox.Delivery {
		d := outboxtest.Change(42)
		f(&d)
		return d
	}
	return map[string]outbox.Delivery{
		"changed": outboxtest.Change(42),
		"changed-partial": change(func(d *outbox.Delivery) {
			d.Event.Partial, d.Event.Awaiting = true, []string{"linux/s390x"}
		}),
		"changed-rollback": change(func(d *outbox.Delivery) { d.Event.Rollback = true }),
		"changed-covers": change(func(d *outbox.Delivery) {
			d.Covers = []outbox.Delivery{outboxtest.Change(40), outboxtest.Change(41)}
		}),
		"changed-late": change(func(d *outbox.Delivery) {
			d.Outage = &outbox.Outage{From: at("09:02"), To: at("13:10"), Reason: "POST slack.com: 503 Service Unavailable", Late: 4*time.Hour + 10*time.Minute}
		}),
		"changed-bare": change(func(d *outbox.Delivery) {
			d.Event.Old.Annotations, d.Event.New.Annotations = nil, nil
		}),
		"baseline": eventOf(watcher.Baseline, func(e *watcher.Event) { e.New = outboxtest.Snapshot(1, e.At) }),
		"failing": eventOf(watcher.Failing, func(e *watcher.Event) {
			e.Problem, e.Reason, e.Since = watcher.NotFound, "no such tag on docker.io; near: alpine, alpine-slim", at("08:09")
		}),
		"failing-elsewhere": eventOf(watcher.Failing, func(e *watcher.Event) {
			e.Ref, e.Problem, e.Reason, e.Since = "ghcr.io/acme/base:main", watcher.Denied, "401 Unauthorized", at("08:09")
		}),
		"failing-host": eventOf(watcher.Failing, func(e *watcher.Event) {
			e.Ref, e.Problem, e.Reason, e.Since = "docker.io", watcher.Unreachable, "dial tcp: i/o timeout", at("08:09")
		}),
		"recovered": eventOf(watcher.Recovered, func(e *watcher.Event) { e.Since = at("08:09") }),
		"gone": eventOf(watcher.Gone, func(e *watcher.Event) {
			e.Problem, e.Reason, e.Since = watcher.NotFound, "HEAD and GET answer 404", at("08:09")
		}),
		"incomplete": eventOf(watcher.Incomplete, func(e *watcher.Event) {
			e.Platforms, e.Since = []string{"linux/s390x"}, at("08:09").Add(-24*time.Hour)
		}),
		"baseline-family": eventOf(watcher.Baseline, func(e *watcher.Event) {
			e.Ref, e.Reason = "docker.io/library/python#3.x-slim", "12 tags match; watching 3.14-slim, 3.13-slim, 3.12-slim"
		}),
		"appeared": eventOf(watcher.Appeared, func(e *watcher.Event) {
			e.Ref, e.Family = "docker.io/library/python:3.15-slim", "docker.io/library/python#3.x-slim"
		}),
		"frozen": eventOf(watcher.Frozen, func(e *watcher.Event) {
			e.Since, e.Reason = at("08:09").Add(-91*24*time.Hour), "not rebuilt since 2026-08-23, while python:3.14-slim was on 2026-11-20"
		}),
		"receiver-failing": eventOf(watcher.ReceiverFailing, func(e *watcher.Event) {
			e.Ref, e.Receiver, e.Reason, e.Since = "slack:#shop", "slack", "POST slack.com: 503 Service Unavailable", at("09:02")
		}),
		"receiver-recovered": eventOf(watcher.ReceiverRecovered, func(e *watcher.Event) {
			e.Ref, e.Receiver, e.Since = "slack:#shop", "slack", at("09:02")
		}),
		"config-refused": eventOf(watcher.ConfigRefused, func(e *watcher.Event) {
			e.Ref, e.Reason = "basewatch.toml", `teams/shop.toml:14: route[1].to: "slak:#shop": no receiver "slak"; did you mean "slack"?`
		}),
		"test": eventOf(watcher.Test, func(e *watcher.Event) { e.Ref, e.Receiver = "slack", "slack" }),
	}
}

func TestSlackMessagesReadWell(t *testing.T) {
	for name, d := range samples() {
		t.Run(name, func(t *testing.T) {
			slack, s := workspace(t)
			deliver(t, s, d)
			golden(t, "slack-"+name, slack.Messages()[0].Plain()+"\n")
		})
	}
	full := outboxtest.Change(42)
	golden(t, "slack-changed-full", renderSlack(tell(full, "prod-eu", true)).text+"\n")
}

func TestSlackDigestReadsWell(t *testing.T) {
	slack, s := workspace(t)
	all := samples()
	var ds []outbox.Delivery
	for _, name := range []string{"failing", "changed-covers", "baseline", "changed-partial", "changed-late", "receiver-failing", "recovered"} {
		ds = append(ds, all[name])
	}
	if _, err := s.Digest(context.Background(), ds); err != nil {
		t.Fatal(err)
	}
	golden(t, "slack-digest", slack.Messages()[0].Plain()+"\n")
}

// The shape that Slack gets, once in full.
func TestSlackBlocks(t *testing.T) {
	m := renderSlack(tell(outboxtest.Change(42), "prod-eu", false))
	var out bytes.Buffer
	e := json.NewEncoder(&out)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(m.blocks); err != nil {
		t.Fatal(err)
	}
	golden(t, "slack-blocks", out.String())
}

func TestLogLinesReadWell(t *testing.T) {
	var out strings.Builder
	for _, k := range watcher.Sent() {
		for name, d := range samples() {
			if d.Event.Kind == k && (name == string(k) || name == "changed-partial") {
				fmt.Fprintln(&out, logLine(d))
			}
		}
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if lines[0] > lines[1] { // map order
		lines[0], lines[1] = lines[1], lines[0]
	}
	golden(t, "log", strings.Join(lines, "\n")+"\n")
}

// evil draws text that somebody who publishes images might write.
func evil() *rapid.Generator[string] {
	piece := rapid.OneOf(rapid.String(), rapid.SampledFrom([]string{
		"<!channel>", "<!here>", "<@U1>", "<https://evil.example|docs>", "`", "*", "_", "&", "&lt;", "<", ">", "|", "\n", "\x1b]8;;x\a",
		"\u202e", "@everyone", "https://evil.example", ":tada:", strings.Repeat("&", 900), strings.Repeat("ß", 400)}))
	return rapid.Map(rapid.SliceOfN(piece, 0, 12), func(ps []string) string { return strings.Join(ps, "") })
}

func evilSnapshot(t *rapid.T) *watcher.Snapshot {
	s := &watcher.Snapshot{Index: outboxtest.Digest(rapid.IntRange(0, 9).Draw(t, "index")), Platforms: map[string]watcher.Manifest{}}
	for i := range rapid.IntRange(0, 40).Draw(t, "platforms") {
		s.Platforms[fmt.Sprintf("linux/p%d", i)] = watcher.Manifest{Digest: outboxtest.Digest(i)}
	}
	s.Annotations = map[string]string{
		annotationVersion: evil().Draw(t, "version"), annotationRevision: evil().Draw(t, "revision"), annotationSource: evil().Draw(t, "source"),
	}
	return s
}

func evilDelivery(t *rapid.T) outbox.Delivery {
	texts := rapid.SliceOfN(evil(), 0, 60)
	e := watcher.Event{
		Kind: rapid.SampledFrom(watcher.Kinds()).Draw(t, "kind"), Ref: evil().Draw(t, "ref"),
		Seq: uint64(rapid.IntRange(0, 9).Draw(t, "seq")), At: at("10:14"), Since: at("08:00"),
		Reason: evil().Draw(t, "reason"), Problem: watcher.Invalid, Receiver: evil().Draw(t, "receiver"),
		Platforms: texts.Draw(t, "moved"), Awaiting: texts.Draw(t, "awaiting"), Partial: rapid.Bool().Draw(t, "partial"),
		Labels: map[string][]string{evil().Draw(t, "label"): texts.Draw(t, "values")},
		Old:    evilSnapshot(t), New: evilSnapshot(t),
	}
	e.Identify()
	d := outboxtest.Delivery(e)
	if rapid.Bool().Draw(t, "late") {
		d.Outage = &outbox.Outage{From: at("07:00"), To: at("09:00"), Reason: evil().Draw(t, "outage"), Late: time.Hour}
	}
	return d
}

// Slack's stand-in refuses whatever Slack would, and live mentions, foreign
// links and unescaped text besides.
func TestSlackTakesWhateverAnImageSays(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		slack, s := workspace(t)
		s.config.Detail = rapid.SampledFrom([]string{"short", "full"}).Draw(rt, "detail")
		d := evilDelivery(rt)
		for range rapid.IntRange(0, 12).Draw(rt, "covers") {
			d.Covers = append(d.Covers, outboxtest.Change(7))
		}
		if _, err := s.Deliver(context.Background(), d); err != nil {
			rt.Fatalf("%v: %v", err, slack.Refusals())
		}
		assertOwnLinks(rt, slack.Messages()[0].Plain())
	})
}

func TestSlackTakesEveryDigest(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		slack, s := workspace(t)
		d := evilDelivery(rt)
		var ds []outbox.Delivery
		for i := range rapid.IntRange(2, 300).Draw(rt, "n") {
			d.Event.Seq = uint64(i + 1)
			ds = append(ds, d)
		}
		if _, err := s.Digest(context.Background(), ds); err != nil {
			rt.Fatalf("%v: %v", err, slack.Refusals())
		}
	})
}

func TestFactCannotLeaveItsCodeSpan(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		f := fact(evil().Draw(rt, "text"))
		if got := f.mrkdwn(); f.Text != "" && (strings.Count(got, "`") != 2 || strings.Trim(got, "`") != got[1:len(got)-1]) {
			rt.Errorf("%q", got)
		}
	})
}

func assertOwnLinks(t *rapid.T, text string) {
	_, rest, _ := strings.Cut(text, "<") // before the first there is no link
	for part := range strings.SplitSeq(rest, "<") {
		if u, _, ok := strings.Cut(part, "|"); ok && strings.HasPrefix(u, "http") &&
			!strings.HasPrefix(u, "https://github.com/") && !strings.HasPrefix(u, "https://gitlab.com/") {
			t.Errorf("a link that is not ours: %s", u)
		}
	}
}

func TestLogIsAlwaysOneLine(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		d := evilDelivery(rt)
		for _, format := range []string{"text", "json"} {
			var out bytes.Buffer
			l, err := NewLog(LogConfig{Format: format}, Options{Instance: "prod-eu"}, &out)
			if err != nil {
				rt.Fatal(err)
			}
			if _, err := l.Deliver(context.Background(), d); err != nil {
				rt.Fatal(err)
			}
			if line, ok := strings.CutSuffix(out.String(), "\n"); !ok || strings.ContainsFunc(line, unicode.IsControl) {
				rt.Errorf("%q", out.String())
			}
		}
	})
}
