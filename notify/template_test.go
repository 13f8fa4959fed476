package notify

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"os"
	"reflect"
	"strings"
	"testing"

	"basewatch/internal/outbox"
	"basewatch/internal/outbox/outboxtest"
	"basewatch/internal/secret"
	"basewatch/internal/standin"
	"basewatch/watcher"
)

func TestSlackTemplatesReplaceHeaderAndText(t *testing.T) {
	w := standin.NewSlack("")
	c := DefaultSlackConfig()
	c.WebhookURL = secret.Literal("https://hooks.slack.example.com/services/T0/B0/x")
	c.Title = "{{.Short}} <moved>: {{.Reason}}"
	c.Body = "*{{.Kind}}* {{.Reason}}\n{{code .Reason}} {{link \"all | of it\" .URL}} {{bold .Instance}}"
	o := optionsTo(w)
	o.PublicURL = "https://basewatch.example.com"
	s, err := NewSlack(c, o)
	if err != nil {
		t.Fatal(err)
	}
	d := outboxtest.Change(42)
	d.Event.Reason = "<!channel> & `x`\n<https://evil.example.net|here>"
	deliver(t, s, d)
	m := w.Messages()[0]
	if got, want := m.Blocks[0].Text.Text, "python:3.13-slim &lt;moved&gt;: &lt;!channel&gt; &amp; `x` &lt;https://evil.example.net|here&gt;"; got != want {
		t.Errorf("header %q, want %q", got, want)
	}
	want := "*changed* &lt;!channel&gt; &amp; `x` &lt;https://evil.example.net|here&gt;\n" +
		"`&lt;!channel&gt; &amp; 'x' &lt;https://evil.example.net|here&gt;` " +
		"<https://basewatch.example.com/i/docker.io/library/python/3.13-slim/42|all / of it> *prod-eu*"
	if got := m.Blocks[1].Text.Text; got != want {
		t.Errorf("section\n%s, want\n%s", got, want)
	}
	contains(t, m.Plain(), "you get this by")
}

func TestALinkInATemplateLeadsOnlyToWhatWeBuilt(t *testing.T) {
	for body, ok := range map[string]bool{
		`{{link "x" .URL}}`: true, `{{link "x" .CompareURL}}`: true, `{{link "x" "https://wiki.example.com"}}`: true,
		`{{link "x" .Old.Source}}`: false, `{{$u := .Reason}}{{link "x" $u}}`: false, `{{print .Old.Source | link "x"}}`: false,
	} {
		if _, err := newWords("", body, slackDialect()); (err == nil) != ok {
			t.Errorf("%s: %v", body, err)
		}
	}
}

