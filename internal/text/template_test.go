package text

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

type sample struct {
	Image  string
	Tags   []string
	Labels map[string][]string
	At     time.Time
	Seq    int
	Old    struct{ Digest string }
}

func newSample() sample {
	s := sample{
		Image: "<!here> & co", Tags: []string{"3.13", "<slim>"}, Seq: 42,
		Labels: map[string][]string{"team": {"shop", "data"}},
		At:     time.Date(2026, 11, 22, 10, 14, 3, 0, time.UTC),
	}
	s.Old.Digest = "sha256:9f2c"
	return s
}

func render(source string, o TemplateOptions) (string, error) {
	t, err := ParseTemplate(source, o)
	if err != nil {
		return "", err
	}
	return t.Execute(newSample())
}

func TestATemplateEscapesWhatItPrintsAndNothingElse(t *testing.T) {
	options := TemplateOptions{Escape: EscapeSlack, Funcs: map[string]any{
		"code": func(s string) Verbatim { return Verbatim("`" + EscapeSlack(s) + "`") },
		"bold": func(s string) Verbatim { return Verbatim("<b>" + EscapeSlack(s) + "</b>") },
	}}
	tests := map[string]string{
		"<b>{{.Image}}</b>":                               "<b>&lt;!here&gt; &amp; co</b>",
		"{{bold .Image}}":                                 "<b>&lt;!here&gt; &amp; co</b>",
		"{{code .Image | print}}":                         "`&amp;lt;!here&amp;gt; &amp;amp; co`",
		`{{$x := print .Image "<"}}{{$x}}`:                "&lt;!here&gt; &amp; co&lt;",
		`{{with .Image}}{{.}}{{end}}`:                     "&lt;!here&gt; &amp; co",
		`{{range .Tags}}[{{.}}]{{else}}none{{end}}`:       "[3.13][&lt;slim&gt;]",
		`{{range $k, $v := .Labels}}{{$k}}={{$v}}{{end}}`: "team=shop, data",
		`{{printf "%s #%05d %v" .Image .Seq .Tags}}`:      "&lt;!here&gt; &amp; co #00042 3.13, &lt;slim&gt;",
		`{{join "/" .Tags | upper}}`:                      "3.13/&lt;SLIM&gt;",
		`{{.At}} {{.At.Format "15:04"}}`:                  "2026-11-22 10:14 UTC 10:14",
		`{{cut 5 .Image}}{{"" | default "<none>"}}`:       "&lt;!he…&lt;none&gt;",
		`{{if and (eq .Seq 42) (not .Old.Digest)}}a{{else if gt (len .Tags) 1}}b{{end}}`: "b",
		`{{replace "a256" "…" .Old.Digest}}`:                                             "sh…:9f2c",
		`{{index .Labels.team 1}}`:                                                       "data",
	}
	for source, want := range tests {
		got, err := render(source, options)
		if err != nil {
			t.Errorf("%s: %v", source, err)
		} else if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", source, diff)
		}
	}
}

func TestATemplateThatCannotWorkIsRefusedWithItsLine(t *testing.T) {
	for source, want := range map[string]string{
		"a\n{{.Image":                         "line 2: unclosed action",
		"\n\n{{nope .Image}}":                 `line 3: function "nope" not defined`,
		"{{html .Image}}":                     `line 1: function "html" is not supported`,
		"{{call .Image}}":                     `line 1: function "call" is not supported`,
		"\n{{if (slice .Image 1)}}x{{end}}":   `line 2: function "slice" is not supported`,
		"{{_escape .Image}}":                  `line 1: function "_escape" is not supported`,
		`{{define "x"}}{{end}}a`:              "line 1: define and block are not supported, or nothing is outside of them",
		"\n{{template \"t\" .}}":              "line 2: {{template}} is not supported",
		strings.Repeat(" ", templateSource+1): "the template has more than 16 KiB",
	} {
		if _, err := ParseTemplate(source, TemplateOptions{}); err == nil || err.Error() != want {
			t.Errorf("%.40q: %v, want %s", source, err, want)
		}
	}
	for source, want := range map[string]string{
		"\n{{.Nope}}":            "line 2: <.Nope>: there is no field Nope",
		"{{.Labels.nope}}":       `line 1: <.Labels.nope>: map has no entry for key "nope"`,
		`{{printf "%100d" 1}}`:   "line 1: <printf \"%100d\" 1>: error calling printf: printf: a width must have one or two digits",
		`{{printf "%*d" 100 1}}`: "line 1: <printf \"%*d\" 100 1>: error calling printf: printf: a width must have one or two digits",
		"{{index .Tags 7}}":      "line 1: <index .Tags 7>: error calling index: index out of range: 7",
	} {
		if _, err := render(source, TemplateOptions{}); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", source, err, want)
		}
	}
}

func TestATemplateThatWouldNeverEndOrGrowWithoutEndIsStopped(t *testing.T) {
	for _, source := range []string{
		`{{range 1000000000000}}{{end}}`,
		`{{range 1000000}}{{range 1000000}}{{if eq . 5}}{{end}}{{end}}{{end}}`,
		`{{$x := "a"}}{{range 60}}{{$x = print $x $x}}{{end}}{{$x}}`,
		`{{$x := "aaaa"}}{{range 60}}{{$x = replace "a" "aaaa" $x}}{{end}}`,
		`{{range 70000}}x{{end}}`,
	} {
		start := time.Now()
		out, err := render(source, TemplateOptions{})
		if err == nil {
			t.Errorf("%s: %d bytes and no error", source, len(out))
		}
		if took := time.Since(start); took > 2*time.Second {
			t.Errorf("%s took %v", source, took)
		}
	}
}

func TestATemplateCanBeExecutedByManyAtOnce(t *testing.T) {
	tmpl, err := ParseTemplate(`{{range .Tags}}{{upper .}}{{end}}`, TemplateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan string)
	for range 8 {
		go func() {
			out, _ := tmpl.Execute(newSample())
			done <- out
		}()
	}
	for range 8 {
		if got := <-done; got != "3.13<SLIM>" {
			t.Errorf("got %q", got)
		}
	}
}

// Whatever somebody writes: no panic, no more than the bounds, and nothing that
// the data hold gets out unescaped.
func FuzzTemplate(f *testing.F) {
	for _, s := range []string{
		"{{.Image}}", "{{range .Tags}}{{.}}{{end}}", "{{range 99}}{{print . `x`}}{{end}}", "{{with $x := .Labels}}{{$x.team}}{{end}}",
		`{{printf "%c%s" 60 .Image}}`, `{{index .Image 0 | printf "%c"}}`, `{{.At.Format "<"}}`, "{{define `t`}}{{end}}", "{{break}}", "{{- /* x */ -}}",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, source string) {
		tmpl, err := ParseTemplate(source, TemplateOptions{Escape: EscapeSlack})
		if err != nil {
			return
		}
		out, err := tmpl.Execute(newSample())
		if len(out) > templateOutput {
			t.Errorf("%d bytes", len(out))
		}
		if err == nil && !strings.Contains(source, "<") && strings.Contains(out, "<") {
			t.Errorf("data got out unescaped: %q", out)
		}
	})
}
