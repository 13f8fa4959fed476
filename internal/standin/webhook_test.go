package standin_test

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"basewatch/internal/standin"
)

func TestAWebhookKeepsWhatItTookAndCountsRepeats(t *testing.T) {
	hook := standin.NewWebhook()
	srv := standin.Serve(hook)
	t.Cleanup(srv.Close)
	c := client(t, &http.Transport{DisableKeepAlives: true})
	post := func(id string) (reply, error) {
		return do(t, c, "POST", srv.URL+"/base", strings.NewReader("body of "+id), "Webhook-Id", id)
	}
	hook.Next(
		standin.Answer{Status: 500},
		standin.Answer{Taken: true, Reset: true}, // it arrives, the answer is lost
	)
	if r, _ := post("A"); r.status != 500 {
		t.Errorf("first answer %d", r.status)
	}
	if _, err := post("A"); err == nil {
		t.Error("the lost answer came")
	}
	if r, err := post("A"); err != nil || r.status != 200 {
		t.Errorf("third answer %v %v", r, err)
	}
	got, err := hook.Wait(limited(t), 2)
	if err != nil {
		t.Fatal(err)
	}
	if len(got) != 2 || string(got[1].Body) != "body of A" || got[1].Path != "/base" || hook.ByID()["A"] != 2 {
		t.Errorf("took %d, ledger %v", len(got), hook.ByID())
	}
	if n := len(hook.Requests()); n != 3 {
		t.Errorf("%d requests, want 3", n)
	}
}

func TestAWebhookTakesOnlyPostsOfDecentSize(t *testing.T) {
	srv := standin.Serve(standin.NewWebhook())
	t.Cleanup(srv.Close)
	c := client(t, &http.Transport{})
	if r := must(t, c, "GET", srv.URL, nil); r.status != 405 || r.header.Get("Allow") != "POST" {
		t.Errorf("GET: %d", r.status)
	}
	if r := must(t, c, "POST", srv.URL, strings.NewReader(strings.Repeat("x", 2<<20))); r.status != 413 {
		t.Errorf("2 MiB: %d", r.status)
	}
}

func TestAHangingReceiverAnswersWhenReleased(t *testing.T) {
	hook := standin.NewWebhook()
	srv := standin.Serve(hook)
	t.Cleanup(srv.Close)
	c := client(t, &http.Transport{})
	release := hook.Hang()
	answered := make(chan reply)
	go func() { answered <- must(t, c, "POST", srv.URL, nil) }()
	if _, err := hook.WaitRequests(limited(t), 1); err != nil {
		t.Fatal(err)
	}
	if n := len(hook.Messages()); n != 0 {
		t.Errorf("%d messages while it hangs", n)
	}
	release()
	release()
	if r := <-answered; r.status != 200 {
		t.Errorf("the held request: %d", r.status)
	}
	if r := must(t, c, "POST", srv.URL, nil); r.status != 200 {
		t.Errorf("after release: %d", r.status)
	}
	if n := len(hook.Messages()); n != 2 {
		t.Errorf("%d messages, want 2", n)
	}
}

func TestAnAnswerCanBeHeldAfterTheMessageIsTaken(t *testing.T) {
	s := standin.NewSlack("t")
	srv := standin.Serve(s)
	t.Cleanup(srv.Close)
	c := client(t, &http.Transport{})
	held := make(chan struct{})
	s.Next(standin.Answer{Taken: true, Hold: held})
	answered := make(chan reply)
	go func() {
		answered <- must(t, c, "POST", srv.URL+"/services/T/B/x", strings.NewReader(`{"text":"x"}`))
	}()
	if _, err := s.Wait(limited(t), 1); err != nil {
		t.Fatal(err)
	}
	select {
	case r := <-answered:
		t.Fatalf("answered too early: %v", r)
	default:
	}
	close(held)
	if r := <-answered; r.status != 200 || r.body != "ok" {
		t.Errorf("the usual answer came as %d %q", r.status, r.body)
	}
	if n := len(s.Messages()); n != 1 {
		t.Errorf("%d messages", n)
	}
}

func TestAHeldRequestThatIsGivenUpIsNotTaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		hook := standin.NewWebhook()
		ln := standin.NewMemListener("hooks.example.com:80")
		srv := standin.ServeOn(ln, hook)
		defer srv.Close()
		tr := &http.Transport{DialContext: ln.DialContext}
		defer tr.CloseIdleConnections()
		release := hook.Hang()
		c := &http.Client{Transport: tr, Timeout: time.Minute}
		if r, err := do(t, c, "POST", srv.URL, nil); err == nil {
			t.Errorf("a hanging receiver answered %d", r.status)
		}
		synctest.Wait()
		release()
		synctest.Wait()
		if n := len(hook.Messages()); n != 0 {
			t.Errorf("%d messages, want none", n)
		}
	})
}

func TestWaitEndsWithItsContextAndSaysWhatCame(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := standin.NewWebhook().Wait(ctx, 3)
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "have 0") {
		t.Errorf("error %v", err)
	}
}

func TestCloseEndsOpenRequests(t *testing.T) {
	hook := standin.NewWebhook()
	srv := standin.Serve(hook)
	entered := make(chan struct{})
	hook.Always(standin.Answer{Hold: make(chan struct{}), Match: func(*http.Request) bool { close(entered); return true }})
	ended := make(chan error)
	go func() {
		_, err := do(t, client(t, &http.Transport{}), "POST", srv.URL, nil)
		ended <- err
	}()
	<-entered
	srv.Close()
	srv.Close()
	if err := <-ended; err == nil {
		t.Error("a held request was answered")
	}
}
