package main

import (
	"bufio"
	"crypto/tls"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"basewatch/internal/standin"
	"basewatch/internal/web"
)

// canaries are secrets that can be found again: one for each place.
type canaries struct{ all []string }

// new makes the secret of a place. It is base64 too, for what must be.
func (c *canaries) new(place string) string {
	secret := "canary" + strings.ReplaceAll(place, "-", "") + "Zm9vYmFy"
	secret += strings.Repeat("A", (4-len(secret)%4)%4)
	c.all = append(c.all, secret)
	return secret
}

// found lists the canaries that stand in a text, as they are or as a password
// stands in a header.
func (c *canaries) found(s string) []string {
	var in []string
	for _, secret := range c.all {
		forms := []string{secret, url.QueryEscape(secret)}
		for _, user := range []string{"", "bot"} {
			forms = append(forms, base64.StdEncoding.EncodeToString([]byte(user+":"+secret)),
				base64.StdEncoding.EncodeToString([]byte("\x00"+user+"\x00"+secret)))
		}
		if slices.ContainsFunc(forms, func(f string) bool { return strings.Contains(s, f) }) {
			in = append(in, secret)
		}
	}
	return in
}

// echo is the worst counterpart: it refuses, and repeats all that it was asked.
func echo(status int, header map[string]string) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(io.LimitReader(r.Body, 1<<10))
		for k, v := range header {
			w.Header().Set(k, v)
		}
		w.WriteHeader(status)
		user, password, _ := r.BasicAuth()
		_, sent, _ := strings.Cut(r.Header.Get("Proxy-Authorization"), " ")
		proxy, _ := base64.StdEncoding.DecodeString(sent)
		fmt.Fprintf(w, "no: %s %s %s %s %v %s %s", user, password, proxy, r.URL, r.Header, r.Host, body)
	})
}

// echoSMTP is a mail server of that kind.
func echoSMTP(t *testing.T) (port, caFile string) {
	t.Helper()
	ca, err := standin.NewCA()
	if err != nil {
		t.Fatal(err)
	}
	cert, err := ca.Certificate("localhost", "127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go refuseMail(c)
		}
	}()
	caFile = filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(caFile, ca.PEM(), 0o600); err != nil {
		t.Fatal(err)
	}
	_, port, _ = net.SplitHostPort(l.Addr().String())
	return port, caFile
}

func refuseMail(c net.Conn) {
	defer func() { _ = c.Close() }()
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprint(c, "220 mail\r\n")
	for lines := bufio.NewScanner(c); lines.Scan(); {
		line := lines.Text()
		sent := line[strings.LastIndexByte(line, ' ')+1:]
		plain, _ := base64.StdEncoding.DecodeString(sent)
		switch {
		case strings.HasPrefix(line, "EHLO"):
			fmt.Fprint(c, "250-mail\r\n250 AUTH PLAIN LOGIN\r\n")
		case strings.HasPrefix(line, "QUIT"):
			fmt.Fprint(c, "221 bye\r\n")
			return
		default:
			fmt.Fprintf(c, "535 5.7.8 no: %s %s\r\n", line, strings.ReplaceAll(string(plain), "\x00", " "))
		}
	}
}

// leaky is a daemon that has a canary in every place for a secret, and nothing
// but counterparts that refuse and repeat what they were told.
type leaky struct {
	*daemon
	*canaries
	registry *standin.Registry
}