func TestAWebhookTemplateReplacesTheEventAndIsSigned(t *testing.T) {
	hook := standin.NewWebhook()
	c := WebhookConfig{
		URL: secret.Literal("https://hooks.example.com/x"), Secret: []secret.Secret{secret.Literal("k")},
		Body: `{"text":"{{.Short}} says {{.Reason}}","labels":{{json .Labels}}}`,
	}
	r, err := NewWebhook(c, optionsTo(hook))
	if err != nil {
		t.Fatal(err)
	}
	d := outboxtest.Change(1)
	d.Event.Reason = `"},{"x":"\`
	deliver(t, r, d)
	m := hook.Messages()[0]
	var got struct {
		Text   string
		Labels map[string][]string
	}
	if err := json.Unmarshal(m.Body, &got); err != nil || got.Text != `python:3.13-slim says "},{"x":"\` || got.Labels["team"][0] != "shop" {
		t.Errorf("%s (%v)", m.Body, err)
	}
	if kind := m.Header.Get("Content-Type"); kind != "application/json" {
		t.Errorf("Content-Type %q", kind)
	}
	want := sign([][]byte{[]byte("k")}, d.ID, m.Header.Get(headerTime), m.Body)
	if m.Header.Get(headerSignature) != want || m.Header.Get(headerID) != d.ID {
		t.Errorf("signature %q, want %q", m.Header.Get(headerSignature), want)
	}
}

func TestALogTemplateIsOneLine(t *testing.T) {
	var out bytes.Buffer
	l, err := NewLog(LogConfig{Format: "text", Body: "{{.Kind}}\n{{.Handle}} {{.New.Digest12}} \x1b[31m{{.Label `team`}}"}, Options{}, &out)
	if err != nil {
		t.Fatal(err)
	}
	deliver(t, l, outboxtest.Change(42))
	if got := out.String()[9:]; got != "changed python:3.13-slim@42 9f2c00000056 shop\n" {
		t.Errorf("%q", got)
	}
}

// What fails only on one event, such as a label that this one has not, costs
// the form and not the message; a webhook's is a dead letter.
func TestATemplateThatFailsOnAnEventDoesNotLoseIt(t *testing.T) {
	const body = `{{if eq .Reason ""}}{{index .Covers 3}}{{end}}fine`
	w := standin.NewSlack("")
	c := DefaultSlackConfig()
	c.WebhookURL, c.Body, c.Title = secret.Literal("https://hooks.slack.example.com/services/T0/B0/x"), body, `{{if .Reason}}x{{end}}`
	s, err := NewSlack(c, optionsTo(w))
	if err != nil {
		t.Fatal(err)
	}
	deliver(t, s, outboxtest.Change(42))
	contains(t, w.Messages()[0].Plain(), "python:3.13-slim changed", "9f2c00000056", "the template of body failed:", "out of range",
		"the template of title failed:", "the result is empty")

	hook, err := NewWebhook(WebhookConfig{URL: secret.Literal("https://hooks.example.com/x"), Body: body}, optionsTo(standin.NewWebhook()))
	if err != nil {
		t.Fatal(err)
	}
	_, err = hook.Deliver(context.Background(), outboxtest.Change(42))
	if got, _ := outbox.Classify(err); got != outbox.Refused {
		t.Errorf("%s (%v)", got, err)
	}
}

func TestALongTemplateStaysWithinSlacksLimits(t *testing.T) {
	w := standin.NewSlack("") // refuses what Slack refuses
	c := DefaultSlackConfig()
	c.WebhookURL = secret.Literal("https://hooks.slack.example.com/services/T0/B0/x")
	c.Title, c.Body = "{{range 30}}<a long title>{{end}}", "{{range 60}}"+strings.Repeat("*word* ", 20)+"{{end}}\n{{range 60}}"+strings.Repeat("line\n", 20)+"{{end}}"
	s, err := NewSlack(c, optionsTo(w))
	if err != nil {
		t.Fatal(err)
	}
	deliver(t, s, outboxtest.Change(1))
}

// docs/templates.md names every field, and no other.
func TestEveryFieldIsDocumented(t *testing.T) {
	doc, err := os.ReadFile("../docs/templates.md")
	if err != nil {
		t.Fatal(err)
	}
	var walk func(prefix string, typ reflect.Type)
	walk = func(prefix string, typ reflect.Type) {
		for i := range typ.NumField() {
			name := prefix + typ.Field(i).Name
			if typ.Field(i).Type == reflect.TypeFor[Version]() {
				walk(name+".", typ.Field(i).Type)
				continue
			}
			if prefix == ".New." { // documented with .Old
				continue
			}
			if !strings.Contains(string(doc), "`"+name+"`") {
				t.Errorf("docs/templates.md lacks `%s`", name)
			}
		}
	}
	walk(".", reflect.TypeFor[Fields]())
}

// The samples that templates are tried on are of every kind that is sent.
func TestTemplatesAreTriedOnEveryKind(t *testing.T) {
	kinds := map[watcher.Kind]bool{}
	for _, d := range sampleEvents() {
		kinds[d.Event.Kind] = true
	}
	for _, k := range watcher.Sent() {
		if !kinds[k] {
			t.Errorf("no sample of %s", k)
		}
	}
	if err := (ChatConfig{URL: secret.Literal("ntfy://ntfy.example.com/t"), Body: `{{if eq .Kind "gone"}}{{.Nope}}{{end}}`}).Validate(); err == nil || !strings.Contains(err.Error(), "sample of gone") {
		t.Errorf("%v", err)
	}
}

var _ http.RoundTripper = (*Switchboard)(nil)