func newLeaky(t *testing.T) *leaky {
	t.Helper()
	w := &leaky{canaries: &canaries{}, registry: standin.NewRegistry(standin.Behaviour{})}
	serve := func(h http.Handler) string {
		s := standin.Serve(h)
		t.Cleanup(s.Close)
		return s.Host
	}
	good := serve(w.registry)
	w.registry.Push("acme/base", "1", twoPlatforms("1"))
	basic := serve(echo(http.StatusUnauthorized, map[string]string{"Www-Authenticate": `Basic realm="r"`}))
	docker := serve(echo(http.StatusForbidden, nil))
	token := standin.NewRegistry(standin.Behaviour{Auth: standin.Bearer})
	tokenHost := serve(token)
	token.Behave(func(b *standin.Behaviour) {
		b.Answer = func(rw http.ResponseWriter, r *http.Request) bool {
			if r.URL.Path == "/token" {
				echo(http.StatusForbidden, nil).ServeHTTP(rw, r)
			}
			return r.URL.Path == "/token"
		}
	})
	proxy := serve(echo(http.StatusProxyAuthRequired, nil))
	api := serve(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(rw, `{"ok":false,"error":"fatal_error %s"}`, r.Header.Get("Authorization"))
	}))
	broken := serve(echo(http.StatusInternalServerError, nil))
	port, caFile := echoSMTP(t)
	w.daemon = newDaemon(t, fmt.Sprintf(`
token = ["%s", "env:API_TOKEN"]
read_token = "%s"
[poll]
interval = "1s"
[registry.%q]
plain_http = true
per_minute = 0
[registry.%q]
plain_http = true
username = "bot"
password = "%s"
[registry.%q]
plain_http = true
username = "bot"
password = "file:password"
[registry.%q]
plain_http = true
[registry."registry.example.com"]
plain_http = true
proxy = "http://bot:%s@%s"
[notify.hook]
kind = "slack"
webhook_url = "http://%s/services/T0/B0/%s"
[notify.bot]
kind = "slack"
token = "%s"
channel = "#base-images"
api_url = "http://%s/api/"
[notify.audit]
kind = "webhook"
url = "http://bot:%s@%s/%s?key=%s"
secret = ["whsec_%s", "%s"]
headers = { X-Key = "%s", Authorization = "Bearer %s" }
[notify.proxied]
kind = "webhook"
url = "http://ci.example.com/%s"
proxy = "http://bot:%s@%s"
[notify.mail]
kind = "email"
host = "localhost"
port = %s
tls = "tls"
ca_file = %q
username = "bot"
password = "%s"
from = "basewatch@example.com"
to = ["ops@example.com"]
[notify.chat]
kind = "chat"
url = "ntfy://bot:%s@%s/topic?scheme=http"
[notify.gotify]
kind = "chat"
url = "gotify://%s/%s?disabletls=yes"
[heartbeat]
url = "http://%s/ping/%s"
[[watch]]
images = ["%s/acme/base:1", "%s/acme/x:1", "%s/acme/x:1", "%s/acme/x:1", "registry.example.com/acme/x:1"]
`, w.new("api"), w.new("read"), good, basic, w.new("basic"), tokenHost, docker, w.new("proxy"), proxy,
		broken, w.new("slackhook"), w.new("slackbot"), api,
		w.new("hookuser"), broken, w.new("hookpath"), w.new("hookquery"), w.new("sign"), w.new("signplain"), w.new("header"), w.new("headerauth"),
		w.new("proxiedpath"), w.new("hookproxy"), proxy, port, caFile, w.new("mail"), w.new("ntfy"), broken, broken, gotifyToken(w.canaries),
		broken, w.new("heartbeat"), good, basic, tokenHost, docker))
	w.env = append(w.env, "API_TOKEN="+w.new("envtoken"))
	w.write("password", w.new("filepassword"))
	w.write("config.json", fmt.Sprintf(`{"auths":{%q:{"auth":%q}}}`, docker,
		base64.StdEncoding.EncodeToString([]byte("bot:"+w.new("docker")))))
	return w
}

// gotifyToken is a canary of the form that Gotify's tokens have.
func gotifyToken(c *canaries) string {
	c.all = append(c.all, "Acanarygotify15")
	return "Acanarygotify15"
}

func (w *leaky) write(name, content string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.dir, name), []byte(content), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// clean fails the test when a canary stands in a text.
func (w *leaky) clean(where, s string) {
	w.t.Helper()
	for _, secret := range w.found(s) {
		at := strings.Index(s, secret)
		w.t.Errorf("%s shows %s: …%q…", where, secret, s[max(0, at-150):min(len(s), max(0, at)+100)])
	}
}

// TestNoSecretIsEverShown: with counterparts that repeat what they were told,
// no secret stands in logs, listings, API answers, metrics, errors of the
// configuration, or the store's file.
func TestNoSecretIsEverShown(t *testing.T) {
	t.Parallel()
	w := newLeaky(t)
	w.everySecretIsSet()
	w.start()
	w.eventually("the good image is fresh", func() bool {
		st, err := w.client().Status(t.Context())
		return err == nil && st.Images.Fresh == 1 && st.Images.Failing == 4
	})
	w.registry.Push("acme/base", "1", twoPlatforms("2"))
	w.eventually("every receiver has failed", func() bool {
		st, err := w.client().Status(t.Context())
		if err != nil {
			return false
		}
		// A mail server that refuses a login does so for good.
		return st.Queue.Dead > 0 && !slices.ContainsFunc(st.Receivers, func(r web.StatusReceiver) bool {
			return r.State != "failing" && r.Kind != "email"
		})
	})
	w.commands()
	w.api()
	w.brokenConfigs()
	w.stop()
	w.clean("the log", w.out.String())
	for _, name := range []string{"basewatch.db"} {
		content, err := os.ReadFile(filepath.Join(w.dir, name))
		if err != nil {
			t.Fatal(err)
		}
		w.clean(name, string(content))
	}
	if !strings.Contains(w.out.String(), "no: ") {
		t.Error("no counterpart repeated anything: this test proves nothing")
	}
}

// everySecretIsSet checks this test itself: each key for a secret, of each kind
// of receiver, holds one here.
func (w *leaky) everySecretIsSet() {
	w.t.Helper()
	listing := w.run(exitDone, "config", "show")
	w.clean("config show", listing)
	config, err := os.ReadFile(filepath.Join(w.dir, "basewatch.toml"))
	if err != nil {
		w.t.Fatal(err)
	}
	var walk func(n *node, key, table string)
	walk = func(n *node, key, table string) {
		switch {
		case n.secret() || n.elem != nil && n.elem.secret():
			if !strings.Contains(table, "\n"+key+" = ") {
				w.t.Errorf("%s is a secret, and this test sets none", key)
			}
		case n.shape == tableShape:
			for _, k := range n.order {
				walk(n.keys[k], k, table)
			}
		case n.shape == namedShape && n.elem.variant == nil, n.shape == tablesShape:
			walk(n.elem, key, table)
		}
	}
	walk(schema(), "", string(config))
	for _, kind := range receiverKinds() {
		var tables string
		for _, table := range strings.Split(string(config), "[notify.")[1:] {
			table, _, _ = strings.Cut(table, "\n[")
			if strings.Contains(table, fmt.Sprintf("kind = %q", kind)) {
				tables += table
			}
		}
		walk(receiverNode(map[string]any{"kind": kind}), "", tables+"\n")
	}
}

func (w *leaky) commands() {
	w.t.Helper()
	for _, args := range [][]string{
		{"status"}, {"status", "-o", "json"}, {"status", "--images", "-o", "json"}, {"deliveries", "-o", "json"}, {"deliveries"},
		{"explain", "acme/base:1"}, {"config", "check"}, {"config", "show", "-o", "json"}, {"retry", "audit"}, {"check"},
	} {
		cmd := w.command(args...)
		out, _ := cmd.CombinedOutput()
		w.clean(strings.Join(args, " "), string(out))
	}
}

// api reads everything by TCP, as somebody with a token, and without.
func (w *leaky) api() {
	w.t.Helper()
	st := w.run(exitDone, "status", "-o", "json")
	w.clean("status", st)
	address := w.address()
	for _, path := range []string{"/metrics", "/readyz", "/healthz", "/api/v1/status", "/api/v1/targets", "/api/v1/deliveries", "/api/v1/openapi.json", "/api/openapi.json", "/nothing"} {
		for _, token := range []string{w.all[0], "wrong"} {
			req, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, "http://"+address+path, nil)
			if err != nil {
				w.t.Fatal(err)
			}
			req.Header.Set("Authorization", "Bearer "+token)
			res, err := http.DefaultClient.Do(req)
			if err != nil {
				w.t.Fatal(err)
			}
			body, _ := io.ReadAll(io.LimitReader(res.Body, 4<<20))
			_ = res.Body.Close()
			w.clean("GET "+path, string(body)+fmt.Sprint(res.Header))
		}
	}
}

// address is where the daemon says that it listens.
func (w *leaky) address() string {
	w.t.Helper()
	_, rest, ok := strings.Cut(w.out.String(), "http://127.0.0.1:")
	if !ok {
		w.t.Fatalf("no address in\n%s", w.out)
	}
	port := rest[:strings.IndexFunc(rest, func(r rune) bool { return r < '0' || r > '9' })]
	return "127.0.0.1:" + port
}

// brokenConfigs are mistakes in what is secret: the errors say where, and not
// what.
func (w *leaky) brokenConfigs() {
	w.t.Helper()
	for _, mistake := range []string{
		"[notify.x]\nkind = \"slack\"\nwebhook_url = \"ht tp://%s\"\n",
		"[notify.x]\nkind = \"slack\"\nwebhook_url = \"//%s/x\"\n",
		"[notify.x]\nkind = \"webhook\"\nurl = \"http://u:%s@%%zz/\"\n",
		"[notify.x]\nkind = \"webhook\"\nurl = \"http://ci.example.com\"\nsecret = \"whsec_!%s\"\n",
		"[notify.x]\nkind = \"webhook\"\nurl = \"http://ci.example.com\"\nheaders = { X-Key = \"a\\n%s\" }\n",
		"[notify.x]\nkind = \"chat\"\nurl = \"nothing://%s\"\n",
		"[notify.x]\nkind = \"webhook\"\nurl = \"http://ci.example.com\"\nproxy = \"http://u:%s@%%zz\"\n",
		"[network]\nproxy = \"ftp://u:%s@proxy.example.com\"\n",
		"[registry.\"r.example.com\"]\npassword = \"%s\"\n",
		"[http]\ntoken = { a = \"%s\" }\n",
		"[notify.x]\nkind = \"slack\"\ntoken = \"%s\"\n",
		"[heartbeat]\nurl = \"::%s\"\n",
	} {
		w.write("broken.toml", fmt.Sprintf(mistake, w.all[0])+"[[watch]]\nimages = [\"alpine\"]\n")
		out := w.run(exitUsage, "config", "check", "broken.toml")
		w.clean("the error of "+mistake, out)
	}
}
